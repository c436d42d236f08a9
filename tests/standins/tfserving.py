"""A stand-in of TensorFlow Serving: its REST and gRPC interfaces as documented, errors included, around any predictor."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from bench.contract.tensors import FloatArray
from bench.protocols import _tfserving_pb2 as messages
from tests.standins.serving import Call, on_two_ports
from tests.standins.tfserving_model import INPUT, OUTPUT, SIGNATURES, ServedModel, ServingError, invalid
from tests.standins.tfserving_rest import RestServer

METHOD = "/tensorflow.serving.PredictionService/Predict"


@dataclass(frozen=True, slots=True)
class TfServing:
    """A running stand-in: where it listens, and what it serves."""

    model: ServedModel
    rest_port: int
    grpc_port: int


@contextlib.contextmanager
def tfserving(model: ServedModel) -> Iterator[TfServing]:
    """Serve `model` on two ports of the loopback."""
    with on_two_ports(RestServer(model), METHOD, answer_call(model)) as ports:
        yield TfServing(model, *ports)


def answer_call(model: ServedModel) -> Call:
    """What the gRPC method does."""
    return partial(_predict, model)


def _predict(model: ServedModel, body: bytes, context: grpc.ServicerContext) -> bytes:
    try:
        return _answer(model, messages.PredictRequest.FromString(body)).SerializeToString()
    except DecodeError:
        context.abort(grpc.StatusCode.INTERNAL, "")
    except ServingError as error:
        context.abort(error.code, error.message)


def _answer(model: ServedModel, request: messages.PredictRequest) -> messages.PredictResponse:
    spec = request.model_spec
    if not spec.name:
        raise invalid("Missing ModelSpec")
    model.look_up(spec.name, spec.version.value if spec.HasField("version") else None)
    signature = spec.signature_name or SIGNATURES[0]
    if signature not in SIGNATURES:
        raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.')
    scores = model.run(_input(request))
    for alias in request.output_filter:
        if alias != OUTPUT:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{OUTPUT}}}."
            )
    dims = [messages.TensorShapeProto.Dim(size=length) for length in scores.shape]
    tensor = messages.TensorProto(dtype=messages.DT_FLOAT, tensor_shape=messages.TensorShapeProto(dim=dims))
    if model.tensor_content:
        tensor.tensor_content = scores.astype("<f4").tobytes()
    else:
        tensor.float_val.extend(scores.ravel().tolist())
    served = messages.ModelSpec(name=model.name, version=messages.Version(value=model.version), signature_name=signature)
    return messages.PredictResponse(outputs={OUTPUT: tensor}, model_spec=served)


def _input(request: messages.PredictRequest) -> FloatArray:
    sent = sorted(request.inputs)
    if len(sent) != 1:
        raise invalid(
            f"input size does not match signature: {len(sent)}!=1 len({{{','.join(sent)}}}) != len({{{INPUT}}}). "
            f"Sent extra: {{{','.join(set(sent) - {INPUT})}}}. Missing but required: {{{','.join({INPUT} - set(sent))}}}."
        )
    if sent != [INPUT]:
        raise invalid(f"input tensor alias not found in signature: {sent[0]}. Inputs expected to be in the set {{{INPUT}}}.")
    tensor = request.inputs[INPUT]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype != messages.DT_FLOAT:
        raise invalid(f"Expects arg[0] to be float but type {tensor.dtype} is provided")
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content[: len(tensor.tensor_content) // 4 * 4], dtype="<f4")
        whole = len(tensor.tensor_content) == 4 * math.prod(shape)
    else:
        values = np.array(tensor.float_val, dtype=np.float32)
        whole = len(values) == math.prod(shape)
    if min(shape, default=0) < 0 or not whole:
        raise invalid(f"tensor parsing error: {INPUT}")
    return values.reshape(shape)
