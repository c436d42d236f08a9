"""How large a model's outputs are, and so how far an answer may be off before it counts as wrong."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FloatArray64 = npt.NDArray[np.float64]

_TOLERANCES = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-4}
_SUM_SLACK = {"float16": 1e-2}  # how far from 1 the sum of probabilities may be; 1e-3 for other types


def tolerance_of(dtype: npt.DTypeLike) -> float:
    """How far a value of that dtype may be from the reference's, in `Magnitude.units`: 0 for integers and booleans."""
    return _TOLERANCES.get(np.dtype(dtype).name, 0.0)


def differences(seen: Array, expected: Array) -> FloatArray64:
    """For each item [n] of two arrays of the same shape [n, ...] its largest |difference|.

    inf if a value is NaN or infinite; never 0 if values differ; 0 for items without values.
    """
    ours, theirs = _rows(seen), _rows(expected)
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    apart = np.nan_to_num(apart, nan=np.inf, posinf=np.inf)
    if expected.dtype.kind != "f":  # different large integers may be equal as float64
        apart = np.where(ours != theirs, np.maximum(apart, 1.0), 0.0)
    worst: FloatArray64 = apart.max(axis=1, initial=0.0)
    return worst


@dataclass(frozen=True, slots=True)
class Magnitude:
    """The unit in which differences of an output are measured; `typical` is None for probabilities, whose unit is 1.

    For any other output the unit is each item's own largest |value|, but at least `typical`, the median of these over all
    items: a value near 0 is a difference of larger terms, and has their error.
    """

    typical: float | None = None

    @classmethod
    def of(cls, values: Array) -> Magnitude:
        """From the reference's values [n, ...]; probabilities are rows of two or more numbers in 0..1 that sum to 1."""
        if values.dtype.kind != "f" or not values.size:
            return cls()
        slack = _SUM_SLACK.get(values.dtype.name, 1e-3)
        rows_of_parts = values.ndim == 2 and values.shape[1] > 1 and values.min() >= 0
        if rows_of_parts and np.allclose(values.sum(axis=1, dtype=np.float64), 1, atol=slack):
            return cls()
        largest = _largest(values)
        return cls(float(np.median(largest)) or float(largest.max()) or 1.0)

    def units(self, expected: Array) -> FloatArray64:
        """For each item of the reference's values [n, ...], the unit of its differences: [n]."""
        if self.typical is None:
            return np.ones(len(expected))
        units: FloatArray64 = np.maximum(_largest(expected), self.typical)
        return units


def _largest(values: Array) -> FloatArray64:
    """The largest |value| of each item [n, ...]."""
    largest: FloatArray64 = np.abs(_rows(values).astype(np.float64)).max(axis=1, initial=0.0)
    return largest


def _rows(values: Array) -> Array:
    """Each item's values as a row: [n, values], also if there are no values."""
    return values.reshape(len(values), prod(values.shape[1:]))


PROBABILITIES = Magnitude()
