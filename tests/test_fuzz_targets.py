"""The short form of `tox -e fuzz`: each of its targets with some hundred seeded inputs, and those that once broke one."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import near
from tests.fuzz.targets import PROTOCOLS, Target, targets

NAMES = (
    *(f"client {protocol}" for protocol in PROTOCOLS),
    "client http answers",
    "client grpc answers",
    "client grpc frames",
    "server null",
)


@pytest.fixture(scope="module")
def known() -> Iterator[Mapping[str, Target]]:
    """All targets, with the peers that they need."""
    with targets() as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_are_taken_or_refused(known: Mapping[str, Target], name: str) -> None:
    """Bytes near to good ones end in a result or in the target's own error, and none takes seconds."""
    target = known[name]

    @settings(
        max_examples=200,
        derandomize=True,
        database=None,
        deadline=timedelta(seconds=5),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        target.attempt(data.draw(near(target.seeds)))

    attempt()


def test_no_target_is_forgotten(known: Mapping[str, Target]) -> None:
    """What is fuzzed at length is tested in short."""
    assert set(known) <= set(NAMES)
