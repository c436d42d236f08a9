"""The REST interface of the Triton stand-in: health, metadata, inference with tensors in JSON and in binary, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np

from bench.contract.tensors import FloatArray
from tests.standins.serving import KeptConnection
from tests.standins.triton_model import DATATYPES, INPUT, OUTPUT, ServedModel, Tensor, TritonError, invalid

_MODEL = re.compile(r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<rest>/infer|/ready)?")
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNIMPLEMENTED: 405,
    grpc.StatusCode.INTERNAL: 500,
}
_HEADER = "Inference-Header-Content-Length"
_NO_DATA = (
    "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in "
    "'parameters'. But no field is set"
)


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
    if not 0 < head_bytes <= len(body):
        raise invalid(f"inference header size should be in range (0, {len(body)}), got: {head_bytes}")
    document = _parsed(body[:head_bytes])
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise _unparsable("id", "attempt to access JSON non-string as string")
    inputs = _inputs(model, _member(document, "inputs"), body[head_bytes:])
    wanted = document.get("outputs", [])
    scores = model.run(request_id, inputs, [output["name"] for output in wanted])
    asked = any(output.get("parameters", {}).get("binary_data") for output in wanted)
    in_binary = model.binary_outputs and (asked or document.get("parameters", {}).get("binary_data_output", False))
    return _written(model, request_id, scores, in_binary)


def _written(model: ServedModel, request_id: str, scores: FloatArray, in_binary: bool) -> tuple[bytes, bytes]:
    data = scores.astype("<f4").tobytes() if in_binary else b""
    values = {"parameters": {"binary_data_size": len(data)}} if in_binary else {"data": scores.ravel().tolist()}
    output = {"name": OUTPUT, "datatype": "FP32", "shape": list(scores.shape), **values}
    named = {"id": request_id} if request_id else {}
    return _dump({**named, "model_name": model.name, "model_version": model.version, "outputs": [output]}), data


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise TritonError(grpc.StatusCode.INTERNAL, f"failed to parse the request JSON buffer: {error}") from error
    if not isinstance(document, dict):
        raise _unparsable("inputs", "attempt to access non-existing object member 'inputs'")
    return document


def _member(of: Mapping[str, Any], name: str) -> Any:
    if name not in of:
        raise _unparsable(name, f"attempt to access non-existing object member '{name}'")
    return of[name]


def _unparsable(name: str, why: str) -> TritonError:
    return TritonError(grpc.StatusCode.INTERNAL, f"Unable to parse '{name}': {why}")


def _inputs(model: ServedModel, sent: list[dict[str, Any]], binary: bytes) -> list[Tensor]:
    found = []
    for item in sent:
        name, datatype = str(_member(item, "name")), str(_member(item, "datatype"))
        if datatype not in DATATYPES:
            raise invalid(f"invalid datatype for input {name}")
        shape = tuple(_member(item, "shape"))
        size = item.get("parameters", {}).get("binary_data_size")
        if size is None:
            data = _listed(item, shape)
        elif size > len(binary):
            lacking = size - len(binary)
            raise invalid(f"unexpected size for input '{name}', expecting {lacking} additional bytes for model '{model.name}'")
        else:
            data, binary = binary[:size], binary[size:]
        found.append(Tensor(name, datatype, shape, data))
    if binary:
        raise invalid(f"unexpected additional input data for model '{model.name}'")
    return found


def _listed(item: Mapping[str, Any], shape: tuple[int, ...]) -> bytes:
    """Values in JSON, flat or in rows."""
    if "data" not in item:
        raise invalid(_NO_DATA)
    rows = item["data"]
    flat = [value for row in rows for value in row] if rows and isinstance(rows[0], list) else rows
    if len(flat) != int(np.prod(shape)):
        raise _unparsable("data", "Shape does not match true shape of 'data' field")
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in flat):
        raise _unparsable("data", "attempt to access JSON non-number as double")
    return np.array(flat, dtype="<f4").tobytes()
