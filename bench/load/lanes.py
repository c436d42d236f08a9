"""A lane: one cell's way through a campaign: its connection, what it sends next, and what it has brought so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, sqrt
from statistics import NormalDist, median
from typing import Any, Protocol

from bench.contract import BackendFailed, ExchangeError, ExchangeTimeout, Payload, SystemUnderTest, Transport, Usage, log_end
from bench.idle import Burner
from bench.load.closed_loop import Slice

_GIVE_UP_AFTER = 6  # errors in a row without an answer between them
_FROZEN = 3  # a time-out weighs as much as three: a frozen server may not hold up the others for long


class Part(StrEnum):
    """What a lane's figures are for."""

    MEASURE = "measure"  # the cell itself
    SAME = "same"  # audit: one payload again and again
    FRESH = "fresh"  # audit: payloads that no server has seen before


@dataclass(frozen=True, slots=True)
class Booked:
    """One slice in the books: where it stood, and sums over its exchanges; `answered` counts the untimed opener too."""

    round_index: int
    position: int
    exchanges: int
    answered: int
    seconds: float
    median_s: float
    cpu_s: float | None
    wait_s: float | None
    throttled: int
    steal_s: float | None
    energy_j: float | None = None


Prepare = Callable[[Payload], Any]
"""From a payload to what the lane's transport sends."""


class Feed(Protocol):
    """Where a lane's payloads come from; their requests are prepared before the clock."""

    @property
    def payloads(self) -> Sequence[Payload]:
        """All payloads so far; an answer names its payload by the index here."""
        ...

    def sendings(self, expected: int) -> Iterator[tuple[int, Any]]:
        """(payload index, request) for the next slice, in which about `expected` are likely to be sent."""
        ...

    def sent(self, index: int) -> None:
        """That request has been answered."""
        ...


class CyclingFeed:
    """The same prepared payloads in turn, wrapping around; goes on in the next slice where the last one ended."""

    def __init__(self, payloads: Sequence[Payload], prepare: Prepare) -> None:
        self.payloads = payloads
        self._requests = [prepare(payload) for payload in payloads]
        self._at = 0

    def sendings(self, expected: int) -> Iterator[tuple[int, Any]]:  # noqa: ARG002 - see Feed
        """Without end."""
        while True:
            index = self._at
            self._at = (index + 1) % len(self._requests)
            yield index, self._requests[index]

    def sent(self, index: int) -> None:
        """Kept: it will be sent again."""


class FreshFeed:
    """Payloads that were never sent before: no cache, of whatever size, can know their answers."""

    def __init__(self, grow: Callable[[], Payload], prepare: Prepare) -> None:
        self.payloads: list[Payload] = []
        self._requests: dict[int, Any] = {}
        self._grow = grow
        self._prepare = prepare

    def sendings(self, expected: int) -> Iterator[tuple[int, Any]]:
        """At most `expected`, built here and now, before the slice."""
        first = len(self.payloads)
        for index in range(first, first + expected):
            self.payloads.append(self._grow())
            self._requests[index] = self._prepare(self.payloads[index])
        return iter([(index, self._requests[index]) for index in range(first, first + expected)])

    def sent(self, index: int) -> None:
        """Never sent again, so let go."""
        self._requests.pop(index, None)


@dataclass(slots=True)
class Lane:
    """State of one lane: it is done after `goal_s` seconds in exchanges and at least `least_slices` slices."""

    part: Part
    system: SystemUnderTest
    transport: Transport[Any]
    feed: Feed
    goal_s: float
    least_slices: int = 1
    burner: Burner | None = None  # where its server is paused outside its slices
    credit_s: float = 0.0
    rate: float = 1.0
    booked: list[Booked] = field(default_factory=list)
    duration_s: list[float] = field(default_factory=list)
    round_index: list[int] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[ExchangeError] = field(default_factory=list)
    reconnects: int = 0
    measured_s: float = 0.0
    squares_s2: float = 0.0
    warm_up_s: list[float] = field(default_factory=list)
    failures_in_a_row: int = 0
    retired: str = ""  # why it takes no part any more
    finished: bool = False
    typical_s: float = 0.0
    threads: int | None = None
    _kept: dict[int, bytes] = field(default_factory=dict)

    def book(
        self,
        done: Slice,
        round_index: int,
        position: int,
        before: Usage | None,
        after: Usage | None,
        steal_s: float | None,
        energy_j: float | None = None,
    ) -> None:
        """Take over what a slice brought."""
        self.reconnects += done.reconnects
        self.keep(done.answers)
        if not done.duration_s:
            return
        self.failures_in_a_row = 0
        seconds, middle = sum(done.duration_s), median(done.duration_s)
        self.booked.append(
            Booked(
                round_index=round_index,
                position=position,
                exchanges=len(done.duration_s),
                answered=len(done.answers),
                seconds=seconds,
                median_s=middle,
                cpu_s=after.cpu_s - before.cpu_s if before and after else None,
                wait_s=_difference(before, after),
                throttled=after.throttled - before.throttled if before and after else 0,
                steal_s=steal_s,
                energy_j=energy_j,
            )
        )
        if after is not None:
            self.threads = max(self.threads or 0, after.threads)
        self.duration_s.extend(done.duration_s)
        self.round_index.extend([round_index] * len(done.duration_s))
        self.measured_s += seconds
        self.squares_s2 += sum(duration * duration for duration in done.duration_s)
        self.typical_s = middle if not self.typical_s else 0.8 * self.typical_s + 0.2 * middle

    def book_warm_up(self, done: Slice) -> None:
        """Take over one untimed exchange, untimed in that its duration is no part of the cell's figures."""
        self.keep(done.answers)
        if done.duration_s:
            self.failures_in_a_row = 0
            self.warm_up_s.extend(done.duration_s)
            self.typical_s = median(self.warm_up_s[-20:])

    def note_error(self, error: ExchangeError, alive: bool) -> None:
        """Count an error; the lane retires when its server is dead or answers nothing any more."""
        self.errors.append(error)
        self.failures_in_a_row += _FROZEN if isinstance(error, ExchangeTimeout) else 1
        if not alive:
            self.retired = f"the server died; the last error: {error}\n{log_end(self.system)}"
        elif self.failures_in_a_row >= _GIVE_UP_AFTER:
            words = "gave up after errors in a row and no answer between them"
            self.retired = f"{words}; the last: {error}\n{log_end(self.system)}"

    def note_disobedience(self, error: BackendFailed) -> None:
        """Retire for a server that cannot be paused or woken."""
        self.retired = f"{error}\n{log_end(self.system)}"

    def note_death(self) -> None:
        """Retire for a server that is dead, though what it left behind goes on answering."""
        what = "the server's first process died, while others that it had started went on answering"
        self.retired = f"{what}\n{log_end(self.system)}"

    def relative_margin(self, confidence: float) -> float:
        """Half the interval of the mean duration over the mean, as pytest-benchmark's --benchmark-precision means it."""
        n = len(self.duration_s)
        if n < 2 or not self.measured_s:
            return inf
        mean = self.measured_s / n
        variance = max(0.0, (self.squares_s2 - n * mean * mean) / (n - 1))
        return NormalDist().inv_cdf(0.5 + confidence / 2) * sqrt(variance / n) / mean

    def keep(self, answers: list[tuple[int, bytes]]) -> None:
        """Keep every answer; one that equals the last one to the same payload shares its bytes, so that memory stays small."""
        for index, body in answers:
            kept = self._kept.setdefault(index, body)
            if kept != body:
                self._kept[index] = kept = body
            self.answers.append((index, kept))
            self.feed.sent(index)


def _difference(before: Usage | None, after: Usage | None) -> float | None:
    if before is None or after is None or before.wait_s is None or after.wait_s is None:
        return None
    return after.wait_s - before.wait_s
