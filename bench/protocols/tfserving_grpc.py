"""Protocol `tfserving-grpc`: TensorFlow Serving's gRPC API, one float32 tensor in and one out.

unary call /tensorflow.serving.PredictionService/Predict
request   PredictRequest    model "emnist", signature "serving_default", inputs["images"]   [n, width] in tensor_content
answer    PredictResponse   outputs["scores"] [n, classes] in float_val, or in tensor_content where the server was told so

An error is a gRPC status and never gets here. The messages are a part of the official ones: see _tfserving.proto.
"""

from __future__ import annotations

import math

import numpy as np
from google.protobuf.message import DecodeError

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import checked_scores, matrix, quoted
from bench.protocols._tfserving_pb2 import (
    DT_FLOAT,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    TensorProto,
    TensorShapeProto,
    Version,
)

MODEL = "emnist"
SIGNATURE = "serving_default"
INPUT = "images"
OUTPUT = "scores"
_VALUE_BYTES = 4


class TfServingGrpc:
    """Codec of the model's only input and output, both by name."""

    name = "tfserving-grpc"
    transport = "grpc"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        rows = matrix(images)
        tensor = TensorProto(dtype=DT_FLOAT, tensor_shape=_shape(rows), tensor_content=rows.tobytes())
        spec = ModelSpec(name=MODEL, signature_name=SIGNATURE)
        request = PredictRequest(model_spec=spec, inputs={INPUT: tensor})
        return request.SerializeToString(), "application/grpc", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        try:
            response = PredictResponse.FromString(body)
        except DecodeError as error:
            raise MalformedAnswer(f"expected a PredictResponse, seen {len(body)} bytes {body[:40]!r}: {error}") from error
        if OUTPUT not in response.outputs:
            raise MalformedAnswer(f"expected the output {OUTPUT!r}, seen {quoted(sorted(response.outputs))}")
        return checked_scores(_values(response.outputs[OUTPUT]))

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        rows = matrix(scores)
        tensor = TensorProto(dtype=DT_FLOAT, tensor_shape=_shape(rows), float_val=rows.ravel().tolist())
        spec = ModelSpec(name=MODEL, version=Version(value=1), signature_name=SIGNATURE)
        return PredictResponse(outputs={OUTPUT: tensor}, model_spec=spec).SerializeToString()


def _shape(rows: FloatArray) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=length) for length in rows.shape])


def _values(tensor: TensorProto) -> FloatArray:
    """A tensor's values in its shape; as in TensorFlow, `tensor_content` counts where it is not empty, else `float_val`."""
    if tensor.dtype != DT_FLOAT:
        raise MalformedAnswer(f"expected a tensor of type {DT_FLOAT} (DT_FLOAT), seen type {tensor.dtype}")
    if len(tensor.tensor_content) % _VALUE_BYTES:
        raise MalformedAnswer(f"expected float32 values, seen {len(tensor.tensor_content)} bytes of tensor_content")
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, dtype="<f4")
    else:
        values = np.fromiter(tensor.float_val, dtype=np.float32, count=len(tensor.float_val))
    lengths = [dim.size for dim in tensor.tensor_shape.dim]
    if len(lengths) != 2 or min(lengths) < 1 or math.prod(lengths) != values.size:
        raise MalformedAnswer(f"expected a tensor of shape [n, classes], seen {quoted(lengths)} with {values.size} values")
    return values.reshape(lengths)


CODEC = TfServingGrpc()
