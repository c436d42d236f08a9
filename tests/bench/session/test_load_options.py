"""What the options of the traffic under load mean, and what they refuse."""

import pytest

from bench.contract.scenarios import Arrival
from bench.experiments.open_loop import open_loops_of
from bench.session.load_options import arrivals_of, clients_of, limit_of, loads_of


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
