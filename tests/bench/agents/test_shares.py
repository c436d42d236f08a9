"""What is divided among agents is, together, what was to be sent; parts of a Poisson process stay Poisson processes."""

import numpy as np
import numpy.typing as npt
import pytest

from bench.agents.shares import divided, thinned
from bench.contract.scenarios import Arrival
from bench.load.open_loop import schedule

RATE_PER_S, LENGTH_S = 300.0, 60.0
CRITICAL = 1.95  # of Kolmogorov and Smirnov's statistic: of a thousand Poisson processes one is above


def distance(times_s: npt.NDArray[np.float64], rate_per_s: float) -> float:
    """How far the gaps are from exponential ones at that rate: the largest distance of the two distributions, times sqrt(n)."""
    gaps = np.sort(np.diff(np.sort(times_s), prepend=0.0))
    n, expected = len(gaps), 1 - np.exp(-rate_per_s * gaps)
    above, below = np.arange(1, n + 1) / n - expected, expected - np.arange(n) / n
    return float(np.sqrt(n) * max(above.max(), below.max()))


def parts(seed: int) -> list[npt.NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    plan = schedule(Arrival.POISSON, RATE_PER_S, lead_in_s=0.0, window_s=LENGTH_S, rng=rng)
    return [part.due_s for part in thinned(plan, 3, rng)]


@pytest.mark.parametrize("arrival", [Arrival.POISSON, Arrival.CONSTANT])
@pytest.mark.parametrize("agents", [1, 2, 3, 7])
def test_each_request_is_one_agents(arrival: Arrival, agents: int) -> None:
    """All parts together are the schedule, bit for bit; each has its lead-in and its window."""
    rng = np.random.default_rng(agents)
    plan = schedule(arrival, RATE_PER_S, lead_in_s=0.1, window_s=1.0, rng=rng)
    shares = thinned(plan, agents, rng)
    assert len(shares) == agents
    assert np.sort(np.concatenate([share.due_s for share in shares])).tolist() == plan.due_s.tolist()
    assert all((np.diff(share.due_s) >= 0).all() for share in shares)
    assert {(share.lead_in_s, share.window_s) for share in shares} == {(0.1, 1.0)}


def test_three_agents_together_and_each_alone_are_poisson_processes() -> None:
    """Of the whole rate, and of a third of it."""
    for seed in range(5):
        shares = parts(seed)
        assert distance(np.concatenate(shares), RATE_PER_S) < CRITICAL
        for share in shares:
            assert distance(share, RATE_PER_S / 3) < CRITICAL


@pytest.mark.parametrize("lag_s", [0.0, 0.0005])
def test_an_agent_that_sends_all_twice_is_seen(lag_s: float) -> None:
    """At once, or a little later: the gaps are not those of the rate any more."""
    for seed in range(5):
        shares = parts(seed)
        assert distance(np.concatenate([*shares, shares[1] + lag_s]), RATE_PER_S) > CRITICAL
        assert distance(np.concatenate([*shares, shares[1] + lag_s]), RATE_PER_S * 4 / 3) > CRITICAL


@pytest.mark.parametrize(
    ("whole", "count", "expected"), [(8, 3, [3, 3, 2]), (1, 1, [1]), (64, 3, [22, 21, 21]), (2, 2, [1, 1])]
)
def test_clients_are_divided_as_evenly_as_they_can_be(whole: int, count: int, expected: list[int]) -> None:
    """None is lost, and none is there twice."""
    assert divided(whole, count) == expected
