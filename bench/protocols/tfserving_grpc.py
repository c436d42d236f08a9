"""Protocol `tfserving-grpc`: TensorFlow Serving's gRPC API.

unary call /tensorflow.serving.PredictionService/Predict
request   PredictRequest    model, signature "serving_default", inputs by name, each [n, ...] in tensor_content
answer    PredictResponse   outputs by name, each in its dtype's own field, or in tensor_content if the server is set so

An error is a gRPC status and never gets here. The messages are a subset of the official ones: see _tfserving.proto.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors, TensorSpec
from bench.protocols._arrays import accepted, checked_outputs, quoted, raw_values, shaped, wire_arrays
from bench.protocols._codec import SignatureCodec
from bench.protocols._tfserving_pb2 import (
    DataType,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    TensorProto,
    TensorShapeProto,
    Version,
)

SIGNATURE = "serving_default"

TYPES: Mapping[str, tuple[str, str]] = {
    "float32": ("DT_FLOAT", "float_val"),
    "float64": ("DT_DOUBLE", "double_val"),
    "float16": ("DT_HALF", "half_val"),  # the 16 bits of each value, as an integer
    **{name: (f"DT_{name.upper()}", "int_val") for name in ("int8", "int16", "int32", "uint8", "uint16")},
    "int64": ("DT_INT64", "int64_val"),
    "uint32": ("DT_UINT32", "uint32_val"),
    "uint64": ("DT_UINT64", "uint64_val"),
    "bool": ("DT_BOOL", "bool_val"),
}
"""numpy's name of a dtype -> TensorFlow's name, and the field for its values."""

_DTYPES = {DataType.Value(name): dtype for dtype, (name, _) in TYPES.items()}


class TfServingGrpc(SignatureCodec):
    """Codec of a model's inputs and outputs, all by name."""

    name = "tfserving-grpc"
    transport = "grpc"

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        arrays = wire_arrays(inputs, self.signature.inputs)
        tensors = {spec.name: _tensor(spec, array, {"tensor_content": array.tobytes()}) for spec, array in arrays}
        spec = ModelSpec(name=self.model, signature_name=SIGNATURE)
        # deterministic: otherwise the order of several inputs would differ between processes
        body = PredictRequest(model_spec=spec, inputs=tensors).SerializeToString(deterministic=True)
        return body, "application/grpc", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        try:
            response = PredictResponse.FromString(body)
        except DecodeError as error:
            raise MalformedAnswer(f"expected a PredictResponse, seen {len(body)} bytes {body[:40]!r}: {error}") from error

        def values(spec: TensorSpec) -> Array:
            if spec.name not in response.outputs:
                raise MalformedAnswer(f"expected the output {spec.name!r}, seen {quoted(sorted(response.outputs))}")
            return _values(response.outputs[spec.name], spec)

        return checked_outputs(self.signature.outputs, values)

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        arrays = wire_arrays(outputs, self.signature.outputs)
        tensors = {
            spec.name: _tensor(spec, array, {TYPES[spec.dtype][1]: _bits(array.ravel()).tolist()}) for spec, array in arrays
        }
        spec = ModelSpec(name=self.model, version=Version(value=1), signature_name=SIGNATURE)
        return PredictResponse(outputs=tensors, model_spec=spec).SerializeToString(deterministic=True)


def _tensor(spec: TensorSpec, array: Array, values: dict[str, Any]) -> TensorProto:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=length) for length in array.shape])
    return TensorProto(dtype=TYPES[spec.dtype][0], tensor_shape=shape, **values)


def _bits(values: Array) -> Array:
    """The values as a tensor's field holds them: float16 as its bits, others unchanged."""
    return values.view(np.uint16) if values.dtype == np.float16 else values


def _values(tensor: TensorProto, spec: TensorSpec) -> Array:
    """A tensor's values in its shape, from `tensor_content` if that is not empty, as in TensorFlow; raises MalformedAnswer."""
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        expected = TYPES[spec.dtype][0]
        raise MalformedAnswer(f"expected the output {spec.name} of type {expected}, seen type {tensor.dtype}")
    accepted(dtype, spec)
    if tensor.tensor_content:
        values = raw_values(tensor.tensor_content, spec, dtype)
    else:
        field = getattr(tensor, TYPES[dtype][1])
        try:
            values = np.array(field, np.uint16).view(np.float16) if dtype == "float16" else np.array(field, dtype)
        except OverflowError as error:
            raise MalformedAnswer(f"expected {dtype} values for {spec.name}: {error}") from error
    return shaped(values, [dim.size for dim in tensor.tensor_shape.dim], spec)


CODEC = TfServingGrpc
