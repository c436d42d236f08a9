"""Arrays that the packages hand to each other, the model as a function of them, and what the head of an .npy file claims."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""Images [n, width], each a flat row of values, or scores [n, classes]; float32, C order."""

IntArray = npt.NDArray[np.int64]


Predictor = Callable[[FloatArray], FloatArray]
"""The model run in this process: images [n, width] float32 -> scores [n, classes] float32."""


def claimed_array(file: IO[bytes], held_bytes: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type by the head of an array's file, which is read; `held_bytes` is the whole file's size.

    Raises ValueError where it is no such head (`numpy.lib.format`), or where it claims more than the file holds.
    """
    version = np.lib.format.read_magic(file)
    read_head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_head(file)
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > held_bytes:
        raise ValueError(f"an array that is said to be {dtype} {list(shape)}, in {held_bytes:,} bytes")
    return shape, dtype
