"""A lane: one stream of measurements of one cell in a campaign.

A `Lane` is its configuration; its `state` belongs to the scheduler, its `results` are what was measured. A cell has one lane
that measures it, and up to two that audit it.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from bench.contract.errors import BackendFailed, ExchangeError, ExchangeTimeout, TurnedAway
from bench.contract.system import SystemUnderTest, Usage, log_end
from bench.contract.wire import DEADLINE_S
from bench.load.closed_loop import Requests, Slice
from bench.load.lane_results import LaneResults
from bench.load.load_patterns import LoadPattern
from bench.load.payload_sources import PayloadSource
from bench.machine.idle_cpu import PausedServer

_GIVE_UP_AFTER = 6  # errors in a row without an answer between them
_WARM_UP_LIMIT_S = 600.0  # at least; more for a slow model. All other lanes wait meanwhile
_WARM_UP_SHARE = 0.2  # of an exchange's deadline, for each request: several times what the model itself takes
_TIMEOUT_WEIGHT = 3  # a time-out counts as three errors: a frozen server must not hold up the others for long
_TIMEOUTS = 6  # in all, even with answers between: the first makes its row FAILED, each costs all others its deadline


class Part(StrEnum):
    """What a lane's figures are for."""

    MEASURE = "measure"  # the cell itself
    SAME = "same"  # audit: one payload again and again
    FRESH = "fresh"  # audit: payloads that no server has seen before


@dataclass(frozen=True, slots=True)
class Goals:
    """When a lane is done: after `measured_s` seconds in exchanges and at least `slices` slices.

    It also waits for `exchanges` timed exchanges, but no longer than three times `measured_s`. With `most` timed exchanges it
    is done, even if the other goals are not reached.
    """

    measured_s: float
    slices: int = 1
    exchanges: int = 0
    most: int | None = None


@dataclass(slots=True)
class LaneState:
    """What the scheduler tracks of a running lane.

    `credit_s` is the time that it may still spend, `rate` the slices that it earns per round, `typical_s` the recent seconds
    per exchange (0: no answer yet). `failures_in_a_row` counts errors since the last answer, a time-out as several.
    `retired` is why it takes no further part, empty while it does; `finished` is whether it reached its goals.
    """

    credit_s: float = 0.0
    rate: float = 1.0
    typical_s: float = 0.0
    failures_in_a_row: int = 0
    retired: str = ""
    finished: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """How one lane measures `system`: by which load pattern, with which payloads, until which goals.

    `clients` send at once. `endpoint` is the endpoint's id; if it stops answering, all of its lanes retire.
    `paused_server` pauses and resumes `system` if that is stopped outside its own slices, else it is None. The methods record
    what happened in `state` and `results`; none raises.
    """

    part: Part
    system: SystemUnderTest
    pattern: LoadPattern
    source: PayloadSource
    goals: Goals
    clients: int = 1
    endpoint: str = ""
    paused_server: PausedServer | None = None
    state: LaneState = field(default_factory=LaneState)
    results: LaneResults = field(default_factory=LaneResults)

    def warm_up_limit_s(self, requests: int) -> float:
        """Seconds that a warm-up of `requests` requests may take; enough for a slow model, whose deadlines are long."""
        known = (each.deadline_s for each in self.system.endpoints.values() if each.id == self.endpoint)
        return max(_WARM_UP_LIMIT_S, _WARM_UP_SHARE * requests * next(known, DEADLINE_S))

    @property
    def over(self) -> bool:
        """Whether it gets no further slice: it reached its goals, or retired."""
        return self.state.finished or bool(self.state.retired)

    def settle(self, requests: Requests) -> ExchangeError | None:
        """Send untimed requests to a server that was just resumed, while it catches up; returns the error that ended them."""
        if self.paused_server is None:
            return None
        done = self.pattern.settle(requests, self.paused_server.wake_s)
        self.record_untimed(done)
        return done.error

    def record_slice(
        self,
        done: Slice,
        round_index: int,
        position: int,
        before: Usage | None,
        after: Usage | None,
        steal_s: float | None,
        energy_j: float | None,
    ) -> None:
        """Record a slice: the server's usage as read before and after it; steal time and energy as differences."""
        self.record_untimed(done)
        if not done.seconds:
            return
        state = self.state
        if done.exchanges:
            state.failures_in_a_row = 0
        several = self.clients > 1 or not done.duration_s
        pace_s = done.seconds / max(done.exchanges, 1) if several else median(done.duration_s)
        self.results.add_slice(done, round_index, position, pace_s, before, after, steal_s, energy_j)
        state.typical_s = pace_s if not state.typical_s else 0.8 * state.typical_s + 0.2 * pace_s

    def record_warm_up(self, done: Slice) -> None:
        """Record a slice of the warm-up; neither its durations nor its reconnects are part of the cell's figures."""
        self.keep_answers(done.answers)
        if done.duration_s:
            warm_up_s = self.results.warm_up_s
            warm_up_s.extend(done.duration_s)
            self.state.failures_in_a_row = 0
            self.state.typical_s = median(warm_up_s[-20:]) / self.clients

    def record_untimed(self, done: Slice) -> None:
        """Record the answers and reconnects of exchanges whose durations are not used."""
        self.results.reconnects += done.reconnects
        self.results.repeated += done.repeated
        self.keep_answers(done.answers)

    def keep_answers(self, answers: list[tuple[int, bytes]]) -> None:
        """Keep every answer, and let the source release what it will not send again."""
        self.results.keep_answers(answers)
        for index, _ in answers:
            self.source.release(index)

    def record_error(self, error: ExchangeError, alive: bool) -> None:
        """Count an error; the lane retires when its server is dead or answers nothing any more."""
        state, errors = self.state, self.results.errors
        errors.append(error)
        state.failures_in_a_row += _TIMEOUT_WEIGHT if isinstance(error, ExchangeTimeout) else 1
        if not alive:
            self._retire(f"the server died; the last error: {error}")
        elif state.failures_in_a_row >= _GIVE_UP_AFTER:
            self._retire(f"gave up after errors in a row and no answer between them; the last: {error}")
        elif sum(isinstance(each, ExchangeTimeout) for each in errors) >= _TIMEOUTS:
            self._retire(f"gave up after {_TIMEOUTS} time-outs; the last: {error}")

    def retire_silent(self, error: ExchangeError) -> None:
        """Retire because the endpoint has stopped answering: one last request, for all of its lanes, got no answer either."""
        what = "gave up: its server had stopped answering, and one more look at this endpoint got no answer"
        self._retire(f"{what}; the last: {error}")

    def retire_turned_away(self, error: TurnedAway) -> None:
        """Retire because the server wants fewer requests than this campaign has for it."""
        self._retire(f"stopped asking, as the server wishes: {error}")

    def retire_slow(self, limit_s: float) -> None:
        """Retire because the warm-up took longer than its limit."""
        took = f"an answer takes {self.state.typical_s:.3g} s by now"
        self._retire(f"gave up in the warm-up: it was not over after {limit_s:g} s, {took}; --timeout gives it more time")

    def retire_uncontrolled(self, error: BackendFailed) -> None:
        """Retire because the server could not be paused or resumed."""
        self._retire(str(error))

    def retire_dead(self) -> None:
        """Retire because the server is dead, although the processes that it left behind may still answer."""
        self._retire(
            "the server died, though no exchange failed: others that it had started answered, or nobody asked it any more"
        )

    def _retire(self, why: str) -> None:
        self.state.retired = f"{why}\n{log_end(self.system)}"
