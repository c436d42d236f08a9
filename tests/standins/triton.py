"""A stand-in of Triton: the Open Inference Protocol over REST (JSON, binary) and gRPC, errors included; any predictor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from bench.protocols import _inference_pb2 as messages
from tests.standins.serving import on_two_ports
from tests.standins.triton_model import OUTPUT, ServedModel, Tensor, TritonError, invalid
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
    scores = model.run(request.id, _inputs(model, request), [output.name for output in request.outputs])
    output = messages.ModelInferResponse.InferOutputTensor(name=OUTPUT, datatype="FP32", shape=scores.shape)
    answer = messages.ModelInferResponse(model_name=model.name, model_version=model.version, id=request.id, outputs=[output])
    if model.raw_outputs:
        answer.raw_output_contents.append(scores.astype("<f4").tobytes())
    else:
        answer.outputs[0].contents.fp32_contents.extend(scores.ravel().tolist())
    return answer


def _inputs(model: ServedModel, request: messages.ModelInferRequest) -> list[Tensor]:
    found = []
    for place, sent in enumerate(request.inputs):
        of = f"'{sent.name}' for model '{model.name}'"
        listed = sent.contents.fp32_contents
        if len(request.raw_input_contents) > place and sent.HasField("contents"):
            raise invalid(f"contents field must not be specified when using raw_input_contents for {of}")
        if len(request.raw_input_contents) > place:
            data = request.raw_input_contents[place]
        elif listed:
            data = np.array(listed, dtype="<f4").tobytes()
        else:
            raise invalid(f"unable to find data for input tensor {of} in request.")
        found.append(Tensor(sent.name, sent.datatype, tuple(sent.shape), data))
    return found
