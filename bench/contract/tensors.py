"""Named arrays, the inputs and outputs of models, the signature that describes them, and the header of an .npy file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Numbers or booleans of one of DTYPES, any shape, C order."""

FloatArray = npt.NDArray[np.float32]
"""Scores [n, classes] float32, C order."""

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray64 = npt.NDArray[np.float64]

Tensors = Mapping[str, Array]
"""Arrays by the model's own names: all its inputs, or all its outputs."""

Predictor = Callable[[Tensors], Tensors]
"""The model run in this process: all its inputs -> all its outputs."""

FREE = -1
"""The length of an axis in a shape that may have any length."""

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
"""The dtypes that a tensor may have, by numpy's names."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model: its `name` in the model, its `dtype` (one of DTYPES) and its whole `shape`.

    `batched`: the first axis counts items, and its length is FREE. Else the array is sent or answered whole, whatever the
    number of items: for example a sampling rate, a recurrent state.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    batched: bool = True

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape without the axis that counts items."""
        return self.shape[1:] if self.batched else self.shape

    @property
    def nbytes(self) -> int:
        """Bytes of one item, or of the whole array if it is not batched; a free axis counts as 1."""
        return prod(max(1, length) for length in self.item_shape) * np.dtype(self.dtype).itemsize

    def shape_of(self, values: int, items: int | None = None) -> tuple[int, ...] | None:
        """The whole shape of an array of `values` values, and of `items` items if that is known; None if no shape fits.

        At most one length may be unknown; it follows from the others.
        """
        shape = [*self.shape]
        if self.batched and items is not None:
            shape[0] = items
        open_axes = [axis for axis, length in enumerate(shape) if length == FREE]
        held = prod(length for length in shape if length != FREE)
        if len(open_axes) == 1 and held and values % held == 0:
            shape[open_axes[0]] = values // held
        return tuple(shape) if FREE not in shape and prod(shape) == values else None

    def __str__(self) -> str:
        lengths = ["n" if self.batched and not axis else "?" if x == FREE else str(x) for axis, x in enumerate(self.shape)]
        return f"{self.name} {self.dtype} [{', '.join(lengths)}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, in its own order.

    `batch`: how many items a request must have, 0 for any number. `scores`: the output [n, classes] whose largest value is
    an item's class, empty if the model has none.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch: int = 0
    scores: str = ""

    @property
    def classes(self) -> int:
        """How many classes `scores` has; 0 if there is no such output, or its length is free."""
        return next((max(0, spec.shape[1]) for spec in self.outputs if spec.name == self.scores), 0)

    @property
    def item_bytes(self) -> int:
        """Bytes that one item adds to a request."""
        return sum(spec.nbytes for spec in self.inputs if spec.batched)

    def takes(self, items: int) -> bool:
        """Whether a request may have `items` items."""
        return self.batch in (0, items)

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.inputs))} -> {', '.join(map(str, self.outputs))}"


def chosen(tensors: Tensors, specs: Sequence[TensorSpec], items: Sequence[int]) -> dict[str, Array]:
    """The given items of every batched array, in the given order and as new arrays; the other arrays whole."""
    rows = list(items)
    return {spec.name: tensors[spec.name][rows] if spec.batched else tensors[spec.name] for spec in specs}


def claimed_array(file: IO[bytes], held_bytes: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an .npy file, return shape and dtype; `held_bytes` is the size of the whole file.

    Raises ValueError if it is no such header (`numpy.lib.format`), or claims more than the file holds.
    """
    version = np.lib.format.read_magic(file)
    read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_head(file)
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > held_bytes:
        raise ValueError(f"an array that is said to be {dtype} {list(shape)}, in {held_bytes:,} bytes")
    return shape, dtype
