"""Protocol `v2-grpc`: the Open Inference Protocol (V2) over gRPC, one float32 tensor in and one out.

unary call /inference.GRPCInferenceService/ModelInfer
request   ModelInferRequest    model "emnist", input "images" FP32 [n, width], values in raw_input_contents
answer    ModelInferResponse   output "scores" [n, classes], values in raw_output_contents or in the output's contents

An error is a gRPC status and never gets here. The messages are a part of the official ones: see _inference.proto.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import matrix
from bench.protocols._inference_pb2 import ModelInferRequest, ModelInferResponse
from bench.protocols._open_inference import (
    INPUT,
    MODEL,
    OUTPUT,
    REQUEST_ID,
    raw_values,
    require_output,
    shaped_scores,
    value_type,
)

_Input = ModelInferRequest.InferInputTensor
_Wanted = ModelInferRequest.InferRequestedOutputTensor
_Output = ModelInferResponse.InferOutputTensor


class V2Grpc:
    """Codec of the gRPC form."""

    name = "v2-grpc"
    transport = "grpc"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        rows = matrix(images)
        request = ModelInferRequest(
            model_name=MODEL,
            id=REQUEST_ID,
            inputs=[_Input(name=INPUT, datatype="FP32", shape=rows.shape)],
            outputs=[_Wanted(name=OUTPUT)],
            raw_input_contents=[rows.tobytes()],
        )
        return request.SerializeToString(), "application/grpc", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        try:
            response = ModelInferResponse.FromString(body)
        except DecodeError as error:
            raise MalformedAnswer(f"expected a ModelInferResponse, seen {len(body)} bytes {body[:40]!r}: {error}") from error
        place = require_output([output.name for output in response.outputs])
        output = response.outputs[place]
        raw = response.raw_output_contents
        if raw and len(raw) != len(response.outputs):
            raise MalformedAnswer(f"expected raw contents for each of {len(response.outputs)} outputs, seen {len(raw)}")
        values = raw_values(raw[place], output.datatype) if raw else _listed(output)
        return shaped_scores(values, list(output.shape))

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        rows = matrix(scores)
        output = _Output(name=OUTPUT, datatype="FP32", shape=rows.shape)
        response = ModelInferResponse(
            model_name=MODEL, model_version="1", id=REQUEST_ID, outputs=[output], raw_output_contents=[rows.tobytes()]
        )
        return response.SerializeToString()


def _listed(output: _Output) -> npt.NDArray[np.floating]:
    """The values in an output's own contents."""
    wide = np.dtype(value_type(output.datatype)).itemsize == np.dtype(np.float64).itemsize
    values = output.contents.fp64_contents if wide else output.contents.fp32_contents
    return np.fromiter(values, dtype=np.float64 if wide else np.float32, count=len(values))


CODEC = V2Grpc()
