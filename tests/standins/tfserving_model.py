"""What the TensorFlow Serving stand-in serves by either interface, and what it refuses; knows neither HTTP nor gRPC's wire."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from bench.contract.tensors import FloatArray

SIGNATURES = ("serving_default", "predict")
INPUT, OUTPUT = "images", "scores"


class ServingError(Exception):
    """What the server refuses: a gRPC status, which REST turns into one of HTTP."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """The most frequent refusal."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


@dataclass(slots=True)
class ServedModel:
    """One model at one version; `available` False is a model that still loads; `tensor_content` as by the server's flag."""

    predict: Callable[[FloatArray], FloatArray]
    width: int
    name: str = "emnist"
    version: int = 1
    available: bool = True
    tensor_content: bool = False

    def look_up(self, name: str, version: int | None) -> None:
        """Raise ServingError unless this is the model and version, and it is loaded."""
        if name != self.name or version not in (None, self.version) or not self.available:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")

    def run(self, images: FloatArray) -> FloatArray:
        """The model on a tensor of any shape: what TensorFlow's MatMul says to a wrong one."""
        if images.ndim != 2 or images.shape[1] != self.width:
            shape = ",".join(map(str, images.shape))
            what = "Matrix size-incompatible" if images.ndim == 2 else "In[0] and In[1] has different ndims"
            raise invalid(f"{what}: In[0]: [{shape}], In[1]: [{self.width},512]\n\t [[{{{{node MatMul}}}}]]")
        return self.predict(images)
