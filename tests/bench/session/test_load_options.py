"""What the options of the traffic under load mean, and what they refuse."""

import pytest

from bench.contract.errors import BadInput
from bench.contract.scenarios import Arrival
from bench.experiments.open_loop import open_loops_of
from bench.session.load_options import arrivals_of, clients_of, limit_of, loads_of


def test_numbers_of_clients_are_sorted_and_each_once() -> None:
    """However they are written."""
    assert clients_of("8, 1,2,8") == [1, 2, 8]


@pytest.mark.parametrize("text", ["", ",", "0", "65", "-1", "1.5", "many", "1;2", "٣", "9" * 40])
def test_no_numbers_of_clients(text: str) -> None:
    """The option, what is expected and what was seen."""
    with pytest.raises(BadInput, match=r"--clients.*1,2,4,8"):
        clients_of(text)


def test_loads_are_parts_of_the_peak_or_rates() -> None:
    """Each with its arrivals; names that no other name holds as a part in brackets."""
    found = open_loops_of(loads_of("30%,200/s,30%"), arrivals_of("both"))
    assert [scenario.name for scenario in found] == ["poisson30", "poisson-200rps", "constant30", "constant-200rps"]
    assert found[0].load == pytest.approx(0.3)
    assert found[0].arrival is Arrival.POISSON
    assert found[3].rate_per_s == 200
    assert found[3].arrival is Arrival.CONSTANT


@pytest.mark.parametrize("text", ["", "30", "0%", "201%", "-5%", "0/s", "9999999/s", "nan%", "1e3/s", "30%%", "fast"])
def test_no_loads(text: str) -> None:
    """Zero, beyond what makes sense, and what is no number."""
    with pytest.raises(BadInput, match=r"--loads.*30%,70%,200/s"):
        loads_of(text)


def test_no_arrivals() -> None:
    """The known ones are listed."""
    with pytest.raises(BadInput, match=r"--arrivals bursts: expected one of poisson, constant, both"):
        arrivals_of("bursts")


@pytest.mark.parametrize(("text", "seconds"), [("15ms", 0.015), ("0.5s", 0.5), ("800us", 0.0008), ("0", None), (None, None)])
def test_limits(text: str | None, seconds: float | None) -> None:
    """A number with its unit; 0 looks for none."""
    assert limit_of(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("text", ["15", "ms", "-1ms", "0ms", "3601s", "1h", "15 ms.", "nan", "inf"])
def test_no_limits(text: str) -> None:
    """A time without a unit could be anything."""
    with pytest.raises(BadInput, match=r"--slo .*like 15ms"):
        limit_of(text)
