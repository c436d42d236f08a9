"""Inputs that were never sent before, made from the dataset's: no cache of any size can hold their answers."""

import numpy as np

from bench.contract.system import Dataset
from bench.contract.tensors import Array, FloatArray, IntArray, Signature, TensorSpec, chosen

_DIGIT = 256  # base of a serial number's digits, one per value: a digit is at most a 16,384th of its column's largest value
_DIGITS = 4  # values per item that carry the serial number, if it has so many
_STEP_EXPONENT = -22  # exponent of a step relative to its column: 2 to 4 units in the last place of the largest value
_LEAST_EXPONENT = -60  # least exponent of a column: smaller steps times a weight would be denormal numbers, which are slow
_LEAST_COLUMNS = 24  # columns that differ between items: enough that no crossing comes twice


class FreshItems:
    """Makes inputs of a dataset's items that are always new.

    A float32 or float64 input gets serial numbers too small to change an answer. If the model has no such input, the items
    are crossed: each value is the item's own, or another item's at the same place, so all values are usual for the model.
    """

    def __init__(self, dataset: Dataset, signature: Signature) -> None:
        self._dataset = dataset
        self._inputs = signature.inputs
        batched = [spec for spec in signature.inputs if spec.batched]
        self._serial = next((spec for spec in batched if spec.dtype in ("float32", "float64")), None)
        self._crossed = [] if self._serial is not None else batched
        if self._serial is not None:
            rows = _rows(dataset.inputs[self._serial.name])
            self._columns = _living_columns(rows)
            self._steps = _steps(rows[:, self._columns])

    @property
    def possible(self) -> bool:
        """Whether the items can be made new: False if they must be crossed and are too few, or too much alike."""
        return self._serial is not None or sum(self._varied(spec) for spec in self._crossed) >= _LEAST_COLUMNS

    def make(self, number: int, indices: tuple[int, ...]) -> dict[str, Array]:
        """The inputs of the items `indices`, made new: never the same for two values of `number`, which counts from 0."""
        inputs = chosen(self._dataset.inputs, self._inputs, indices)
        if self._serial is not None:
            self._count(_rows(inputs[self._serial.name]), number)
            return inputs
        random = np.random.default_rng(number)
        for spec in self._crossed:
            rows = _rows(inputs[spec.name])
            others = _rows(self._dataset.inputs[spec.name])[random.integers(0, len(self._dataset), len(rows))]
            np.copyto(rows, others, where=random.random(rows.shape) < 0.5)
        return inputs

    def _count(self, rows: FloatArray, number: int) -> None:
        """Add the digits of each row's serial number to some of its values, away from 0, in place."""
        serials = np.arange(1, len(rows) + 1, dtype=np.int64) + number * len(rows)
        for column, step in zip(self._columns, self._steps, strict=True):
            digits = serials if column == self._columns[-1] else serials % _DIGIT
            rows[:, column] += np.copysign(digits.astype(rows.dtype) * step, rows[:, column])
            serials //= _DIGIT

    def _varied(self, spec: TensorSpec) -> int:
        rows = _rows(self._dataset.inputs[spec.name])
        return int((rows != rows[0]).any(axis=0).sum())


def _rows(items: Array) -> Array:
    """Each item's values in a row; for a contiguous array a view of the same memory."""
    return items.reshape(len(items), -1)


def _living_columns(rows: FloatArray) -> IntArray:
    """The columns that carry a serial number: those that are not 0 in the most items.

    A column that is always 0 may cost a server more once it is not: its weights after training may be so small that the
    products are denormal numbers, at many times the cost.
    """
    living = np.count_nonzero(rows, axis=0)
    return np.argsort(-living, kind="stable")[:_DIGITS].astype(np.int64)


def _steps(columns: FloatArray) -> FloatArray:
    """For each column a power of two, too small to change an answer but large enough that float32 keeps it."""
    largest = np.abs(columns).max(axis=0).astype(np.float64)
    largest[largest == 0] = 1.0
    exponents = np.maximum(np.ceil(np.log2(largest)), _LEAST_EXPONENT) + _STEP_EXPONENT
    steps: FloatArray = np.exp2(exponents).astype(np.float32)
    return steps
