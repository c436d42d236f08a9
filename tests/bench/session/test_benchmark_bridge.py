"""The replay clock hands durations over to the last bit; the table shows the mission unless all is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.session.benchmark_bridge import ReplayClock, one_table

pytest_plugins = ["pytester"]
CELLS = [{"fullname": f"bench/test_{test}.py::test_{test}[a-rest-single]"} for test in ("accuracy", "throughput", "startup")]


@given(st.lists(st.floats(min_value=1e-9, max_value=1e6), min_size=1, max_size=50))
def test_differences_of_looks_are_the_durations(durations: list[float]) -> None:
    """As pytest-benchmark looks at it: before and after each call, whatever was accumulated before."""
    clock = ReplayClock()
    clock.load(durations)
    seen = []
    for _ in durations:
        start = clock.now()
        clock.advance()
        seen.append(clock.now() - start)
    assert seen == durations


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), 1),
        (("--benchmark-columns=min", "--benchmark-sort=name"), 1),
        (("--benchmark-group-by=group",), None),
        (("--benchmark-group-by=func",), None),
        (("--benchmark-compare",), None),
    ],
)
def test_the_mission_is_one_table(pytester: pytest.Pytester, options: tuple[str, ...], shown: int | None) -> None:
    """Whatever groups or compares has pytest-benchmark's own tables."""
    config = pytester.parseconfig(*options)
    table = one_table(config, CELLS)
    assert (None if table is None else len(table[0][1])) == shown
    assert one_table(config, CELLS[:1]) is None, "a run without speeds has its own table"
