"""A lane: one cell's way through a campaign: how it asks, what it sends next, and what it has brought so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, sqrt
from statistics import NormalDist, median

from bench.contract.errors import BackendFailed, ExchangeError, ExchangeTimeout
from bench.contract.system import SystemUnderTest, Usage, log_end
from bench.load.closed_loop import Slice
from bench.load.load_patterns import Drive
from bench.load.payload_sources import Feed
from bench.machine.idle_cpu import Burner

_GIVE_UP_AFTER = 6  # errors in a row without an answer between them
_FROZEN = 3  # a time-out weighs as much as three: a frozen server may not hold up the others for long
_TIMEOUTS = 6  # also with answers between them: its row is FAILED with the first, and each costs all others its deadline


class Part(StrEnum):
    """What a lane's figures are for."""

    MEASURE = "measure"  # the cell itself
    SAME = "same"  # audit: one payload again and again
    FRESH = "fresh"  # audit: payloads that no server has seen before


@dataclass(frozen=True, slots=True)
class Booked:
    """One slice in the books: where it stood, and sums over its exchanges; `answered` counts the untimed ones too.

    `pace_s` is what the slice says of the speed: the median seconds an exchange of one client, of several the seconds for
    each answer. `scheduled`, `timed` and `peak_per_s` are an open loop's; see `Slice`.
    """

    round_index: int
    position: int
    exchanges: int
    answered: int
    seconds: float
    pace_s: float
    cpu_s: float | None
    wait_s: float | None
    throttled: int
    steal_s: float | None
    scheduled: int = 0
    timed: int = 0
    peak_per_s: float | None = None
    energy_j: float | None = None


@dataclass(slots=True)
class Lane:
    """State of one lane: it is done after `goal_s` seconds in exchanges and at least `least_slices` slices.

    `least_exchanges` are waited for as well, but no longer than three times `goal_s`. `clients` are at it at once.
    """

    part: Part
    system: SystemUnderTest
    drive: Drive
    feed: Feed
    goal_s: float
    least_slices: int = 1
    least_exchanges: int = 0
    clients: int = 1
    endpoint: str = ""
    burner: Burner | None = None  # where its server is paused outside its slices
    credit_s: float = 0.0
    rate: float = 1.0
    booked: list[Booked] = field(default_factory=list)
    duration_s: list[float] = field(default_factory=list)
    round_index: list[int] = field(default_factory=list)
    lag_s: list[float] = field(default_factory=list)
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
        if not done.seconds:
            return
        if done.exchanges:
            self.failures_in_a_row = 0
        several = self.clients > 1 or not done.duration_s
        pace_s = done.seconds / max(done.exchanges, 1) if several else median(done.duration_s)
        self.booked.append(
            Booked(
                round_index=round_index,
                position=position,
                exchanges=done.exchanges,
                answered=len(done.answers),
                seconds=done.seconds,
                pace_s=pace_s,
                cpu_s=after.cpu_s - before.cpu_s if before and after else None,
                wait_s=_difference(before, after),
                throttled=after.throttled - before.throttled if before and after else 0,
                steal_s=steal_s,
                scheduled=done.scheduled,
                timed=len(done.duration_s),
                peak_per_s=done.peak_per_s,
                energy_j=energy_j,
            )
        )
        if after is not None:
            self.threads = max(self.threads or 0, after.threads)
        self.duration_s.extend(done.duration_s)
        self.round_index.extend([round_index] * len(done.duration_s))
        self.lag_s.extend(done.lag_s)
        self.measured_s += done.seconds
        self.squares_s2 += sum(duration * duration for duration in done.duration_s)
        self.typical_s = pace_s if not self.typical_s else 0.8 * self.typical_s + 0.2 * pace_s

    def book_warm_up(self, done: Slice) -> None:
        """Take over untimed exchanges, untimed in that their durations are no part of the cell's figures."""
        self.keep(done.answers)
        if done.duration_s:
            self.failures_in_a_row = 0
            self.warm_up_s.extend(done.duration_s)
            self.typical_s = median(self.warm_up_s[-20:]) / self.clients

    def note_error(self, error: ExchangeError, alive: bool) -> None:
        """Count an error; the lane retires when its server is dead or answers nothing any more."""
        self.errors.append(error)
        self.failures_in_a_row += _FROZEN if isinstance(error, ExchangeTimeout) else 1
        if not alive:
            self.retired = f"the server died; the last error: {error}\n{log_end(self.system)}"
        elif self.failures_in_a_row >= _GIVE_UP_AFTER:
            words = "gave up after errors in a row and no answer between them"
            self.retired = f"{words}; the last: {error}\n{log_end(self.system)}"
        elif sum(isinstance(each, ExchangeTimeout) for each in self.errors) >= _TIMEOUTS:
            self.retired = f"gave up after {_TIMEOUTS} time-outs; the last: {error}\n{log_end(self.system)}"

    def note_silence(self, error: ExchangeError) -> None:
        """Retire with all others that ask the same endpoint: one look for all of them got no answer either."""
        what = "gave up: its server had stopped answering, and one more look at this endpoint got no answer"
        self.retired = f"{what}; the last: {error}\n{log_end(self.system)}"

    def note_slowness(self, limit_s: float) -> None:
        """Retire for a server whose warm-up does not come to its end."""
        what = f"gave up in the warm-up: it was not over after {limit_s:g} s, an answer takes {self.typical_s:.3g} s by now"
        self.retired = f"{what}\n{log_end(self.system)}"

    def note_disobedience(self, error: BackendFailed) -> None:
        """Retire for a server that cannot be paused or woken."""
        self.retired = f"{error}\n{log_end(self.system)}"

    def note_death(self) -> None:
        """Retire for a server that is dead, though what it left behind goes on answering."""
        what = "the server died, though no exchange failed: others that it had started answered, or nobody asked it any more"
        self.retired = f"{what}\n{log_end(self.system)}"

    def relative_margin(self, confidence: float) -> float:
        """Half the interval of the mean duration over the mean, as pytest-benchmark's --benchmark-precision means it."""
        n = len(self.duration_s)
        if n < 2 or not self.measured_s:
            return inf
        mean = sum(self.duration_s) / n
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
