"""Shared by all codecs: check arrays to encode and decoded outputs against the signature, and shorten quotes for messages."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import prod

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FREE, Array, Tensors, TensorSpec

_QUOTED_CHARACTERS = 300


def quoted(words: object) -> str:
    """What a server sent, as text for an error message: cut to 300 characters."""
    text = str(words)
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."


def wire_type(dtype: str) -> np.dtype[np.generic]:
    """The dtype in little-endian, as all binary protocols send it."""
    return np.dtype(dtype).newbyteorder("<")


def wire_arrays(tensors: Tensors, specs: Sequence[TensorSpec]) -> list[tuple[TensorSpec, Array]]:
    """The arrays in the order of `specs`, little-endian and in C order; raises ValueError if they do not fit `specs`."""
    if set(tensors) != {spec.name for spec in specs}:
        raise ValueError(f"a message holds {', '.join(spec.name for spec in specs)}, not {', '.join(tensors) or 'nothing'}")
    for spec in specs:
        array = tensors[spec.name]
        if array.dtype != np.dtype(spec.dtype) or not _fits(array.shape, spec):
            raise ValueError(f"a message holds {spec} of at least one value, not {array.dtype} {list(array.shape)}")
    # asarray, since ascontiguousarray turns a scalar into an array of one value
    return [(spec, np.asarray(tensors[spec.name], dtype=wire_type(spec.dtype), order="C")) for spec in specs]


def checked_outputs(specs: Sequence[TensorSpec], output: Callable[[TensorSpec], Array]) -> Tensors:
    """All outputs, each checked, from `output(spec)`; raises MalformedAnswer for a wrong shape or dtype, NaN or infinity."""
    return {spec.name: checked_output(spec, output(spec)) for spec in specs}


def checked_output(spec: TensorSpec, values: Array) -> Array:
    """`values` in the dtype of the output `spec`; raises MalformedAnswer for a wrong shape or dtype, NaN or infinity."""
    if not _fits(values.shape, spec):
        raise MalformedAnswer(f"expected the output {spec}, seen shape {quoted(list(values.shape))}")
    accepted(values.dtype.name, spec)
    dtype = np.dtype(spec.dtype)
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype=dtype)
    if dtype.kind == "f" and not np.isfinite(narrow).all():
        bad = ~np.isfinite(narrow.reshape(len(narrow) if spec.batched else 1, -1)).all(axis=1)
        raise MalformedAnswer(f"expected finite {spec.name}, seen NaN or infinity in row {int(np.argmax(bad))} of {len(bad)}")
    return narrow.reshape(values.shape)  # ascontiguousarray turns a scalar into an array of one value


def accepted(dtype: str, spec: TensorSpec) -> str:
    """`dtype` if the output `spec` may have it: its own, or a wider float for a float; else raises MalformedAnswer."""
    seen, own = np.dtype(dtype), np.dtype(spec.dtype)
    if seen != own and not (seen.kind == own.kind == "f" and seen.itemsize > own.itemsize):
        raise MalformedAnswer(f"expected the output {spec}, seen {dtype}")
    return dtype


def raw_values(data: bytes | memoryview, spec: TensorSpec, dtype: str) -> Array:
    """The flat values of an output sent as little-endian bytes of `dtype`; raises MalformedAnswer for an incomplete value."""
    kind = wire_type(dtype)
    if len(data) % kind.itemsize:
        raise MalformedAnswer(f"expected the output {spec} in values of {kind.itemsize} bytes, seen {len(data)} bytes")
    return np.frombuffer(data, dtype=kind)


def shaped(values: Array, shape: Sequence[int], spec: TensorSpec) -> Array:
    """`values` in the shape that the answer states; raises MalformedAnswer if they do not fit it."""
    if min(shape, default=0) < 0 or prod(shape) != values.size:
        raise MalformedAnswer(f"expected the output {spec}, seen shape {quoted(list(shape))} with {values.size} values")
    return values.reshape(tuple(shape))


def listed(data: object, spec: TensorSpec, dimensions: int) -> Array:
    """JSON lists nested `dimensions` deep as an array; raises MalformedAnswer for other values than the output's.

    numpy alone would accept strings too.
    """
    shape: list[int] = []
    level: list[object] = [data]
    for _ in range(dimensions):
        lengths = {len(row) if isinstance(row, list) else FREE for row in level}
        if len(lengths) != 1 or FREE in lengths:
            raise MalformedAnswer(f"expected the output {spec} as equally long lists, seen {quoted(data)}")
        shape += lengths
        level = list(chain.from_iterable(row for row in level if isinstance(row, list)))
    return _of_values(level, spec).reshape(shape)


_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {"f": (float, int), "i": (int,), "u": (int,), "b": (bool,)}


def _of_values(values: list[object], spec: TensorSpec) -> Array:
    dtype = np.dtype(spec.dtype)
    if not all(type(value) in _PYTHON_TYPES[dtype.kind] for value in values):
        other = next(value for value in values if type(value) not in _PYTHON_TYPES[dtype.kind])
        raise MalformedAnswer(f"expected nothing but {dtype} values in the output {spec.name}, seen {quoted(repr(other))}")
    try:
        return np.array(values, dtype=np.float64 if dtype.kind == "f" else dtype)
    except OverflowError as error:
        raise MalformedAnswer(f"expected {dtype} values in the output {spec.name}: {error}") from error


def _fits(shape: Sequence[int], spec: TensorSpec) -> bool:
    return len(shape) == len(spec.shape) and all(
        length > 0 and wanted in (FREE, length) for length, wanted in zip(shape, spec.shape, strict=True)
    )
