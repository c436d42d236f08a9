"""Shared by the three forms of the Open Inference Protocol (V2): its names of dtypes, and how outputs are found by name."""

from collections.abc import Mapping, Sequence

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import TensorSpec
from bench.protocols._arrays import accepted, quoted

REQUEST_ID = "1"
"""The id of every request: optional in the protocol, but some servers fail without it."""

DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    **{f"{kind}int{bits}": f"{kind.upper()}INT{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
}
"""numpy's name of a dtype -> the protocol's name."""

_DTYPES = {name: dtype for dtype, name in DATATYPES.items()}


def place_of(spec: TensorSpec, names: Sequence[object]) -> int:
    """The place of the output `spec` in `names`, an answer's outputs; raises MalformedAnswer if it is missing."""
    if spec.name not in names:
        raise MalformedAnswer(f"expected the output {spec.name!r}, seen {quoted(list(map(str, names)))}")
    return list(names).index(spec.name)


def dtype_of(datatype: object, spec: TensorSpec) -> str:
    """The dtype that an answer states for the output `spec`; raises MalformedAnswer if it may not have that one."""
    dtype = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        expected = f"{spec.name} of datatype {DATATYPES[spec.dtype]}"
        raise MalformedAnswer(f"expected the output {expected}, seen {quoted(repr(datatype))}")
    return accepted(dtype, spec)


def shape_of(shape: object, spec: TensorSpec) -> list[int]:
    """The shape that an answer states, as parsed from JSON; raises MalformedAnswer if it is no list of integers."""
    if not isinstance(shape, list) or not all(type(length) is int for length in shape):
        raise MalformedAnswer(f"expected the output {spec}, seen the shape {quoted(repr(shape))}")
    return shape
