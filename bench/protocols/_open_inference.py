"""What the three forms of the Open Inference Protocol (V2) share: names, and the checks on an answer's one output tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import checked_scores, quoted

MODEL = "emnist"
INPUT = "images"
OUTPUT = "scores"
REQUEST_ID = "1"
"""Always sent: optional by the protocol, but there are servers that fail without it."""

VALUE_TYPES: Mapping[str, str] = {"FP32": "<f4", "FP64": "<f8"}
"""Datatypes in which scores may come, and how their raw bytes are read."""


def require_output(names: Sequence[object]) -> int:
    """Where the output `scores` is among an answer's outputs; an only output is it, whatever the server calls it."""
    if OUTPUT in names:
        return names.index(OUTPUT)
    if len(names) == 1:
        return 0
    raise MalformedAnswer(f"expected the output {OUTPUT!r}, seen {quoted(list(map(str, names)))}")


def value_type(datatype: object) -> str:
    """How raw values of this datatype are read; raises MalformedAnswer unless they are floats."""
    found = VALUE_TYPES.get(datatype) if isinstance(datatype, str) else None
    if found is None:
        raise MalformedAnswer(f"expected an output of datatype {' or '.join(VALUE_TYPES)}, seen {quoted(repr(datatype))}")
    return found


def raw_values(data: bytes, datatype: object) -> npt.NDArray[np.floating]:
    """The values in raw little-endian bytes."""
    kind = np.dtype(value_type(datatype))
    if len(data) % kind.itemsize:
        raise MalformedAnswer(f"expected values of {kind.itemsize} bytes, seen {len(data)} bytes of {datatype}")
    return np.frombuffer(data, dtype=kind)


def shaped_scores(values: npt.NDArray[np.floating], shape: object) -> FloatArray:
    """`values` in the shape [n, classes] that the answer states."""
    lengths = list(shape) if isinstance(shape, Sequence) else []
    if len(lengths) != 2 or not all(type(length) is int and length > 0 for length in lengths):
        raise MalformedAnswer(f"expected an output of shape [n, classes], seen {quoted(repr(shape))}")
    if math.prod(lengths) != values.size:
        raise MalformedAnswer(f"expected an output of shape {lengths}, seen {values.size} values")
    return checked_scores(values.reshape(lengths))
