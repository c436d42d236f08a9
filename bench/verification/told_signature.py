"""The inputs and outputs that a server reports for its model, and whether they differ from the run's signature."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contract.tensors import FREE, Signature, TensorSpec
from bench.protocols._open_inference import DATATYPES
from bench.protocols.tfserving_grpc import TYPES

_DTYPES = {name: dtype for dtype, name in DATATYPES.items()} | {name: dtype for dtype, (name, _) in TYPES.items()}
"""Name of a dtype in V2 or TensorFlow -> numpy's name."""

_TENSOR = re.compile(r"(?P<name>.+) (?P<dtype>[A-Z0-9_]+) \[(?P<shape>[-0-9, ]*)\]")


def told_tensors(texts: object) -> tuple[TensorSpec, ...]:
    """The specs of tensors given as texts, such as `images FP32 [-1, 784]`; empty if one of them cannot be parsed."""
    found = [_TENSOR.fullmatch(str(text)) for text in texts] if isinstance(texts, list | tuple) else []
    if not all(match and match["dtype"] in _DTYPES for match in found):
        return ()
    return tuple(_spec(match) for match in found if match)


def told_outputs(facts: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    """The output specs in one endpoint's facts; empty if it reports none."""
    return told_tensors(facts.get("outputs"))


def disagreement(facts: Mapping[str, Any], signature: Signature) -> str:
    """An error text if the endpoint's reported tensors differ from the run's signature, with both; else, or if none, empty."""
    inputs, outputs = told_tensors(facts.get("inputs")), told_outputs(facts)
    wrong = _differ(inputs, signature.inputs, all_of_them=True) or _differ(outputs, signature.outputs, all_of_them=False)
    if not wrong:
        return ""
    told = f"{', '.join(map(str, inputs)) or '?'} -> {', '.join(map(str, outputs)) or '?'}"
    return f"expected the signature of the run's model, {signature}; seen {told}: {wrong}; give its own with --model=FILE.onnx"


def _spec(match: re.Match[str]) -> TensorSpec:
    lengths = [int(word) for word in match["shape"].split(",") if word.strip()]
    return TensorSpec(match["name"], _DTYPES[match["dtype"]], (FREE, *(x if x > 0 else FREE for x in lengths[1:])))


def _differ(told: Sequence[TensorSpec], ours: Sequence[TensorSpec], *, all_of_them: bool) -> str:
    """The first tensor that is missing, of another dtype, or of another shape with as many axes; empty if there is none.

    `all_of_them`: `told` may have no further tensors.
    """
    if not told or not ours:
        return ""
    by_name = {spec.name: spec for spec in told}
    for spec in ours:
        other = by_name.get(spec.name)
        if other is None:
            return f"no {spec.name!r}"
        if other.dtype != spec.dtype:
            return f"{spec.name!r} is {other.dtype}"
        same_rank = len(other.shape) == len(spec.shape)
        if same_rank and any(a != b and FREE not in (a, b) for a, b in zip(other.shape[1:], spec.shape[1:], strict=True)):
            return f"{spec.name!r} has other lengths"
    more = by_name.keys() - {spec.name for spec in ours}
    return f"{min(more)!r} as well" if all_of_them and more else ""
