"""The campaign: decides whose turn it is. All lanes are up at once and idle; rounds of short, shuffled slices.

The host's speed drifts within tenths of a second, so what is compared must be near in time. In every round each lane earns
one slice's worth of time and spends it as soon as it has it, at least one exchange at a time: a lane of slow exchanges takes
part in every few rounds, and all end in about the same round.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from bench.contract.errors import BackendFailed, ExchangeError, ExchangeTimeout
from bench.load.closed_loop import Slice
from bench.load.lane import Lane, Part
from bench.machine.host import EnergyClock, StealClock
from bench.machine.idle_cpu import awake

_OPENER_BELOW = 0.25  # of a slice: an exchange faster than this is "fast", and its slice opens with an untimed one
_PROGRESS_EVERY_S = 0.5
_WARM_UP_LIMIT_S = 600.0  # of one lane, while all others wait; that is 0.6 s for each of 1000 images
_SILENT_AFTER = 2  # time-outs in a row at one endpoint, whichever lanes asked
_STRETCH = 3.0  # times a lane's measuring time, where it waits for a number of exchanges


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and in which order: times in seconds; `min_rounds`, `precision`, `confidence` as in pytest-benchmark."""

    max_time_s: float
    slice_s: float = 0.02
    min_rounds: int = 5
    precision: float | None = None
    confidence: float = 0.99
    seed: int = 42

    def __post_init__(self) -> None:
        if self.max_time_s <= 0 or self.slice_s <= 0:
            raise ValueError("max_time_s and slice_s must be above 0")

    def with_times(self, max_time_s: float, slice_s: float) -> Settings:
        """The same order and precision, with other times."""
        return replace(self, max_time_s=max_time_s, slice_s=slice_s)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign stands, for the line that a person sees; `step` is `warm-up` or `measure`."""

    step: str
    round_index: int
    active: int
    lanes: int
    done_fraction: float
    left_s: float

    @property
    def done(self) -> bool:
        """Nothing is left of the last step."""
        return self.step == "measure" and self.done_fraction >= 1.0


class Campaign:
    """Runs the lanes to their goals; afterwards each lane holds what it brought."""

    def __init__(self, lanes: list[Lane], settings: Settings, report: Callable[[Progress], None]) -> None:
        self._lanes = lanes
        self._settings = settings
        self._report = report
        self._random = random.Random(settings.seed)  # noqa: S311 - an order of slices, not a secret
        self._started_at = 0.0
        self._reported_at = -math.inf
        self._timed_out: Counter[tuple[str, str]] = Counter()  # in a row, by backend and endpoint
        self.rounds = 0
        self.wall_s = 0.0

    def run(self) -> None:
        """Warm up every lane, then go round until all are finished or retired; connections are closed in any case."""
        try:
            self._warm_up_all()
            self._go_round()
            self._note_the_dead()
        finally:
            self._close()

    def pass_once(self, exchanges: int | None = None) -> None:
        """Only the warm-up's pass over each lane's payloads, or over its first `exchanges`: accuracy, and the smoke test."""
        try:
            self._warm_up_all(exchanges)
            self._note_the_dead()
        finally:
            self._close()

    def _close(self) -> None:
        for lane in self._lanes:
            lane.drive.close()

    def _note_the_dead(self) -> None:
        """A supervisor that was killed can leave workers that answer; what is measured then is no server that anybody runs."""
        for lane in self._lanes:
            if not lane.retired and not lane.system.is_alive():
                lane.note_death()

    def _warm_up_all(self, exchanges: int | None = None) -> None:
        self._started_at = perf_counter()
        for number, lane in enumerate(self._lanes):
            try:
                if not lane.retired:
                    with awake(lane.burner):
                        self._warm_up(lane, exchanges)
            except BackendFailed as error:
                lane.note_disobedience(error)
            self._look_around(lane)
            self._tell("warm-up", (number + 1) / len(self._lanes), number + 1)

    def exchange_share(self) -> float:
        """Part of the measuring's wall time that was spent inside timed exchanges."""
        return sum(lane.measured_s for lane in self._lanes) / self.wall_s if self.wall_s else 0.0

    def _warm_up(self, lane: Lane, exchanges: int | None) -> None:
        """The measuring lane's payloads once each, which answers every image of the dataset; an audit lane's first two.

        Lanes under load come after those, and warm up as long as they need to.
        """
        count = exchanges or (len(lane.feed.payloads) if lane.part is Part.MEASURE else 2)
        give_up_at = perf_counter() + _WARM_UP_LIMIT_S
        for done in lane.drive.warm_up(lane.feed, count):
            lane.book_warm_up(done)
            self._note_error(lane, done)
            if perf_counter() > give_up_at and not lane.retired:
                lane.note_slowness(_WARM_UP_LIMIT_S)
            if lane.retired:
                return

    def _note_error(self, lane: Lane, done: Slice) -> None:
        asked = (lane.system.backend.name, lane.endpoint)
        if done.answers:
            self._timed_out[asked] = 0
        if done.error is not None:
            lane.note_error(done.error, lane.system.is_alive())
            self._timed_out[asked] += isinstance(done.error, ExchangeTimeout)

    def _look_around(self, silent: Lane) -> None:
        """Where an endpoint fell silent: ask each of its server's once, its own first; those without an answer are given up.

        Otherwise each lane would find out for itself, and cost all others its time-outs. A server that answers goes on.
        """
        asked = (silent.system.backend.name, silent.endpoint)
        if self._timed_out[asked] < _SILENT_AFTER:
            return
        self._timed_out[asked] = 0
        left = [lane for lane in self._lanes if lane.system is silent.system and not lane.retired and not lane.finished]
        for endpoint in sorted({lane.endpoint for lane in left}, key=lambda name: (name != silent.endpoint, name)):
            lanes = [lane for lane in left if lane.endpoint == endpoint]
            error = self._look(lanes[0])
            if isinstance(error, ExchangeTimeout):
                for lane in lanes:
                    lane.note_silence(error)
            elif endpoint == silent.endpoint:
                return

    @staticmethod
    def _look(lane: Lane) -> ExchangeError | None:
        try:
            with awake(lane.burner):
                seen = lane.drive.look(lane.feed.sendings(1))
        except BackendFailed as error:
            lane.note_disobedience(error)
            return None
        lane.keep(seen.answers)
        lane.reconnects += seen.reconnects
        if seen.error is not None:
            lane.errors.append(seen.error)
        return seen.error

    def _go_round(self) -> None:
        start, steal, energy = perf_counter(), StealClock(), EnergyClock()
        for lane in self._lanes:
            lane.rate = self._rate(lane)
        position = 0
        try:
            while active := [lane for lane in self._lanes if not lane.finished and not lane.retired]:
                self._random.shuffle(active)
                for lane in active:
                    lane.credit_s += self._settings.slice_s * lane.rate
                    if lane.credit_s > 0 and not lane.retired:
                        self._one_slice(lane, position, steal, energy)
                        position += 1
                self.rounds += 1
                self.wall_s = perf_counter() - start
                self._tell("measure", self._done_fraction(), len(active))
        finally:
            self.wall_s = perf_counter() - start
            steal.close()
            energy.close()

    def _done_fraction(self) -> float:
        """Measured of what is to be; a lane that looks for something is not done before it found it."""
        left = [lane for lane in self._lanes if not lane.retired]
        goal_s = sum(lane.goal_s for lane in left) or 1.0
        most = {id(lane): lane.goal_s if lane.finished or lane.drive.done is None else 0.9 * lane.goal_s for lane in left}
        return min(1.0, sum(min(lane.measured_s, most[id(lane)]) for lane in left) / goal_s)

    def _slice_s(self, lane: Lane) -> float:
        return self._settings.slice_s if lane.burner is None else lane.burner.slice_s

    def _rate(self, lane: Lane) -> float:
        """What a lane earns a round, in slices, so that all end in about the same one.

        An audit needs less time than a measurement. A server that is paused, and one that is asked by many clients, needs
        more where its few long slices would not be enough for an interval.
        """
        needs_s = max(lane.goal_s, lane.least_slices * lane.drive.length_s(self._slice_s(lane), lane.typical_s))
        share = needs_s / self._settings.max_time_s
        if lane.burner is not None or lane.clients > 1:
            return share
        return min(1.0, share) if lane.part is not Part.MEASURE else 1.0

    def _one_slice(self, lane: Lane, position: int, steal: StealClock, energy: EnergyClock) -> None:
        slice_s = self._slice_s(lane)
        opener = lane.burner is None and lane.typical_s < slice_s * _OPENER_BELOW
        feed = lane.feed.sendings(_expected(lane, slice_s) + opener)
        try:
            with awake(lane.burner):
                failure = _settle(lane, feed)
                steal_before, joules_before, before = steal.now(), energy.now(), lane.system.usage()
                done = Slice(error=failure) if failure else self._ask(lane, feed, slice_s, opener)
                after, joules_after, steal_after = lane.system.usage(), energy.now(), steal.now()
        except BackendFailed as error:
            lane.note_disobedience(error)
            return
        stolen, joules = _grown(steal_before, steal_after), _grown(joules_before, joules_after)
        lane.book(done, self.rounds, position, before, after, stolen, joules)
        lane.credit_s -= self._spent(done)
        self._note_error(lane, done)
        self._look_around(lane)
        lane.finished = self._reached(lane)

    @staticmethod
    def _ask(lane: Lane, feed: Iterator[tuple[int, Any]], slice_s: float, opener: bool) -> Slice:
        return lane.drive.run(feed, slice_s=slice_s, typical_s=lane.typical_s, opener=opener)

    def _spent(self, done: Slice) -> float:
        return max(done.seconds, self._settings.slice_s)

    def _reached(self, lane: Lane) -> bool:
        count, settings = len(lane.duration_s), self._settings
        if lane.drive.done is not None:
            return lane.drive.done
        if len(lane.booked) < lane.least_slices:
            return False
        if lane.part is not Part.MEASURE:
            return lane.measured_s >= lane.goal_s
        if lane.least_exchanges and lane.measured_s >= _STRETCH * lane.goal_s:
            return True  # of a server that is asked for far too much no request in time is ever answered
        if count < settings.min_rounds:
            return False
        if lane.measured_s >= lane.goal_s:
            return count >= lane.least_exchanges
        return settings.precision is not None and lane.relative_margin(settings.confidence) <= settings.precision

    def _tell(self, step: str, fraction: float, active: int) -> None:
        now = perf_counter()
        if now - self._reported_at < _PROGRESS_EVERY_S and fraction < 1.0:
            return
        self._reported_at = now
        # Retired lanes leave the sum, so the fraction can jump; what is left is an estimate from the wall time so far.
        spent_s = self.wall_s if step == "measure" else now - self._started_at
        left_s = spent_s / fraction - spent_s if fraction > 0 else math.nan
        self._report(Progress(step, self.rounds, active, len(self._lanes), fraction, left_s))


def _grown(before: float | None, after: float | None) -> float | None:
    return after - before if before is not None and after is not None else None


def _expected(lane: Lane, slice_s: float) -> int:
    """How many payloads a slice may need, beside its opener."""
    settles_s = lane.burner.wake_s if lane.burner is not None else 0.0
    if not lane.typical_s or lane.typical_s >= slice_s:  # nothing is known of one that has never answered
        return 1 + (settles_s > 0)
    return math.ceil(1.5 * (slice_s + settles_s) / lane.typical_s)


def _settle(lane: Lane, feed: Iterator[tuple[int, Any]]) -> ExchangeError | None:
    """Ask a server that was woken, untimed, while it does what it had to leave undone; what went wrong, if something did."""
    if lane.burner is None:
        return None
    woken = lane.drive.settle(feed, lane.burner.wake_s)
    lane.keep(woken.answers)
    lane.reconnects += woken.reconnects
    return woken.error
