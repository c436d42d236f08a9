"""The open loop against servers whose behaviour is known, and its schedule."""

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bench.contract.errors import ConnectionLost
from bench.contract.scenarios import Arrival
from bench.contract.wire import Endpoint, Payload
from bench.load import open_loop as open_loop_module
from bench.load.closed_loop import Slice, run_slice
from bench.load.connection_pool import ConnectionPool
from bench.load.open_loop import Schedule, run_schedule, schedule
from bench.load.payload_sources import CyclingPayloads
from bench.load.scheduled_load import OpenLoop, Peak, saturated
from bench.load.senders import OwnSender
from bench.transports.http import HttpTransport

pytestmark = pytest.mark.alone

SERVICE_S = 0.005
STALL_S = 0.8
NOISY_S = 0.0005
STALLS = ("--stall-s", str(STALL_S), "--stall-after-s", "1")
SERVER = Path(__file__).parents[2] / "standins" / "one_worker.py"
Floats = npt.NDArray[np.float64]


@contextlib.contextmanager
def one_worker(*options: str) -> Iterator[Endpoint]:
    """See tests/standins/one_worker.py: a process of its own, for this one's interpreter lock belongs to the client."""
    command = [sys.executable, str(SERVER), "--service-s", str(SERVICE_S), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Endpoint("worker", "one", "raw", port=int(process.stdout.readline()), host="127.0.0.1")
        finally:
            process.kill()


def source_for(transport: HttpTransport) -> CyclingPayloads:
    return CyclingPayloads([Payload(b"x", "text/plain", (0,))], transport.prepare)


def open_loop(endpoint: Endpoint, plan: Schedule) -> Slice:
    """What a schedule brought, all of whose requests were answered."""
    transports = [HttpTransport(endpoint) for _ in range(64)]
    pool = ConnectionPool(transports)
    done = run_schedule(pool, source_for(transports[0]).requests(0), plan, connections=16)
    pool.close()
    assert done.error is None
    assert len(done.duration_s) == done.scheduled == len(done.lag_s)
    return done


class Counted(HttpTransport):
    opened = 0

    def connect(self) -> None:
        self.opened += 1
        super().connect()


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_connections_than_allowed_are_opened(most: int) -> None:
    """However far it falls behind: requests wait for one, and their latency says so. Also while the peak is looked for."""
    with one_worker() as endpoint:
        transports = [Counted(endpoint) for _ in range(64)]
        pool = ConnectionPool(transports)
        sender = OwnSender(pool)
        peak = Peak(sender, most)
        pattern = OpenLoop(
            sender, peak, Arrival.CONSTANT, np.random.default_rng(1), rate_per_s=400.0, connections=most, repeats_left=0
        )
        source = source_for(transports[0])
        assert not [tried.error for tried in pattern.warm_up(source, 10) if tried.error]
        done = pattern.run(source.requests(0), slice_s=0.3, typical_s=0.0, warm_up_request=False)
        pattern.close()
    assert done.error is None
    assert [transport.opened > 0 for transport in transports] == [number < most for number in range(64)]
    assert peak.clients <= most
    assert len(done.duration_s) == done.scheduled > 100
    assert max(done.duration_s) > 10 * SERVICE_S


@pytest.mark.parametrize(("opening_s", "opened"), [(60.0, 3), (0.0, 1)])
def test_connections_are_open_before_the_schedule_begins(
    monkeypatch: pytest.MonkeyPatch, opening_s: float, opened: int
) -> None:
    """As many as there is time for: opened on schedule, each would make those that are due meanwhile wait."""
    monkeypatch.setattr(open_loop_module, "_OPENING_S", opening_s)
    with one_worker() as endpoint:
        transports = [Counted(endpoint) for _ in range(4)]
        pool = ConnectionPool(transports)
        nothing_due = Schedule(np.empty(0), 0.0, 0.0)
        done = run_schedule(pool, source_for(transports[0]).requests(0), nothing_due, connections=1, most=3)
        pool.close()
    assert done.error is None
    assert sum(transport.opened for transport in transports) == opened
    assert len(done.answers) == opened, "each was greeted"


def noise_s(done: Slice) -> float:
    """By how much the machine kept client and server from doing in time what they do: 99th percentiles, the worse one."""
    served_late_s = [float(body) for _, body in done.answers]
    return float(max(np.quantile(done.lag_s, 0.99), np.quantile(served_late_s, 0.99)))


def md1_percentile(percentile: float, load: float) -> float:
    """Sojourn time of M/D/1 in units of the service time, by bisection of Erlang's distribution of the waiting time.

    P(W <= t) = (1 - load) * sum over k = 0 .. floor(t) of (load (k - t))^k / k! * exp(-load (k - t)), t in services (Erlang
    1909; Franx 2001).
    """

    def waits_at_most(t: float) -> float:
        terms = [(load * (k - t)) ** k / math.factorial(k) * math.exp(-load * (k - t)) for k in range(math.floor(t) + 1)]
        return (1 - load) * math.fsum(terms)

    low, high = 0.0, 20.0
    if waits_at_most(0.0) >= percentile:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if waits_at_most(middle) >= percentile else (middle, high)
    return 1.0 + high


def poisson_at_half_load(seed: int, seconds: float) -> Schedule:
    return schedule(Arrival.POISSON, 0.5 / SERVICE_S, lead_in_s=0.5, window_s=seconds, rng=np.random.default_rng(seed))


def test_md1_by_its_known_values() -> None:
    """Half of all requests find the server idle at half load; the mean wait is load / (2 (1 - load)) services."""
    assert md1_percentile(0.5, 0.5) == 1.0
    grid = (np.arange(2000) + 0.5) / 2000
    assert np.mean([md1_percentile(p, 0.5) for p in grid]) == pytest.approx(1.5, rel=0.01)


def test_open_loop_agrees_with_queueing_theory(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker of 5 ms at half load is M/D/1. Of a seed whose schedule is a typical one: what differs then is the client's.

    Not the median: exactly half of the requests find the worker idle, so theory's own is anywhere from 1 to 1.4 services.
    """
    with one_worker() as endpoint:
        done = open_loop(endpoint, poisson_at_half_load(seed=229, seconds=6))
    levels = (0.25, 0.75, 0.9, 0.99)
    seen = np.quantile(done.duration_s, levels)
    theory = [SERVICE_S * md1_percentile(level, 0.5) for level in levels]
    both = zip(levels, seen, theory, strict=True)
    shown = ", ".join(f"p{100 * level:g} {1e3 * one:.2f} ({1e3 * other:.2f})" for level, one, other in both)
    noise = f"delays of client and server by the machine, p99: {1e3 * noise_s(done):.2f} ms"
    with capsys.disabled():
        print(f"\n  open loop at half load, ms (M/D/1): {shown}; {noise}")
    agrees = seen == pytest.approx(theory, rel=0.1)
    if not agrees and noise_s(done) > NOISY_S:
        pytest.skip(f"this machine is too busy to keep times of {1e3 * SERVICE_S:g} ms: {noise}")
    assert agrees


def test_open_loop_shows_a_stall_that_a_closed_loop_hides(capsys: pytest.CaptureFixture[str]) -> None:
    """The requests that were due in the stall waited for it; the closed loop asked nothing meanwhile: one in hundreds."""
    with one_worker(*STALLS) as endpoint:
        stalled = open_loop(endpoint, poisson_at_half_load(seed=7, seconds=2.5))
    with one_worker(*STALLS) as endpoint:
        transport = HttpTransport(endpoint)
        closed = run_slice(transport, source_for(transport).requests(0), slice_s=2.5, warm_up_request=True)
        transport.close()
    shown, hidden = np.quantile(stalled.duration_s, 0.99), np.quantile(closed.duration_s, 0.99)
    with capsys.disabled():
        print(
            f"\n  a stall of {STALL_S} s: p99 of the open loop {1e3 * shown:.0f} ms, of the closed loop {1e3 * hidden:.2f} ms"
        )
    assert shown > 0.9 * STALL_S
    assert max(closed.duration_s) > STALL_S, "it happened"
    assert hidden < 0.1 * STALL_S


@pytest.mark.parametrize("arrival", [Arrival.POISSON, Arrival.CONSTANT])
def test_a_schedule_has_the_rate_and_the_gaps_of_its_arrivals(arrival: Arrival) -> None:
    """Over lead-in and window; equal gaps, or exponential ones, whose spread equals their mean; the same for a seed."""
    made = [schedule(arrival, 200.0, lead_in_s=1, window_s=49, rng=np.random.default_rng(3)) for _ in range(2)]
    due_s = made[0].due_s
    assert np.array_equal(due_s, made[1].due_s)
    assert len(due_s) == pytest.approx(10_000, abs=4 * 100)
    assert (np.diff(due_s) >= 0).all()
    assert due_s[0] >= 0
    assert due_s[-1] < 50
    spread = np.diff(due_s).std() / np.diff(due_s).mean()
    assert spread == pytest.approx(1.0 if arrival is Arrival.POISSON else 0.0, abs=0.05)


def test_requests_beyond_all_connections_wait_on_their_own_clock() -> None:
    """Eight at once on two connections of a slow worker: each one's latency holds its wait for a connection."""
    due_s = np.full(8, 0.01)
    with one_worker() as endpoint:
        transports = [HttpTransport(endpoint) for _ in range(2)]
        pool = ConnectionPool(transports)
        done = run_schedule(pool, source_for(transports[0]).requests(0), Schedule(due_s, 0.0, 1.0), connections=1)
        pool.close()
    assert done.scheduled == 8
    assert done.exchanges == 8
    assert (np.sort(done.duration_s) >= SERVICE_S * np.arange(1, 9)).all()


def test_an_overloaded_server_is_given_up_and_what_it_did_not_answer_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times what it carries: the schedule ends, a while later the run ends, and the rest is missing, not invented."""
    monkeypatch.setattr(open_loop_module, "PATIENCE", 1.0)
    plan = schedule(Arrival.CONSTANT, 10 / SERVICE_S, lead_in_s=0.0, window_s=0.5, rng=np.random.default_rng(1))
    with one_worker() as endpoint:
        transports = [HttpTransport(endpoint) for _ in range(64)]
        pool = ConnectionPool(transports)
        done = run_schedule(pool, source_for(transports[0]).requests(0), plan, connections=4)
        pool.close()
    assert done.error is None
    assert done.scheduled == 1000
    assert 0 < done.exchanges < len(done.duration_s) < done.scheduled
    assert saturated(done.scheduled, len(done.duration_s), done.exchanges)


def test_a_server_that_dies_ends_the_schedule_with_an_error() -> None:
    """The error is kept; nothing of the unfinished window counts."""
    with one_worker() as endpoint:
        transports = [HttpTransport(endpoint) for _ in range(4)]
        pool = ConnectionPool(transports)
        pool.gather(4)
    done = run_schedule(pool, source_for(transports[0]).requests(0), Schedule(np.full(3, 0.01), 0.0, 0.1), connections=4)
    pool.close()
    assert isinstance(done.error, ConnectionLost)
    assert not done.duration_s
    assert not done.seconds
