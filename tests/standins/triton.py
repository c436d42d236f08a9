"""A stand-in of Triton: the Open Inference Protocol over REST (JSON, binary) and gRPC, as our codecs use it; any predictor.

Texts are those of tritonserver 2.51, which is measured itself wherever its wheel can be had (the backend `triton`).
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from bench.contract.tensors import FloatArray
from bench.protocols import _inference_pb2 as messages
from tests.standins.serving import KeptConnection, Refusal, RestServer, Served, on_two_ports

METHOD = "/inference.GRPCInferenceService/ModelInfer"
INPUT, OUTPUT = "images", "scores"
_PATH = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<infer>/infer)?")
_HEADER = "Inference-Header-Content-Length"


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
        """Raise Refusal unless this is the model and version, and it is loaded; the version may be empty."""
        if name == self.name and version in ("", self.version) and self.available:
            return
        asked = f"'{name}' version {version} is not found" if version else f"'{name}' is not found"
        if name == self.name and not self.available:
            asked = f"'{name}' has no available versions"
        raise Refusal(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: {asked}")

    def run(self, request_id: str, images: FloatArray) -> FloatArray:
        """The model on the request's only input."""
        if images.shape[1] != self.width:
            expected, got = f"[-1,{self.width}]", f"[{','.join(map(str, images.shape))}]"
            of = f"[request id: {request_id or '<id_unknown>'}] unexpected shape for input '{INPUT}' for model '{self.name}'"
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{of}. Expected {expected}, got {got}. ")
        return self.predict(images)


def triton(model: ServedModel) -> AbstractContextManager[Served]:
    """Serve `model` on two ports of the loopback."""
    return on_two_ports(RestServer(_Handler, model), {METHOD: partial(_infer_call, model)})


class _Handler(KeptConnection):
    server: RestServer

    def respond(self, body: bytes) -> None:
        try:
            status, (head, tail) = 200, self._answer(body)
        except Refusal as error:
            status, head, tail = error.http_status, _dump({"error": error.message}), b""
        if tail:
            self.send(status, head + tail, "application/octet-stream", **{_HEADER: str(len(head))})
        else:
            self.send(status, head, "application/json")

    def _answer(self, body: bytes) -> tuple[bytes, bytes]:
        """What is answered in JSON, and in binary behind it."""
        model: ServedModel = self.server.model
        asked = _PATH.fullmatch(self.path)
        if asked is None:
            raise Refusal(grpc.StatusCode.NOT_FOUND, "Not Found")
        if (self.command == "POST") != bool(asked["infer"]):
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, "Method Not Allowed")
        model.look_up(asked["name"], asked["version"] or "")
        return _infer(model, body, self.headers.get(_HEADER)) if asked["infer"] else (_metadata(model), b"")


def _dump(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _metadata(model: ServedModel) -> bytes:
    return _dump(
        {
            "name": model.name,
            "versions": [model.version],
            "platform": "onnxruntime_onnx",
            "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, model.width]}],
            "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, -1]}],
        }
    )


def _infer(model: ServedModel, body: bytes, header: str | None) -> tuple[bytes, bytes]:
    head_bytes = len(body) if header is None else int(header)
    try:
        document = json.loads(body[:head_bytes])
    except ValueError as error:
        raise Refusal(grpc.StatusCode.INTERNAL, f"failed to parse the request JSON buffer: {error}") from error
    (tensor,) = document["inputs"]
    binary = "binary_data_size" in tensor.get("parameters", {})
    values = np.frombuffer(body[head_bytes:], dtype="<f4") if binary else np.array(tensor["data"], dtype=np.float32)
    request_id = document.get("id", "")
    scores = model.run(request_id, values.reshape(tensor["shape"]))
    asked = any(output.get("parameters", {}).get("binary_data") for output in document.get("outputs", []))
    in_binary = model.binary_outputs and (asked or document.get("parameters", {}).get("binary_data_output", False))
    data = scores.astype("<f4").tobytes() if in_binary else b""
    told = {"parameters": {"binary_data_size": len(data)}} if in_binary else {"data": scores.ravel().tolist()}
    output = {"name": OUTPUT, "datatype": "FP32", "shape": list(scores.shape), **told}
    named = {"id": request_id} if request_id else {}
    return _dump({**named, "model_name": model.name, "model_version": model.version, "outputs": [output]}), data


def _infer_call(model: ServedModel, body: bytes, context: grpc.ServicerContext) -> bytes:
    try:
        return _answer(model, messages.ModelInferRequest.FromString(body)).SerializeToString()
    except DecodeError:
        context.abort(grpc.StatusCode.INTERNAL, "Unable to parse request")
    except Refusal as error:
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
