"""Open loop: requests are sent on a schedule, whatever the server does; latency counts from the scheduled send. Timed code.

A client that waits for an answer before it sends again sends less while the server stalls, and so leaves out the very samples
that the stall would have spoilt (coordinated omission). Here a stall delays every request that was due meanwhile.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contract.errors import ExchangeError
from bench.contract.scenarios import Arrival
from bench.load.closed_loop import Begin, Requests, Slice, Trace, without_garbage_collection
from bench.load.connection_pool import ConnectionPool

LATE_S = 0.001
"""A request sent more than this many seconds after its scheduled time counts as a late send."""

LATE_ABOVE = 0.01
"""A window with a larger part of late sends than this did not keep its schedule."""

_SPIN_S = 0.003  # this close to a send the client does not sleep: waking up can take a millisecond and more
_WAKE_EARLY_S = 0.002
_GREET_S = 1.0
_OPENING_S = 0.1  # before the schedule: opening one takes as long as many fast requests, which would queue up meanwhile
PATIENCE = 3.0  # window lengths after the schedule's end until missing answers are given up


def kept_schedule(lag_s: Sequence[float]) -> bool:
    """Whether the client sent a window's requests [n] in time; only the sends decide, not how long the answers took."""
    return sum(lag > LATE_S for lag in lag_s) <= LATE_ABOVE * len(lag_s)


def in_time(window: Slice) -> bool:
    """Whether its requests were sent in time; with several agents, by each of them."""
    return not window.behind and kept_schedule(window.lag_s)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When requests are due: `due_s` [n], seconds from the start, ascending; those after the lead-in are timed."""

    due_s: npt.NDArray[np.float64]
    lead_in_s: float
    window_s: float


def schedule(arrival: Arrival, rate_per_s: float, *, lead_in_s: float, window_s: float, rng: np.random.Generator) -> Schedule:
    """A schedule at `rate_per_s` for lead-in and window, with equal gaps or exponential ones (a Poisson process)."""
    length_s = lead_in_s + window_s
    if arrival is Arrival.POISSON:
        # A Poisson process has a Poisson number of points, each uniformly distributed.
        due_s: npt.NDArray[np.float64] = np.sort(rng.random(rng.poisson(rate_per_s * length_s)) * length_s)
    else:
        due_s = (np.arange(max(1, round(rate_per_s * length_s)), dtype=np.float64) + 0.5) / rate_per_s
    return Schedule(due_s, lead_in_s, window_s)


def run_schedule(
    pool: ConnectionPool,
    requests: Requests,
    plan: Schedule,
    *,
    connections: int,
    most: int | None = None,
    begin: Begin | None = None,
    trace: Trace | None = None,
) -> Slice:
    """Send on schedule, each request on an idle connection, else on a new one, else as soon as one is idle.

    `connections` are open from the start, and as many more as can be opened in a moment, but never more than `most` (None:
    the whole pool). Latency counts from the scheduled send, so it includes any wait for a connection.
    Waits until all answers are in, or until some time after the schedule's end: an overloaded server may never finish.
    Requests unanswered by then count in `scheduled` but have no duration. An error ends it, and only its answers are kept.

    With several agents, `begin` returns their common start; exchanges are appended to `trace`.
    """
    run = _OpenLoop(pool, requests, plan, most, begin, trace)
    before = pool.reconnects
    try:
        with without_garbage_collection():
            run.to_the_end(connections)
    except ExchangeError as error:
        run.outcome = Slice(answers=run.outcome.answers, error=error)
        pool.close()
    run.outcome.reconnects = pool.reconnects - before
    return run.outcome


class _OpenLoop:
    """State of `run_schedule`; `_window` is the range of the numbers of the timed requests."""

    __slots__ = (
        *("_asked", "_begin", "_clock", "_due", "_end_s", "_idle", "_most", "_plan", "_pool", "_requests", "_sent_at"),
        *("_start", "_trace", "_waiting", "_window", "outcome"),
    )

    def __init__(
        self,
        pool: ConnectionPool,
        requests: Requests,
        plan: Schedule,
        most: int | None,
        begin: Begin | None,
        trace: Trace | None,
    ) -> None:
        self._pool = pool
        self._clock = pool.clock
        self._begin = begin
        self._trace = trace
        self._most = most
        self._requests = requests
        self._plan = plan
        self._due: Sequence[float] = plan.due_s.tolist()
        self._end_s = plan.lead_in_s + plan.window_s
        first, last = np.searchsorted(plan.due_s, [plan.lead_in_s, self._end_s])
        self._window = range(int(first), int(last))
        self._idle: list[int] = []
        self._asked: dict[int, tuple[int, int]] = {}  # connection -> (number in the schedule, payload index)
        self._sent_at: dict[int, float] = {}  # by connection
        self._waiting: deque[int] = deque()
        self._start = 0.0
        self.outcome = Slice(seconds=plan.window_s, scheduled=len(self._window))

    def to_the_end(self, connections: int) -> None:
        """Follow the schedule, then wait for the answers under way."""
        pool, due = self._pool, self._due
        self._open(connections)
        give_up_s = self._end_s + PATIENCE * max(self._plan.window_s, 1.0)
        self._start = self._clock() + _SPIN_S if self._begin is None else self._begin()
        number = 0
        while number < len(due) or pool.busy:
            number, now = self._send_due(number)
            if now > give_up_s:
                pool.close()
                return
            left_s = due[number] - now if number < len(due) else give_up_s - now
            pool.take(left_s - _WAKE_EARLY_S if left_s > _SPIN_S else 0.0, self._answered)

    def _open(self, connections: int) -> None:
        """Open `connections` connections, then as many more as are allowed and can be opened within _OPENING_S."""
        opened = list(self._pool.gather(connections))
        for connection in sorted(self._pool.fresh):
            self._greet(connection)
        stop_at = self._clock() + _OPENING_S
        while self._clock() < stop_at and (another := self._pool.grow(self._most)) is not None:
            self._greet(another)
            opened.append(another)
        self._idle = opened[::-1]

    def _greet(self, connection: int) -> None:
        """Send one untimed request on a new connection: a server may tie up a thread for a client that has sent nothing yet."""
        index, request = next(self._requests)

        def keep(_: int, body: bytes) -> None:
            self.outcome.answers.append((index, body))

        self._pool.start(connection, request)
        while self._pool.busy:
            self._pool.take(_GREET_S, keep)

    def _send_due(self, number: int) -> tuple[int, float]:
        """Send all due requests before any answer is read; returns the next request's number, and the time since the start."""
        due = self._due
        now = self._clock() - self._start
        while number < len(due) and due[number] <= now:
            if number in self._window:
                self.outcome.lag_s.append(now - due[number])
            connection = self._idle.pop() if self._idle else self._pool.grow(self._most)
            if connection is None:
                self._waiting.append(number)
            else:
                self._send(connection, number)
            number += 1
            now = self._clock() - self._start
        return number, now

    def _send(self, connection: int, number: int) -> None:
        index, request = next(self._requests)
        self._asked[connection] = (number, index)
        self._sent_at[connection] = self._pool.start(connection, request)

    def _answered(self, connection: int, body: bytes) -> Any:
        now = self._clock() - self._start
        number, index = self._asked[connection]
        outcome = self.outcome
        outcome.answers.append((index, body))
        if self._trace is not None:
            self._trace.append((self._due[number], self._sent_at[connection] - self._start, now))
        if number in self._window:
            outcome.duration_s.append(now - self._due[number])
        if self._plan.lead_in_s <= now < self._end_s:
            outcome.exchanges += 1
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)
