"""Closed loops: each client, of one or of several at once, sends its next request after its last answer. Timed code."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from time import perf_counter
from typing import Any, TypeVar

from bench.contract.errors import ExchangeError
from bench.contract.wire import Transport
from bench.load.connection_pool import ConnectionPool

Request = TypeVar("Request")
Requests = Iterator[tuple[int, Any]]
"""(payload index, request), in the order of sending."""

Begin = Callable[[], float]
"""Called once all connections are open; returns the start, by the clock of the connections. Raises ExchangeError."""

Trace = list[tuple[float, float, float]]
"""One row for each exchange, in the order answered; times are seconds since the start, by the clock of the connections.

A row is (number of the connection, sent, answered) for clients, (due, sent, answered) for a schedule.
"""


@dataclass(slots=True)
class Slice:
    """What one slice measured: `duration_s` [n], seconds of its timed exchanges, and every answer, untimed ones included.

    Throughput is `exchanges` answered within `seconds`. For one client, `seconds` is the sum of its durations; for several, the
    window in which all of them sent; for an open loop, the window of its schedule. In the latter two, `duration_s` covers the
    requests that were sent (several clients) or due (open loop) within the window, whenever they were answered: counting those
    answered in it would leave out any that take longer than the window.
    `answers` holds (payload index, body) in the order received; `reconnects` counts connections reopened outside the clock;
    `error` is what ended the slice early. For an open loop, `scheduled` counts the requests due within the window, `lag_s`
    [scheduled] is how late each was sent, and `peak_per_s` the server's peak measured just before, in requests per second.
    `repeated` counts windows that are to be measured again, since they were late or lost an agent: only their answers count.
    `client_share` is the part of the slice in which the client itself used its CPU, 0 if it was not measured.

    `agents` is how many load agents sent the slice together, 0 if this process sent it. With agents, `clock_error_s` is by how
    much the borders of their windows may lie apart, `behind` names those that did not keep their schedule (empty if all did),
    and `answers` holds a digest in place of each body.
    """

    duration_s: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    seconds: float = 0.0
    exchanges: int = 0
    reconnects: int = 0
    error: ExchangeError | None = None
    scheduled: int = 0
    lag_s: list[float] = field(default_factory=list)
    peak_per_s: float | None = None
    repeated: int = 0
    client_share: float = 0.0
    agents: int = 0
    clock_error_s: float = 0.0
    behind: str = ""


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Postpone garbage collection until after the slice."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def run_slice(
    transport: Transport[Request],
    requests: Iterator[tuple[int, Request]],
    *,
    slice_s: float,
    warm_up_request: bool,
    most: int | None = None,
) -> Slice:
    """One client exchanges for about `slice_s` seconds, at least once, at most `most` times or until `requests` ends.

    A `warm_up_request` is one untimed exchange before the first timed one: it warms caches that other slices have cooled. An
    error ends the slice and is in `Slice.error`; what was timed before it counts.
    """
    outcome = Slice()
    durations, answers = outcome.duration_s, outcome.answers
    exchange = transport.exchange
    try:
        with without_garbage_collection():
            outcome.reconnects += transport.ensure_connected()
            if warm_up_request:
                index, request = next(requests)
                answers.append((index, exchange(request)))
            stop_at = perf_counter() + slice_s
            for index, request in requests:
                if transport.spent:
                    outcome.reconnects += transport.ensure_connected()
                start = perf_counter()
                body = exchange(request)
                end = perf_counter()
                durations.append(end - start)
                answers.append((index, body))
                if end >= stop_at or len(durations) == most:
                    break
    except ExchangeError as error:
        outcome.error = error
    except StopIteration:
        pass  # no payload at all: nothing to send
    outcome.seconds, outcome.exchanges = sum(durations), len(durations)
    return outcome


def run_clients(
    pool: ConnectionPool,
    clients: int,
    requests: Requests,
    *,
    slice_s: float,
    lead_in_s: float = 0.0,
    begin: Begin | None = None,
    trace: Trace | None = None,
) -> Slice:
    """Run `clients` at once, each sending its next request after its last answer, for about `slice_s` seconds.

    The window opens once every client has had one untimed answer and `lead_in_s` is over, and closes with the first answer
    after `slice_s`, so it begins and ends with an answer while all clients are sending. The requests sent in it are timed; all
    clients go on until the last of those is answered, and then requests still under way are waited for. An error ends the
    slice and drops requests under way; if the window had not closed by then, nothing of it counts.

    With several agents, `begin` returns their common start, from which the lead-in counts; exchanges are appended to `trace`.
    """
    run = _Clients(pool, clients, requests, slice_s, lead_in_s, begin, trace)
    before = pool.reconnects
    try:
        with without_garbage_collection():
            run.to_the_end()
    except ExchangeError as error:
        run.outcome.error = error
        pool.close()
    if not run.outcome.seconds:
        run.outcome.duration_s.clear()
        run.outcome.exchanges = 0
    run.outcome.reconnects = pool.reconnects - before
    return run.outcome


class _Clients:
    """State of `run_clients`."""

    __slots__ = (
        *(
            "_asked",
            "_begin",
            "_begun_at",
            "_clock",
            "_pool",
            "_requests",
            "_lead_in_s",
            "_open_from",
            "_opened_at",
            "_sent_at",
            "_slice_s",
            "_stop_at",
        ),
        *("_timed", "_trace", "_unanswered", "outcome"),
    )

    def __init__(
        self,
        pool: ConnectionPool,
        clients: int,
        requests: Requests,
        slice_s: float,
        lead_in_s: float,
        begin: Begin | None,
        trace: Trace | None,
    ) -> None:
        self.outcome = Slice()
        self._pool = pool
        self._clock = pool.clock
        self._begin = begin
        self._begun_at = 0.0
        self._trace = trace
        self._requests = requests
        self._slice_s = slice_s
        self._lead_in_s = lead_in_s
        self._open_from = inf
        self._unanswered = set(range(clients))
        self._asked = [0] * clients
        self._sent_at = [0.0] * clients
        self._timed: set[int] = set()  # connections whose request under way was sent in the window
        self._opened_at: float | None = None
        self._stop_at = inf

    def to_the_end(self) -> None:
        """Send on all connections, and go on until none is busy."""
        pool = self._pool
        numbers = pool.gather(len(self._asked))
        if self._begin is not None:
            self._begun_at = self._begin()
        for number in numbers:
            self._send(number)
        self._open_from = (max(self._sent_at) if self._begin is None else self._begun_at) + self._lead_in_s
        while pool.busy:
            pool.take(1.0, self._answered)

    def _send(self, number: int) -> None:
        self._asked[number], request = next(self._requests)
        self._sent_at[number] = self._pool.start(number, request)

    def _answered(self, number: int, body: bytes) -> None:
        now = self._clock()
        outcome = self.outcome
        outcome.answers.append((self._asked[number], body))
        if self._trace is not None:
            self._trace.append((number, self._sent_at[number] - self._begun_at, now - self._begun_at))
        if number in self._timed:
            outcome.duration_s.append(now - self._sent_at[number])
            self._timed.discard(number)
        if self._opened_at is None:
            self._unanswered.discard(number)
            if not self._unanswered and now >= self._open_from:
                self._opened_at, self._stop_at = now, now + self._slice_s
        elif not outcome.seconds:
            outcome.exchanges += 1
            if now >= self._stop_at:
                outcome.seconds = now - self._opened_at
        if self._opened_at is not None and not outcome.seconds:
            self._timed.add(number)
        if self._timed or not outcome.seconds:
            self._send(number)
