"""What every codec does: check what may be encoded and what counts as scores, and quote foreign words in short."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray

_QUOTED_CHARACTERS = 300


def quoted(words: object) -> str:
    """What a server said, as it may stand in an error: it could be of any length."""
    text = str(words)
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."


def matrix(values: FloatArray) -> FloatArray:
    """`values` [n >= 1, width >= 1] as little-endian float32 in C order; ValueError where it is no such array."""
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a payload is encoded from an array [n, width] with at least one row, not from shape {values.shape}")
    return np.ascontiguousarray(values, dtype="<f4")


def checked_scores(scores: npt.NDArray[np.floating]) -> FloatArray:
    """`scores` [n, classes] as float32; MalformedAnswer where it is not two-dimensional, empty or not finite."""
    if scores.ndim != 2 or scores.size == 0:
        raise MalformedAnswer(f"expected scores of shape [n, classes], seen shape {list(scores.shape)}")
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(scores, dtype=np.float32)
    if not np.isfinite(narrow).all():
        row = int(np.flatnonzero(~np.isfinite(narrow).all(axis=1))[0])
        raise MalformedAnswer(f"expected finite scores, seen NaN or infinity in row {row} of {len(narrow)}")
    return narrow
