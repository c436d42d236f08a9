"""What the three forms of the Open Inference Protocol (V2) share: its names of dtypes, and which output is which."""

from collections.abc import Mapping, Sequence

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import TensorSpec
from bench.protocols._arrays import accepted, quoted

REQUEST_ID = "1"
"""Always sent: optional by the protocol, but there are servers that fail without it."""

DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    **{f"{kind}int{bits}": f"{kind.upper()}INT{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
}
"""The protocol's names by numpy's."""

_DTYPES = {name: dtype for dtype, name in DATATYPES.items()}


def place_of(spec: TensorSpec, names: Sequence[object]) -> int:
    """Where that output is among an answer's; raises MalformedAnswer."""
    if spec.name not in names:
        raise MalformedAnswer(f"expected the output {spec.name!r}, seen {quoted(list(map(str, names)))}")
    return list(names).index(spec.name)


def dtype_of(datatype: object, spec: TensorSpec) -> str:
    """The dtype that an answer says the output has; raises MalformedAnswer where it cannot come in it."""
    dtype = _DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        expected = f"{spec.name} of datatype {DATATYPES[spec.dtype]}"
        raise MalformedAnswer(f"expected the output {expected}, seen {quoted(repr(datatype))}")
    return accepted(dtype, spec)


def shape_of(shape: object, spec: TensorSpec) -> list[int]:
    """The shape that an answer states, out of JSON; raises MalformedAnswer where it is none."""
    if not isinstance(shape, list) or not all(type(length) is int for length in shape):
        raise MalformedAnswer(f"expected the output {spec}, seen the shape {quoted(repr(shape))}")
    return shape
