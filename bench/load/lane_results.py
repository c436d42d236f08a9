"""What a lane measured: slice by slice, exchange by exchange, answer by answer."""

from dataclasses import dataclass, field
from math import inf, sqrt
from statistics import NormalDist

from bench.contract.errors import ExchangeError
from bench.contract.system import Usage
from bench.load.closed_loop import Slice
from bench.load.open_loop import in_time


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What one slice measured: its place in the campaign, and sums over its exchanges.

    `round_index` counts the campaign's rounds from 0, `position` its slices. `answered` counts answers, untimed ones too,
    `exchanges` and `seconds` are as in `Slice`. `pace_s` is the slice's speed: for one client the median seconds of an
    exchange, for several the seconds per answer. `cpu_s` and `wait_s` are seconds that the server's threads ran and waited
    for a CPU, `throttled` counts periods in which its cgroup was throttled; `steal_s` and `energy_j` are the host's. What
    cannot be read is None (`throttled`: 0). `client_share`, `agents`, `clock_error_s` and `behind` are as in `Slice`.
    `scheduled` and `peak_per_s` are an open loop's, see `Slice`; `timed` counts the durations; `late`: its sends were late.
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
    late: bool = False
    client_share: float = 0.0
    agents: int = 0
    clock_error_s: float = 0.0
    behind: str = ""


@dataclass(slots=True)
class LaneResults:
    """What a lane has measured so far, in the order measured.

    `slices` has one entry for each slice in which something was timed. `duration_s` and `round_index` [exchanges] are those of
    the timed exchanges, `lag_s` [scheduled] is how late each request of an open loop was sent, `warm_up_s` the durations of the
    warm-up, `measured_s` the sum of the slices' seconds. `answers` holds (payload index, body) of every exchange, untimed
    ones too; equal answers share their bytes. `errors` are all errors, `reconnects` counts connections reopened outside the
    clock, `repeated` windows that were measured again (see `Slice`), `threads` is the highest number of threads seen of the
    server, None if that cannot be read.
    """

    slices: list[SliceResult] = field(default_factory=list)
    duration_s: list[float] = field(default_factory=list)
    round_index: list[int] = field(default_factory=list)
    lag_s: list[float] = field(default_factory=list)
    warm_up_s: list[float] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    errors: list[ExchangeError] = field(default_factory=list)
    reconnects: int = 0
    repeated: int = 0
    measured_s: float = 0.0
    threads: int | None = None
    _squares_s2: float = 0.0
    _last_body: dict[int, bytes] = field(default_factory=dict)  # by payload index

    def add_slice(
        self,
        done: Slice,
        round_index: int,
        position: int,
        pace_s: float,
        before: Usage | None,
        after: Usage | None,
        steal_s: float | None,
        energy_j: float | None,
    ) -> None:
        """Add a slice in which something was timed; its answers are added by `keep_answers`."""
        self.slices.append(
            SliceResult(
                round_index=round_index,
                position=position,
                exchanges=done.exchanges,
                answered=len(done.answers),
                seconds=done.seconds,
                pace_s=pace_s,
                cpu_s=after.cpu_s - before.cpu_s if before and after else None,
                wait_s=_wait_s(before, after),
                throttled=after.throttled - before.throttled if before and after else 0,
                steal_s=steal_s,
                scheduled=done.scheduled,
                timed=len(done.duration_s),
                peak_per_s=done.peak_per_s,
                energy_j=energy_j,
                late=not in_time(done),
                client_share=done.client_share,
                agents=done.agents,
                clock_error_s=done.clock_error_s,
                behind=done.behind,
            )
        )
        if after is not None:
            self.threads = max(self.threads or 0, after.threads)
        self.duration_s.extend(done.duration_s)
        self.round_index.extend([round_index] * len(done.duration_s))
        self.lag_s.extend(done.lag_s)
        self.measured_s += done.seconds
        self._squares_s2 += sum(duration * duration for duration in done.duration_s)

    def keep_answers(self, answers: list[tuple[int, bytes]]) -> None:
        """Keep every answer; one that equals the last one to the same payload shares its bytes, to save memory."""
        for index, body in answers:
            shared = self._last_body.setdefault(index, body)
            if shared != body:
                self._last_body[index] = shared = body
            self.answers.append((index, shared))

    def relative_margin(self, confidence: float) -> float:
        """Half the confidence interval of the mean duration over the mean, as in --benchmark-precision; inf below 2 samples."""
        n = len(self.duration_s)
        if n < 2 or not self.measured_s:
            return inf
        mean = sum(self.duration_s) / n
        variance = max(0.0, (self._squares_s2 - n * mean * mean) / (n - 1))
        return NormalDist().inv_cdf(0.5 + confidence / 2) * sqrt(variance / n) / mean


def _wait_s(before: Usage | None, after: Usage | None) -> float | None:
    if before is None or after is None or before.wait_s is None or after.wait_s is None:
        return None
    return after.wait_s - before.wait_s
