"""The REST interface of the Triton stand-in: health, metadata, inference with tensors in JSON and in binary, errors."""

import json
import re
from http.server import ThreadingHTTPServer

import grpc
import numpy as np

from bench.contract.tensors import FloatArray
from tests.standins.serving import KeptConnection
from tests.standins.triton_model import INPUT, OUTPUT, ServedModel, TritonError, invalid

_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<rest>/infer|/ready)?")
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNIMPLEMENTED: 405,
    grpc.StatusCode.INTERNAL: 500,
}
_HEADER = "Inference-Header-Content-Length"


class RestServer(ThreadingHTTPServer):
    """Keeps connections, one thread each."""

    daemon_threads = True

    def __init__(self, model: ServedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model


class _Handler(KeptConnection):
    server: RestServer

    def respond(self, body: bytes) -> None:
        try:
            status, (head, tail) = 200, self._answer(body)
        except TritonError as error:
            status, head, tail = _HTTP_STATUS[error.code], _dump({"error": error.message}), b""
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if tail else "application/json")
        if tail:
            self.send_header(_HEADER, str(len(head)))
        self.send_header("Content-Length", str(len(head) + len(tail)))
        self.end_headers()
        self.wfile.write(head + tail)

    def _answer(self, body: bytes) -> tuple[bytes, bytes]:
        """What is answered in JSON, and in binary behind it."""
        model = self.server.model
        if self.path in ("/v2", "/v2/health/live", "/v2/health/ready"):
            return (_dump({"name": "triton", "extensions": ["binary_tensor_data"]}) if self.path == "/v2" else b""), b""
        match = _MODEL.fullmatch(self.path)
        if match is None:
            raise TritonError(grpc.StatusCode.NOT_FOUND, "Not Found")
        if (self.command == "POST") != (match["rest"] == "/infer"):
            raise TritonError(grpc.StatusCode.UNIMPLEMENTED, "Method Not Allowed")
        if match["rest"] == "/ready" and (match["name"] != model.name or not model.available):
            raise invalid("Model version not ready")
        model.look_up(match["name"], match["version"] or "")
        if match["rest"] == "/ready":
            return b"", b""
        return (_metadata(model), b"") if self.command == "GET" else _infer(model, body, self.headers.get(_HEADER))


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
        raise TritonError(grpc.StatusCode.INTERNAL, f"failed to parse the request JSON buffer: {error}") from error
    (tensor,) = document["inputs"]
    binary = "binary_data_size" in tensor.get("parameters", {})
    values = np.frombuffer(body[head_bytes:], dtype="<f4") if binary else np.array(tensor["data"], dtype=np.float32)
    request_id = document.get("id", "")
    scores = model.run(request_id, values.reshape(tensor["shape"]))
    asked = any(output.get("parameters", {}).get("binary_data") for output in document.get("outputs", []))
    in_binary = model.binary_outputs and (asked or document.get("parameters", {}).get("binary_data_output", False))
    return _written(model, request_id, scores, in_binary)


def _written(model: ServedModel, request_id: str, scores: FloatArray, in_binary: bool) -> tuple[bytes, bytes]:
    data = scores.astype("<f4").tobytes() if in_binary else b""
    values = {"parameters": {"binary_data_size": len(data)}} if in_binary else {"data": scores.ravel().tolist()}
    output = {"name": OUTPUT, "datatype": "FP32", "shape": list(scores.shape), **values}
    named = {"id": request_id} if request_id else {}
    return _dump({**named, "model_name": model.name, "model_version": model.version, "outputs": [output]}), data
