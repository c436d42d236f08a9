"""What the options of the traffic under load mean, and what they refuse."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.contract.errors import BadInput
from bench.contract.scenarios import Arrival
from bench.contract.system import Room
from bench.experiments.open_loop import open_loops_of
from bench.session.load_options import arrivals_of, clients_of, cpus_of, limit_of, loads_of, replicas_of


def test_numbers_of_clients_are_sorted_and_each_once() -> None:
    """However they are written."""
    assert clients_of("8, 1,2,8") == [1, 2, 8]


def test_loads_are_parts_of_the_peak_or_rates() -> None:
    """Each with its arrivals; names that no other name holds as a part in brackets."""
    found = open_loops_of(loads_of("30%,200/s,30%"), arrivals_of("both"))
    assert [scenario.name for scenario in found] == ["poisson30", "poisson-200rps", "constant30", "constant-200rps"]
    assert found[0].load == pytest.approx(0.3)
    assert found[0].arrival is Arrival.POISSON
    assert found[3].rate_per_s == 200
    assert found[3].arrival is Arrival.CONSTANT


@pytest.mark.parametrize(("text", "seconds"), [("15ms", 0.015), ("0.5s", 0.5), ("800us", 0.0008), ("0", None), (None, None)])
def test_limits(text: str | None, seconds: float | None) -> None:
    """A number with its unit; 0 looks for none."""
    assert limit_of(text) == (pytest.approx(seconds) if seconds is not None else None)


def with_server_cpus(*cpus: int) -> Any:
    """A session whose servers may have these."""
    room = Room(len(cpus), "on this machine (--server-cpus)")
    hook = SimpleNamespace(pytest_servebench_server_cpus=lambda config: cpus, pytest_servebench_room=lambda config: room)
    return SimpleNamespace(hook=hook)


@pytest.mark.parametrize(
    ("allowed", "expected"), [((3,), [1]), ((0, 1), [1, 2]), ((0, 1, 2), [1, 2]), (tuple(range(8)), [1, 2, 4, 8])]
)
def test_numbers_of_cpus_double_as_far_as_there_are(allowed: tuple[int, ...], expected: list[int]) -> None:
    """Where nobody says which; and as many replicas."""
    assert cpus_of(None, with_server_cpus(*allowed)) == expected
    assert replicas_of(None, with_server_cpus(*allowed)) == expected


def test_more_cpus_than_there_are_is_one_sentence_with_both_numbers() -> None:
    """What is there counts, not how it is numbered."""
    assert cpus_of("3, 1,3", with_server_cpus(4, 5, 9)) == [1, 3]
    with pytest.raises(BadInput) as refused:
        cpus_of("1,8", with_server_cpus(4, 5, 9))
    assert str(refused.value) == (
        "--cpus 1,8: expected numbers of CPUs from 1 to 3, as many as a server may have (--server-cpus), seen '8'; like 1,2"
    )


def test_more_replicas_than_fit_is_one_sentence_with_both_numbers() -> None:
    """Each needs a CPU of its own."""
    assert replicas_of("3, 1,3", with_server_cpus(4, 5, 9)) == [1, 3]
    with pytest.raises(BadInput) as refused:
        replicas_of("4", with_server_cpus(4, 5, 9))
    assert str(refused.value) == (
        "--replicas 4: expected numbers of replicas from 1 to 3, for each has one of the CPUs that servers may have on this "
        "machine (--server-cpus), seen '4'; like 1,2"
    )
