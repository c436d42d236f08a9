"""What the Triton stand-in serves by either interface, and what it refuses; knows neither HTTP nor gRPC's wire.

Texts are those of tritonserver 2.51; tests/integration/test_triton_standin.py asks the real one the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from bench.contract.tensors import FloatArray, Predictor

INPUT, OUTPUT = "images", "scores"
DATATYPES = ("BOOL", "UINT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES")


class TritonError(Exception):
    """What the server refuses: a gRPC status, which REST turns into one of HTTP."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> TritonError:
    """The most frequent refusal."""
    return TritonError(grpc.StatusCode.INVALID_ARGUMENT, message)


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input as it came: `data` are raw bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(slots=True)
class ServedModel:
    """One model at one version; `available` False is a model that still loads.

    `binary_outputs` and `raw_outputs` False are servers of the same protocol that answer JSON whatever was asked for, or list
    their values over gRPC.
    """

    predict: Predictor
    width: int
    name: str = "emnist"
    version: str = "1"
    available: bool = True
    binary_outputs: bool = True
    raw_outputs: bool = True

    def look_up(self, name: str, version: str) -> None:
        """Raise TritonError unless this is the model and version, and it is loaded; the version may be empty."""
        if name == self.name and version in ("", self.version) and self.available:
            return
        asked = f"'{name}' version {version} is not found" if version else f"'{name}' is not found"
        if name == self.name and not self.available:
            asked = f"'{name}' has no available versions"
        raise TritonError(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: {asked}")

    def run(self, request_id: str, inputs: Sequence[Tensor], outputs: Sequence[str]) -> FloatArray:
        """The model on the request's inputs, checked in the order in which the server checks."""
        self._check_names(request_id, [tensor.name for tensor in inputs], outputs)
        who = f"[request id: {request_id or '<id_unknown>'}]"
        (tensor,) = inputs
        of = f"for input '{INPUT}' for model '{self.name}'"
        if tensor.datatype != "FP32":
            seen = tensor.datatype if tensor.datatype in DATATYPES else "<invalid>"
            raise invalid(f"{who} inference input '{INPUT}' data-type is '{seen}', but model '{self.name}' expects 'FP32'")
        if len(tensor.shape) != 2 or tensor.shape[1] != self.width:
            expected, got = f"[-1,{self.width}]", f"[{','.join(map(str, tensor.shape))}]"
            raise invalid(f"{who} unexpected shape {of}. Expected {expected}, got {got}. ")
        expected_bytes = 4 * int(np.prod(tensor.shape))
        if len(tensor.data) != expected_bytes:
            raise invalid(f"{who} input byte size mismatch {of}. Expected {expected_bytes}, got {len(tensor.data)}")
        return self.predict(np.frombuffer(tensor.data, dtype="<f4").reshape(tensor.shape))

    def _check_names(self, request_id: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        who = f"[request id: {request_id or '<id_unknown>'}]"
        if len(set(inputs)) < len(inputs):
            raise invalid(f"{who} input '{inputs[0]}' already exists in request")
        if len(inputs) != 1:
            got = ",".join(f"'{name}'" for name in sorted(inputs, reverse=True))
            lacking = "]" if INPUT in inputs else f"['{INPUT}']"  # sic
            raise invalid(
                f"{who} expected 1 inputs but got {len(inputs)} inputs for model '{self.name}'. Got input(s) [{got}], "
                f"but missing required input(s) {lacking}. Please provide all required input(s)."
            )
        for kind, names, known in (("input", inputs, INPUT), ("output", outputs, OUTPUT)):
            for name in names:
                if name != known:
                    raise invalid(f"unexpected inference {kind} '{name}' for model '{self.name}'")
