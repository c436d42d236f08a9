"""How large a model's scores are, and so how far an answer may be off before it is another answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray64 = npt.NDArray[np.float64]
FloatArray32 = npt.NDArray[np.float32]

_SUM_SLACK = 1e-3  # how far from 1 the sum of float32 probabilities may be


@dataclass(frozen=True, slots=True)
class Magnitude:
    """What differences of scores are measured in; `typical` is None for probabilities, which are measured in 1.

    Any other output is measured, an item at a time, in its own largest |score|, but in no less than `typical`, the median of
    that over all items: a score near 0 is a difference of larger terms, and as far off as they are.
    """

    typical: float | None = None

    @classmethod
    def of(cls, scores: FloatArray32) -> Magnitude:
        """Of the reference's scores [n, classes]: probabilities are two or more scores in 0..1 that sum to 1."""
        if scores.shape[1] > 1 and scores.min() >= 0 and np.allclose(scores.sum(axis=1), 1, atol=_SUM_SLACK):
            return cls()
        largest = np.abs(scores).max(axis=1)
        return cls(float(np.median(largest)) or float(largest.max()) or 1.0)

    def units(self, expected: FloatArray32) -> FloatArray64:
        """For each item of the reference's scores [n, classes], what its differences are measured in."""
        if self.typical is None:
            return np.ones(len(expected))
        units: FloatArray64 = np.maximum(np.abs(expected).max(axis=1).astype(np.float64), self.typical)
        return units


PROBABILITIES = Magnitude()
