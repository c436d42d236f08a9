"""What the Triton stand-in serves by either interface, and what it refuses; knows neither HTTP nor gRPC's wire.

Texts are those of tritonserver 2.51, which is measured itself wherever its wheel can be had (the backend `triton`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from bench.contract.tensors import FloatArray

INPUT, OUTPUT = "images", "scores"


class TritonError(Exception):
    """What the server refuses: a gRPC status, which REST turns into one of HTTP."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> TritonError:
    """The most frequent refusal."""
    return TritonError(grpc.StatusCode.INVALID_ARGUMENT, message)


@dataclass(slots=True)
class ServedModel:
    """One model at one version; `available` False is a model that still loads.

    `binary_outputs` and `raw_outputs` False are servers of the same protocol that answer JSON whatever was asked for, or list
    their values over gRPC.
    """

    predict: Callable[[FloatArray], FloatArray]
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

    def run(self, request_id: str, images: FloatArray) -> FloatArray:
        """The model on the request's only input."""
        if images.ndim != 2 or images.shape[1] != self.width:
            expected, got = f"[-1,{self.width}]", f"[{','.join(map(str, images.shape))}]"
            of = f"[request id: {request_id or '<id_unknown>'}] unexpected shape for input '{INPUT}' for model '{self.name}'"
            raise invalid(f"{of}. Expected {expected}, got {got}. ")
        return self.predict(images)
