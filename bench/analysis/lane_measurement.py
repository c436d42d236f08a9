"""What one lane measured, taken from its results after the campaign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bench.analysis.verdicts import ClockEvidence
from bench.contract.records import Samples
from bench.contract.tensors import FloatArray64, IntArray
from bench.load.lane_results import LaneResults, SliceResult


def _no_seconds() -> FloatArray64:
    return np.empty(0, dtype=np.float64)


def _no_numbers() -> IntArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class LaneMeasurement:
    """What one lane measured; the fields are those of `LaneResults`.

    `duration_s` and `round_index` [timed exchanges], `lag_s` [scheduled requests], `warm_up_s` [warm-up exchanges], in the
    order measured. After a single pass over the payloads instead of a campaign, `duration_s` are those of the warm-up.
    """

    slices: tuple[SliceResult, ...] = ()
    duration_s: FloatArray64 = field(default_factory=_no_seconds)
    round_index: IntArray = field(default_factory=_no_numbers)
    lag_s: FloatArray64 = field(default_factory=_no_seconds)
    warm_up_s: FloatArray64 = field(default_factory=_no_seconds)
    measured_s: float = 0.0
    repeated: int = 0
    threads: int | None = None

    @classmethod
    def of(cls, results: LaneResults, *, only_pass: bool = False) -> LaneMeasurement:
        """A copy of a lane's results as they are now; `only_pass`: after a single pass instead of a campaign."""
        duration_s, rounds = results.duration_s, results.round_index
        if only_pass:
            duration_s, rounds = results.warm_up_s, [0] * len(results.warm_up_s)
        return cls(
            slices=tuple(results.slices),
            duration_s=np.array(duration_s, dtype=np.float64),
            round_index=np.array(rounds, dtype=np.int64),
            lag_s=np.array(results.lag_s, dtype=np.float64),
            warm_up_s=np.array(results.warm_up_s, dtype=np.float64),
            measured_s=results.measured_s,
            repeated=results.repeated,
            threads=results.threads,
        )

    @property
    def samples(self) -> Samples:
        """The raw durations with their rounds."""
        return Samples(duration_s=self.duration_s, round_index=self.round_index)

    @property
    def client_share(self) -> float | None:
        """The fraction of its slices' time in which the client itself used its CPU; None without a slice."""
        seconds = sum(result.seconds for result in self.slices)
        return sum(result.client_share * result.seconds for result in self.slices) / seconds if seconds else None

    @property
    def agents(self) -> int | None:
        """How many load agents sent together, in the slice with the fewest; None if this process sent."""
        return min((result.agents for result in self.slices), default=0) or None

    @property
    def clocks(self) -> ClockEvidence:
        """The clock evidence of the slice in which the agents' clock error was largest relative to its length."""
        worst = max(self.slices, key=lambda result: result.clock_error_s / result.seconds, default=None)
        return ClockEvidence() if worst is None else ClockEvidence(worst.agents, worst.clock_error_s, worst.seconds)

    def per_image(self, batch_size: int, spent: Callable[[SliceResult], float | None]) -> float | None:
        """The amount `spent` per image, over the slices in which it could be read; None if it never could."""
        readable = [(amount, result.answered) for result in self.slices if (amount := spent(result)) is not None]
        images = sum(answered for _, answered in readable) * batch_size
        return sum(amount for amount, _ in readable) / images if images else None
