"""A pool of connections to one endpoint, driven by one event loop; knows nothing of schedules, or of what bytes mean.

Every connection has at most one exchange under way. The loop takes answers as the kernel reports them; the load pattern
decides what is sent next, and when.
"""

import os
import select
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from bench.contract.errors import ExchangeTimeout
from bench.contract.wire import DEADLINE_S, MultiplexedTransport

_BOTH = select.EPOLLIN | select.EPOLLOUT
_EVENTS_AT_ONCE = 4  # few, so that an open loop can follow its schedule in between
BUSY_POLL_S = 0.001
"""Seconds of busy polling for answers before the client sleeps, if no server shares its CPU.

On a virtual machine, waking a sleeping client CPU costs a server that answers more often than that 6 to 8 % of its time.
"""
_CHECKS = 10  # for exchanges beyond the deadline, in each deadline's time

Answered = Callable[[int, bytes], object]
"""Called with the connection's number and a complete answer; the connection can be sent on again."""


class ConnectionPool:
    """Connections by number, of which the first few are open; `busy` are those with an exchange under way.

    `reconnects` counts those that were opened again because their server had closed them. `busy_poll_s` must be 0 if a server
    runs on the client's CPU; with `takes_turns`, each poll yields that CPU to other clients that poll on it. All times are by
    `clock`, in seconds.
    """

    def __init__(
        self,
        transports: Sequence[MultiplexedTransport[Any]],
        *,
        deadline_s: float = DEADLINE_S,
        busy_poll_s: float = 0.0,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.clock = clock
        self._transports = transports
        self._deadline_s = deadline_s
        self.busy_poll_s = busy_poll_s
        self.takes_turns = False
        self._epoll = select.epoll()
        self._descriptor: list[int] = []  # of each open connection
        self._number: dict[int, int] = {}  # by descriptor
        self._sending: set[int] = set()  # those whose request is not yet fully sent: the socket is full
        self._started_at = [0.0] * len(transports)
        self._heard_at = 0.0
        self._checked_at = 0.0
        self._unwatched: set[int] = set()  # idle ones that the server closed: reopened when they are needed
        self.reconnects = 0
        self.busy: set[int] = set()
        self.fresh: set[int] = set()

    def __len__(self) -> int:
        return len(self._transports)

    @property
    def prepare(self) -> Callable[..., Any]:
        """Turns a payload into the request to send; the same for all connections."""
        return self._transports[0].prepare

    def gather(self, count: int) -> range:
        """Open exactly the first `count` connections, none of them busy; returns their numbers. Raises ConnectionLost.

        `fresh` are the connections on which nothing was sent since they were opened.
        """
        if self.busy:
            self.close()
        while len(self._descriptor) > count:
            self._forget(number := len(self._descriptor) - 1)
            self._descriptor.pop()
            self._unwatched.discard(number)
            self.fresh.discard(number)
            self._transports[number].close()
        for number in range(len(self._descriptor)):
            self.mend(number)
        while len(self._descriptor) < count:
            self.grow()
        return range(count)

    def grow(self, most: int | None = None) -> int | None:
        """Open one more connection; returns its number, or None if all, or `most`, are open. Raises ConnectionLost."""
        number = len(self._descriptor)
        if number in (most, len(self._transports)):
            return None
        self._transports[number].connect()
        self._descriptor.append(-1)
        self._watch(number)
        self.fresh.add(number)
        return number

    def mend(self, number: int) -> None:
        """Reopen that idle connection if its server closed it; raises ConnectionLost."""
        reopened = self._transports[number].ensure_connected()
        self.reconnects += reopened
        if reopened:
            self.fresh.add(number)
        if reopened or number in self._unwatched:
            self._watch(number)

    def start(self, number: int, request: Any) -> float:
        """Send the first bytes of a request on that connection; returns the time of sending. Raises ExchangeError."""
        transport = self._transports[number]
        if transport.spent or number in self._unwatched:
            self.mend(number)
        now = self._started_at[number] = self.clock()
        if not self.busy:
            self._heard_at = now
        self.busy.add(number)
        self.fresh.discard(number)
        transport.start(request)
        if transport.unsent:
            self._sending.add(number)
            self._epoll.modify(self._descriptor[number], _BOTH)
        return now

    def take(self, wait_s: float, answered: Answered) -> None:
        """Wait at most `wait_s` seconds, then hand over each complete answer.

        Raises ExchangeError, also if one answer is not complete within the deadline, even if others were answered meanwhile.
        """
        events = self._poll(wait_s)
        if not events:
            if self.busy and self.clock() - self._heard_at > self._deadline_s:
                waited = f"{len(self.busy)} connections waited {self._deadline_s:g} s for an answer"
                raise ExchangeTimeout(f"{waited}, and none got one")
            return
        self._heard_at = self.clock()
        for descriptor, _ in events:
            number = self._number[descriptor]
            if number not in self.busy:
                self._forget(number)
                self._unwatched.add(number)
                continue
            transport = self._transports[number]
            body = transport.advance()
            if self._sending and number in self._sending and not transport.unsent:
                self._sending.discard(number)
                self._epoll.modify(descriptor, select.EPOLLIN)
            if body is not None:
                self.busy.discard(number)
                answered(number, body)
        if self._heard_at - self._checked_at > self._deadline_s / _CHECKS:
            self._check_deadlines()

    def _poll(self, wait_s: float) -> list[tuple[int, int]]:
        poll = self._epoll.poll
        busy_s = min(wait_s, self.busy_poll_s)
        if busy_s > 0:
            takes_turns, stop_at = self.takes_turns, perf_counter() + busy_s
            while not (events := poll(0, _EVENTS_AT_ONCE)) and perf_counter() < stop_at:
                if takes_turns:
                    os.sched_yield()
            if events or busy_s == wait_s:
                return events
            wait_s -= busy_s
        elif self.takes_turns:
            os.sched_yield()
        return poll(wait_s, _EVENTS_AT_ONCE)

    def _check_deadlines(self) -> None:
        self._checked_at = self._heard_at
        for number in self.busy:
            if self._heard_at - self._started_at[number] > self._deadline_s:
                raise ExchangeTimeout(f"connection {number}: no complete answer within {self._deadline_s:g} s")

    def close(self) -> None:
        """Close all connections, busy ones too; `gather` opens them again."""
        for number in range(len(self._descriptor)):
            self._forget(number)
        self._descriptor.clear()
        self._number.clear()
        self._sending.clear()
        self._unwatched.clear()
        self.busy.clear()
        self.fresh.clear()
        for transport in self._transports:
            transport.close()

    def _watch(self, number: int) -> None:
        self._forget(number)
        descriptor = self._transports[number].fileno()
        self._epoll.register(descriptor, select.EPOLLIN)
        self._descriptor[number], self._number[descriptor] = descriptor, number
        self._unwatched.discard(number)

    def _forget(self, number: int) -> None:
        """Stop watching a connection; the kernel has already dropped a descriptor that was closed meanwhile."""
        descriptor = self._descriptor[number]
        if self._number.get(descriptor) == number:
            del self._number[descriptor]
            try:
                self._epoll.unregister(descriptor)
            except OSError:
                return
