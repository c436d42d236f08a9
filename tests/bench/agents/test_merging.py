"""All samples of all agents together: no percentile is other than that of the concatenated samples, to the last bit."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.agents.clocks import ClockFit, Offset
from bench.agents.merging import Samples, late_ones, of_clients, of_schedule, ready_s
from bench.agents.shares import thinned
from bench.analysis.cell_record import Latencies
from bench.contract.scenarios import Arrival
from bench.contract.wire import Payload
from bench.load.closed_loop import Slice, Trace, run_clients
from bench.load.connection_pool import ConnectionPool
from bench.load.open_loop import Schedule, run_schedule, schedule
from bench.load.payload_sources import CyclingPayloads
from bench.transports.http import HttpTransport
from tests.bench.sockets import answering, ok, serving

EXACT = ClockFit(Offset(0.0, 0.0, 0.0), Offset(10.0, 0.0, 0.0))


@contextlib.contextmanager
def pool() -> Iterator[tuple[ConnectionPool, CyclingPayloads]]:
    with serving(answering(ok)) as endpoint:
        transports = [HttpTransport(endpoint) for _ in range(4)]
        connections = ConnectionPool(transports)
        try:
            yield connections, CyclingPayloads([Payload(b"x", "text/plain", (0,))], transports[0].prepare)
        finally:
            connections.close()


def of_trace(trace: Trace, done: Slice, fit: ClockFit = EXACT, began_s: float = 0.0) -> Samples:
    return Samples(np.array(trace), np.array(done.lag_s), began_s, fit)


@pytest.fixture(scope="module")
def offered() -> list[tuple[Schedule, Samples, Slice]]:
    """Three agents' parts of a schedule, as the load code brings them, one after the other."""
    rng = np.random.default_rng(5)
    plan = schedule(Arrival.POISSON, 1500.0, lead_in_s=0.1, window_s=1.0, rng=rng)
    parts = []
    with pool() as (connections, source):
        for share in thinned(plan, 3, rng):
            trace: Trace = []
            done = run_schedule(connections, source.requests(0), share, connections=4, trace=trace)
            assert done.error is None
            parts.append((share, of_trace(trace, done), done))
    return parts


def test_percentiles_of_a_schedule_are_those_of_the_concatenated_samples(
    offered: list[tuple[Schedule, Samples, Slice]],
) -> None:
    """To the last bit, up to p99.9 and the histogram; and each agent's samples are what its load code timed."""
    merged = of_schedule([(share, samples) for share, samples, _ in offered])
    together = [duration for _, _, done in offered for duration in done.duration_s]
    assert merged.duration_s == together
    assert len(together) > 1000
    assert Latencies.of(np.array(merged.duration_s), histogram=True) == Latencies.of(np.array(together), histogram=True)
    assert merged.lag_s == [lag for _, _, done in offered for lag in done.lag_s]
    assert merged.scheduled == sum(done.scheduled for _, _, done in offered)
    assert merged.exchanges == sum(done.exchanges for _, _, done in offered)
    assert merged.seconds == 1.0


@pytest.mark.parametrize(("offset_s", "drift"), [(180.0, 0.0), (-180.0, 1e-4), (0.0, -1e-4)])
def test_no_clock_changes_a_latency(offered: list[tuple[Schedule, Samples, Slice]], offset_s: float, drift: float) -> None:
    """Three minutes off, and 100 ppm too fast: a duration is the difference of two readings of one clock."""
    fit = ClockFit(Offset(0.0, offset_s, 1e-4), Offset(10.0, offset_s + 10 * drift, 1e-4))
    exact = of_schedule([(share, samples) for share, samples, _ in offered])
    shifted = of_schedule([(share, replace(samples, fit=fit, began_s=offset_s)) for share, samples, _ in offered])
    assert shifted == exact


def test_who_was_late_is_known(offered: list[tuple[Schedule, Samples, Slice]]) -> None:
    """One in a hundred of its own requests, however few of all: the others cannot make up for it."""
    few = replace(offered[1][1], lag_s=np.array([0.0] * 10 + [0.01]))
    many = replace(offered[0][1], lag_s=np.zeros(10_000))
    assert late_ones([many, few, many]) == [1]
    assert late_ones([many, many]) == []


def clients(count: int, slice_s: float) -> tuple[Samples, Slice]:
    trace: Trace = []
    with pool() as (connections, source):
        done = run_clients(connections, count, source.requests(0), slice_s=slice_s, begin=connections.clock, trace=trace)
    assert done.error is None
    return of_trace(trace, done), done


def test_one_agents_clients_are_measured_as_without_agents() -> None:
    """The same window, the same answers in it, the same durations: the rule is that of `run_clients`."""
    samples, done = clients(3, 0.2)
    merged = of_clients([samples], slice_s=0.2, lead_in_s=0.0)
    assert merged is not None
    assert merged.exchanges == done.exchanges
    assert merged.seconds == pytest.approx(done.seconds, abs=1e-6)
    assert sorted(merged.duration_s) == pytest.approx(sorted(done.duration_s), abs=1e-9)


@pytest.mark.parametrize("offset_s", [0.0, 180.0])
def test_clients_of_two_agents_are_counted_in_one_window(offset_s: float) -> None:
    """It begins and ends with an answer, of whichever agent; each duration is one agent's, to the last bit."""
    one, other = clients(2, 0.2)[0], clients(1, 0.2)[0]
    fit = ClockFit(Offset(0.0, offset_s, 0.0), Offset(10.0, offset_s, 0.0))
    both = [one, replace(other, fit=fit, began_s=offset_s)]
    lead_in_s = max(map(ready_s, both))
    merged = of_clients(both, slice_s=0.15, lead_in_s=lead_in_s)
    assert merged is not None
    answered = np.concatenate([one.trace[:, 2], other.trace[:, 2]])
    assert merged.seconds >= 0.15
    assert merged.seconds + lead_in_s <= answered.max()
    rows = np.concatenate([one.trace, other.trace])
    assert set(merged.duration_s) <= set((rows[:, 2] - rows[:, 1]).tolist())
    assert abs(len(merged.duration_s) - merged.exchanges) <= 3, "as many are sent in it as are answered, but for its borders"


def test_agents_that_were_never_at_it_together_have_no_window() -> None:
    """One whose first answers come when the other is done: half the load is no figure of the whole."""
    one, other = clients(1, 0.1)[0], clients(1, 0.1)[0]
    late = replace(other, trace=other.trace + np.array([0.0, 0.5, 0.5]))
    assert of_clients([one, late], slice_s=0.1, lead_in_s=0.0) is None
    assert of_clients([one, other], slice_s=0.1, lead_in_s=0.0) is not None
