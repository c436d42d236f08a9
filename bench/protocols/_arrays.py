"""What every codec does: check what may be encoded and what was answered by the signature, and quote foreign words in short."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import prod

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FREE, Array, Tensors, TensorSpec

_QUOTED_CHARACTERS = 300


def quoted(words: object) -> str:
    """What a server said, as it may stand in an error: it could be of any length."""
    text = str(words)
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."


def wire_type(dtype: str) -> np.dtype[np.generic]:
    """The dtype as it goes over every binary wire: little-endian."""
    return np.dtype(dtype).newbyteorder("<")


def wire_arrays(tensors: Tensors, specs: Sequence[TensorSpec]) -> list[tuple[TensorSpec, Array]]:
    """The arrays in the order of their specs, little-endian and in C order; ValueError where they are not as these say."""
    if set(tensors) != {spec.name for spec in specs}:
        raise ValueError(f"a message holds {', '.join(spec.name for spec in specs)}, not {', '.join(tensors) or 'nothing'}")
    for spec in specs:
        array = tensors[spec.name]
        if array.dtype != np.dtype(spec.dtype) or not _fits(array.shape, spec):
            raise ValueError(f"a message holds {spec} of at least one value, not {array.dtype} {list(array.shape)}")
    # asarray: ascontiguousarray makes a scalar an array of one
    return [(spec, np.asarray(tensors[spec.name], dtype=wire_type(spec.dtype), order="C")) for spec in specs]


def checked_outputs(specs: Sequence[TensorSpec], output: Callable[[TensorSpec], Array]) -> Tensors:
    """Every output by its spec, as it has to be; raises MalformedAnswer for another shape or dtype, NaN or infinity."""
    return {spec.name: checked_output(spec, output(spec)) for spec in specs}


def checked_output(spec: TensorSpec, values: Array) -> Array:
    """`values` as that output, wider floats narrowed; raises MalformedAnswer."""
    if not _fits(values.shape, spec):
        raise MalformedAnswer(f"expected the output {spec}, seen shape {quoted(list(values.shape))}")
    accepted(values.dtype.name, spec)
    dtype = np.dtype(spec.dtype)
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype=dtype)
    if dtype.kind == "f" and not np.isfinite(narrow).all():
        bad = ~np.isfinite(narrow.reshape(len(narrow) if spec.batched else 1, -1)).all(axis=1)
        raise MalformedAnswer(f"expected finite {spec.name}, seen NaN or infinity in row {int(np.argmax(bad))} of {len(bad)}")
    return narrow.reshape(values.shape)  # ascontiguousarray makes a scalar an array of one


def accepted(dtype: str, spec: TensorSpec) -> str:
    """`dtype` where that output may come in it: its own, or wider floats; else raises MalformedAnswer."""
    seen, own = np.dtype(dtype), np.dtype(spec.dtype)
    if seen != own and not (seen.kind == own.kind == "f" and seen.itemsize > own.itemsize):
        raise MalformedAnswer(f"expected the output {spec}, seen {dtype}")
    return dtype


def raw_values(data: bytes | memoryview, spec: TensorSpec, dtype: str) -> Array:
    """The values, without a shape yet, of an output that was sent as little-endian bytes of `dtype`."""
    kind = wire_type(dtype)
    if len(data) % kind.itemsize:
        raise MalformedAnswer(f"expected the output {spec} in values of {kind.itemsize} bytes, seen {len(data)} bytes")
    return np.frombuffer(data, dtype=kind)


def shaped(values: Array, shape: Sequence[int], spec: TensorSpec) -> Array:
    """`values` in the shape that an answer states for them."""
    if min(shape, default=0) < 0 or prod(shape) != values.size:
        raise MalformedAnswer(f"expected the output {spec}, seen shape {quoted(list(shape))} with {values.size} values")
    return values.reshape(tuple(shape))


def listed(data: object, spec: TensorSpec, dimensions: int) -> Array:
    """Lists of numbers nested `dimensions` deep, out of JSON, as an array: numpy alone would also take strings."""
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
