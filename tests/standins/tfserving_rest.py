"""The REST interface of the TensorFlow Serving stand-in: model status, metadata, predict by row and by column, errors."""

import json
import re
from http.server import ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np

from bench.contract.tensors import FloatArray
from tests.standins.serving import KeptConnection
from tests.standins.tfserving_model import INPUT, OUTPUT, SIGNATURES, ServedModel, ServingError, invalid

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?"
_PREDICT = re.compile(_MODEL + ":predict")
_METADATA = re.compile(_MODEL + "/metadata")
_STATUS = re.compile(_MODEL)
_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
}


class RestServer(ThreadingHTTPServer):
    """Keeps connections, one thread each."""

    daemon_threads = True

    def __init__(self, model: ServedModel, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model


class _Handler(KeptConnection):
    server: RestServer

    def respond(self, body: bytes) -> None:
        if not self.path.startswith("/v1/"):
            self._send(404, "", "text/html")
            return
        try:
            text, status = json.dumps(self._answer(body.decode("utf-8", "replace")), indent=4), 200
        except ServingError as error:
            text, status = f'{{ "error": {json.dumps(error.message)} }}', _HTTP_STATUS[error.code]
        self._send(status, text, "application/json")

    def _answer(self, body: str) -> dict[str, Any]:
        model = self.server.model
        if self.command == "POST" and (match := _PREDICT.fullmatch(self.path)):
            return _predict(model, match["name"], _number(match["version"]), body)
        if self.command == "GET" and (match := _METADATA.fullmatch(self.path)):
            model.look_up(match["name"], _number(match["version"]))
            return _metadata(model)
        if self.command == "GET" and (match := _STATUS.fullmatch(self.path)):
            return _status(model, match["name"], _number(match["version"]))
        raise invalid(f"Malformed request: {self.command} {self.path}")

    def _send(self, status: int, text: str, content_type: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)


def _status(model: ServedModel, name: str, version: int | None) -> dict[str, Any]:
    if name != model.name:
        raise ServingError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
    if version not in (None, model.version):
        raise ServingError(grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {name}")
    state = "AVAILABLE" if model.available else "LOADING"
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": str(model.version), "state": state, "status": status}]}


def _metadata(model: ServedModel) -> dict[str, Any]:
    def tensor(name: str, *sizes: int) -> dict[str, Any]:
        dims = [{"size": str(size), "name": ""} for size in sizes]
        return {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}

    classes = model.predict(np.zeros((1, model.width), np.float32)).shape[1]
    signature = {
        "inputs": {INPUT: tensor(f"serving_default_{INPUT}:0", -1, model.width)},
        "outputs": {OUTPUT: tensor("StatefulPartitionedCall:0", -1, classes)},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": dict.fromkeys(SIGNATURES, signature)}},
    }


def _predict(model: ServedModel, name: str, version: int | None, body: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        empty = "The document is empty"
        raise invalid(f"JSON Parse error: {f'Invalid value. at offset: {error.pos}' if body else empty}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {json.dumps(document)} Is not object")
    signature = document.get("signature_name", SIGNATURES[0])
    if not isinstance(signature, str):
        raise invalid(f"JSON Value: {body} not formatted correctly. 'signature_name' key must be a string value.")
    model.look_up(name, version)
    if signature not in SIGNATURES:
        raise invalid(f'Serving signature name: "{signature}" not found in signature def')
    key = _only_key(document, body)
    images = _by_row(document["instances"]) if key == "instances" else _by_column(document["inputs"])
    scores = [[_printed(score) for score in row] for row in model.run(images)]
    return {"predictions" if key == "instances" else "outputs": scores}


def _only_key(document: dict[str, Any], body: str) -> str:
    keys = [key for key in ("instances", "inputs") if key in document]
    if not keys:
        raise invalid("Missing 'inputs' or 'instances' key")
    if len(keys) == 2:
        expected = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise invalid(f"JSON Value: {body} {expected}")
    if keys == ["instances"] and not isinstance(document["instances"], list):
        raise invalid(f"JSON Value: {body} Excepting 'instances' to be an list/array")  # sic
    if keys == ["instances"] and not document["instances"]:
        raise invalid(f"JSON Value: {body} No values in 'instances' array")
    return keys[0]


def _by_row(instances: list[Any]) -> FloatArray:
    """A list of tensors, or of objects that name them."""
    rows = []
    for number, item in enumerate(instances):
        try:
            if isinstance(item, dict) and list(item) != [INPUT]:
                raise invalid(f"JSON object: does not have named input: {next(iter(item), '')}")
            rows.append(_tensor(item[INPUT] if isinstance(item, dict) else item))
            if rows[-1].shape != rows[0].shape:
                raise invalid(f"Expecting tensor size: {rows[0].size} but got: {rows[-1].size}")
        except ServingError as error:
            where = f"Failed to process element: {number} of 'instances' list."
            raise invalid(f"{where} Error: INVALID_ARGUMENT: {error.message}") from error
    return np.stack(rows)


def _by_column(inputs: Any) -> FloatArray:
    """One tensor with its batch, or an object that names it."""
    if isinstance(inputs, dict):
        if INPUT not in inputs:
            raise invalid(f"Missing named input: {INPUT} in 'inputs' object.")
        return _tensor(inputs[INPUT])
    return _tensor(inputs)


def _tensor(value: Any) -> FloatArray:
    """Nested lists of numbers as an array: its shape is that of the first elements, and all must have it."""
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else 0.0
    flat: list[float] = []
    _flatten(value, 0, shape, flat)
    return np.array(flat, dtype=np.float32).reshape(shape)


def _flatten(value: Any, level: int, shape: list[int], flat: list[float]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            at = f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            raise invalid(f"JSON Value: {json.dumps(value)} {at}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            kind = {str: "String", dict: "Object", type(None): "Null", bool: str(value)}[type(value)]
            raise invalid(f"JSON Value: {json.dumps(value)} Type: {kind} is not of expected type: float")
        flat.append(value)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        sizes = f"unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        raise invalid(f"Encountered list at {sizes}")
    for item in value:
        _flatten(item, level + 1, shape, flat)


def _printed(score: np.float32) -> float:
    """As the server prints a float: with six digits where they tell it apart, else with nine."""
    short = float(f"{score:.6g}")
    return short if np.float32(short) == score else float(f"{score:.9g}")
