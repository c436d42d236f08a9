"""The campaign: decides which lane measures next. All servers are up and idle; rounds of short, shuffled slices.

The host's speed drifts within tenths of a second, so what is compared must be near in time. In every round each lane earns
one slice's worth of time and spends it as soon as it has it, at least one exchange at a time: a lane of slow exchanges takes
part only every few rounds, and all end in about the same round.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, thread_time

from bench.contract.errors import BackendFailed
from bench.load.closed_loop import Slice
from bench.load.lane import Lane, Part
from bench.load.silent_endpoints import SilentEndpoints
from bench.machine.host import EnergyClock, StealClock
from bench.machine.idle_cpu import awake

_WARM_UP_BELOW = 0.25  # of a slice: an exchange faster than this is "fast", and its slice opens with an untimed warm-up request
_PROGRESS_EVERY_S = 0.5
_LONGEST = 3.0  # times a lane's measuring time, the most that it waits for a number of exchanges


@dataclass(frozen=True, slots=True)
class Settings:
    """Length and order of a campaign: times in seconds; `min_rounds`, `precision`, `confidence` as in pytest-benchmark."""

    max_time_s: float
    slice_s: float = 0.02
    min_rounds: int = 5
    precision: float | None = None
    confidence: float = 0.99
    seed: int = 42

    def __post_init__(self) -> None:
        if self.max_time_s <= 0 or self.slice_s <= 0:
            raise ValueError("max_time_s and slice_s must be above 0")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is, for the progress line; `step` is `warm-up` or `measure`."""

    step: str
    round_index: int
    active: int
    lanes: int
    done_fraction: float
    left_s: float

    @property
    def done(self) -> bool:
        """Whether the last step is complete."""
        return self.step == "measure" and self.done_fraction >= 1.0


class Campaign:
    """Runs the lanes to their goals; afterwards each lane's `results` hold what it measured."""

    def __init__(self, lanes: list[Lane], settings: Settings, report: Callable[[Progress], None]) -> None:
        self._lanes = lanes
        self._settings = settings
        self._report = report
        self._random = random.Random(settings.seed)  # noqa: S311 - an order of slices, not a secret
        self._started_at = 0.0
        self._reported_at = -math.inf
        self._silent = SilentEndpoints(lanes)
        self.rounds = 0
        self.wall_s = 0.0

    def run(self) -> None:
        """Warm up every lane, then go round until all are finished or retired; connections are closed in any case."""
        try:
            self._warm_up_all()
            self._go_round()
            self._retire_the_dead()
        finally:
            self._close()

    def pass_once(self, exchanges: int | None = None) -> None:
        """Run only the warm-up's pass over each lane's payloads, or its first `exchanges`; for accuracy and the smoke test."""
        try:
            self._warm_up_all(exchanges)
            self._retire_the_dead()
        finally:
            self._close()

    def _close(self) -> None:
        for lane in self._lanes:
            lane.pattern.close()

    def _retire_the_dead(self) -> None:
        """Retire lanes whose server is dead, even if workers answer that a killed supervisor left behind."""
        for lane in self._lanes:
            if not lane.state.retired and not lane.system.is_alive():
                lane.retire_dead()

    def _warm_up_all(self, exchanges: int | None = None) -> None:
        self._started_at = perf_counter()
        for number, lane in enumerate(self._lanes):
            try:
                if not lane.state.retired:
                    with awake(lane.paused_server):
                        self._warm_up(lane, exchanges)
            except BackendFailed as error:
                lane.retire_uncontrolled(error)
            self._silent.retire_lanes(lane)
            self._tell("warm-up", (number + 1) / len(self._lanes), number + 1)

    def exchange_share(self) -> float:
        """Part of the wall time of measuring that was spent inside timed exchanges."""
        return sum(lane.results.measured_s for lane in self._lanes) / self.wall_s if self.wall_s else 0.0

    def _warm_up(self, lane: Lane, exchanges: int | None) -> None:
        """Send each payload of a measuring lane once, so that every image of the dataset is answered; two of an audit lane."""
        count = exchanges or (len(lane.source.payloads) if lane.part is Part.MEASURE else 2)
        limit_s = lane.warm_up_limit_s(count)
        give_up_at = perf_counter() + limit_s
        for done in lane.pattern.warm_up(lane.source, count):
            lane.record_warm_up(done)
            self._silent.record(lane, done)
            if perf_counter() > give_up_at and not lane.state.retired:
                lane.retire_slow(limit_s)
            if lane.state.retired:
                return

    def _go_round(self) -> None:
        start, steal, energy = perf_counter(), StealClock(), EnergyClock()
        for lane in self._lanes:
            lane.state.rate = self._rate(lane)
        position = 0
        try:
            while active := [lane for lane in self._lanes if not lane.over]:
                self._random.shuffle(active)
                for lane in active:
                    lane.state.credit_s += self._settings.slice_s * lane.state.rate
                    if lane.state.credit_s > 0 and not lane.state.retired:
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
        """Measured seconds over those planned, at most 1; a search is not counted as done before it has its result."""
        left = [lane for lane in self._lanes if not lane.state.retired]
        goal_s = sum(map(_goal_s, left)) or 1.0
        return min(1.0, sum(_counted_s(lane) for lane in left) / goal_s)

    def _slice_s(self, lane: Lane) -> float:
        return self._settings.slice_s if lane.paused_server is None else lane.paused_server.slice_s

    def _rate(self, lane: Lane) -> float:
        """Slices that a lane earns per round, so that all lanes end in about the same round.

        An audit needs less time than a measurement. A paused server, or one loaded by several clients, has few long slices
        and may need more time, so that they are enough for an interval.
        """
        length_s = lane.pattern.length_s(self._slice_s(lane), lane.state.typical_s)
        share = max(lane.goals.measured_s, lane.goals.slices * length_s) / self._settings.max_time_s
        if lane.paused_server is not None or lane.clients > 1:
            return share
        return min(1.0, share) if lane.part is not Part.MEASURE else 1.0

    def _one_slice(self, lane: Lane, position: int, steal: StealClock, energy: EnergyClock) -> None:
        slice_s = self._slice_s(lane)
        typical_s, system, pattern = lane.state.typical_s, lane.system, lane.pattern
        warm_up_request = lane.paused_server is None and typical_s < slice_s * _WARM_UP_BELOW
        requests = lane.source.requests(_expected(lane, slice_s) + warm_up_request)
        try:
            with awake(lane.paused_server):
                failure = lane.settle(requests)
                steal_before, joules_before, before = steal.now(), energy.now(), system.usage()
                started, own_s = perf_counter(), thread_time()
                if failure is None:
                    done = pattern.run(requests, slice_s=slice_s, typical_s=typical_s, warm_up_request=warm_up_request)
                else:
                    done = Slice(error=failure)
                done.client_share = done.client_share if done.agents else (thread_time() - own_s) / (perf_counter() - started)
                after, joules_after, steal_after = system.usage(), energy.now(), steal.now()
        except BackendFailed as error:
            lane.retire_uncontrolled(error)
            return
        steal_s, energy_j = _difference(steal_before, steal_after), _difference(joules_before, joules_after)
        lane.record_slice(done, self.rounds, position, before, after, steal_s, energy_j)
        lane.state.credit_s -= max(done.seconds, self._settings.slice_s)
        self._silent.record(lane, done)
        self._silent.retire_lanes(lane)
        lane.state.finished = self._reached(lane)

    def _reached(self, lane: Lane) -> bool:
        goals, results, settings = lane.goals, lane.results, self._settings
        count, measured_s = len(results.duration_s), results.measured_s
        if lane.pattern.done is not None:
            return lane.pattern.done
        if goals.most is not None and count >= goals.most:
            return True
        if len(results.slices) < goals.slices:
            return False
        if lane.part is not Part.MEASURE:
            return measured_s >= goals.measured_s
        if goals.exchanges and measured_s >= _LONGEST * goals.measured_s:
            return True  # a badly overloaded server may never answer that many
        if count < settings.min_rounds:
            return False
        if measured_s >= goals.measured_s:
            return count >= goals.exchanges
        return settings.precision is not None and results.relative_margin(settings.confidence) <= settings.precision

    def _tell(self, step: str, fraction: float, active: int) -> None:
        now = perf_counter()
        if now - self._reported_at < _PROGRESS_EVERY_S and fraction < 1.0:
            return
        self._reported_at = now
        # Retired lanes leave the sum, so the fraction can jump; the time left is estimated from the wall time so far.
        spent_s = self.wall_s if step == "measure" else now - self._started_at
        left_s = spent_s / fraction - spent_s if fraction > 0 else math.nan
        self._report(Progress(step, self.rounds, active, len(self._lanes), fraction, left_s))


def _difference(before: float | None, after: float | None) -> float | None:
    return after - before if before is not None and after is not None else None


def _counted_s(lane: Lane) -> float:
    """Measured seconds that count as progress: at most the goal, and less than it while a search goes on."""
    searching = lane.pattern.done is not None and not lane.state.finished
    return min(lane.results.measured_s, (0.9 if searching else 1.0) * _goal_s(lane))


def _goal_s(lane: Lane) -> float:
    """Seconds that its goals ask for; if exchanges are slow, the required slices take longer than the measuring time."""
    return max(lane.goals.measured_s, lane.goals.slices * lane.state.typical_s)


def _expected(lane: Lane, slice_s: float) -> int:
    """How many payloads a slice may need, not counting its warm-up request."""
    typical_s = lane.state.typical_s
    settles_s = lane.paused_server.wake_s if lane.paused_server is not None else 0.0
    if not typical_s or typical_s >= slice_s:  # slow, or never answered yet
        return 1 + (settles_s > 0)
    return math.ceil(1.5 * (slice_s + settles_s) / typical_s)
