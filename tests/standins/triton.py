"""A stand-in of Triton: the Open Inference Protocol over REST (JSON, binary) and gRPC, as our codecs use it; any predictor."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from bench.protocols import _inference_pb2 as messages
from tests.standins.serving import on_two_ports
from tests.standins.triton_model import OUTPUT, ServedModel, TritonError
from tests.standins.triton_rest import RestServer

METHOD = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, slots=True)
class Triton:
    """A running stand-in: where it listens, and what it serves."""

    model: ServedModel
    rest_port: int
    grpc_port: int


@contextlib.contextmanager
def triton(model: ServedModel) -> Iterator[Triton]:
    """Serve `model` on two ports of the loopback."""
    with on_two_ports(RestServer(model), METHOD, partial(_infer, model)) as ports:
        yield Triton(model, *ports)


def _infer(model: ServedModel, body: bytes, context: grpc.ServicerContext) -> bytes:
    try:
        return _answer(model, messages.ModelInferRequest.FromString(body)).SerializeToString()
    except DecodeError:
        context.abort(grpc.StatusCode.INTERNAL, "Unable to parse request")
    except TritonError as error:
        context.abort(error.code, error.message)


def _answer(model: ServedModel, request: messages.ModelInferRequest) -> messages.ModelInferResponse:
    model.look_up(request.model_name, request.model_version)
    (tensor,), (data,) = request.inputs, request.raw_input_contents
    scores = model.run(request.id, np.frombuffer(data, dtype="<f4").reshape(tensor.shape))
    output = messages.ModelInferResponse.InferOutputTensor(name=OUTPUT, datatype="FP32", shape=scores.shape)
    answer = messages.ModelInferResponse(model_name=model.name, model_version=model.version, id=request.id, outputs=[output])
    if model.raw_outputs:
        answer.raw_output_contents.append(scores.astype("<f4").tobytes())
    else:
        answer.outputs[0].contents.fp32_contents.extend(scores.ravel().tolist())
    return answer
