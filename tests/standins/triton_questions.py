"""What a Triton is asked that it must refuse, by either interface: for its stand-in, and for the real one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from bench.protocols import _inference_pb2 as messages
from bench.protocols import codec

INFER = "/v2/models/emnist/infer"
HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and what is said to it: HTTP's status or gRPC's, and words."""

    body: bytes
    status: int | str
    words: str
    path: str = INFER
    headers: dict[str, str] = field(default_factory=dict)


def rest_questions(width: int) -> Iterator[Question]:
    """In JSON and in binary."""
    yield from _json_questions(width)
    yield from _binary_questions(width)
    right = _json(width)
    yield Question(right, 404, "Request for unknown model: 'other' is not found", "/v2/models/other/infer")
    unknown = "Request for unknown model: 'emnist' version 7 is not found"
    yield Question(right, 404, unknown, "/v2/models/emnist/versions/7/infer")
    yield Question(right, 405, "Method Not Allowed", "/v2/models/emnist")
    yield Question(right, 404, "Not Found", "/predict")


def _json_questions(width: int) -> Iterator[Question]:
    row = [0.5] * width
    parse = "failed to parse the request JSON buffer: "
    shape = f"unexpected shape for input 'images' for model 'emnist'. Expected [-1,{width}], got"
    count = "inputs for model 'emnist'. Got input(s)"
    yield Question(b'{"inputs": [0.5', 500, parse)
    yield Question(b"[]", 500, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'")
    yield Question(b"{}", 500, "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'")
    yield Question(b'{"inputs":[]}', 400, f"[request id: <id_unknown>] expected 1 inputs but got 0 {count} [], but missing")
    yield Question(_json(width, shape=[1, width - 1], data=row[1:]), 400, f"[request id: 1] {shape} [1,{width - 1}]. ")
    yield Question(_json(width, shape=[width]), 400, f"[request id: 1] {shape} [{width}]. ")
    yield Question(_json(width, data=row[1:]), 500, "Unable to parse 'data': Shape does not match true shape of 'data' field")
    yield Question(_json(width, data=["a"] * width), 500, "Unable to parse 'data': attempt to access JSON non-number as double")
    yield Question(_json(width, datatype="FP64"), 400, "input 'images' data-type is 'FP64', but model 'emnist' expects 'FP32'")
    yield Question(_json(width, datatype="FPX"), 400, "invalid datatype for input images")
    yield Question(_json(width, name="pixels"), 400, "unexpected inference input 'pixels' for model 'emnist'")
    yield Question(_json(width, shape=None), 500, "Unable to parse 'shape': attempt to access non-existing object member")
    yield Question(_json(width, data=None), 400, "Input must set only one of the following fields: 'data', 'binary_data_size'")
    right = orjson.loads(_json(width))
    more = {"name": "more", "shape": [1], "datatype": "FP32", "data": [1.0]}
    yield Question(orjson.dumps({**right, "inputs": right["inputs"] * 2}), 400, "input 'images' already exists in request")
    yield Question(orjson.dumps({**right, "inputs": [*right["inputs"], more]}), 400, f"got 2 {count} ['more','images'], but")
    yield Question(orjson.dumps({**right, "outputs": [{"name": "labels"}]}), 400, "unexpected inference output 'labels' for")
    yield Question(orjson.dumps({**right, "id": 1}), 500, "Unable to parse 'id': attempt to access JSON non-string as string")


def _json(width: int, **changes: object) -> bytes:
    """A right request of one image but for `changes` of its input; a None takes the key away."""
    document = orjson.loads(codec("v2-json").encode(np.full((1, width), 0.5, np.float32))[0])
    tensor = {**document["inputs"][0], **changes}
    document["inputs"] = [{key: value for key, value in tensor.items() if value is not None}]
    return orjson.dumps(document)


def _binary_questions(width: int) -> Iterator[Question]:
    body, _, headers = codec("v2-binary").encode(np.full((2, width), 0.1, np.float32))
    head_bytes = int(dict(headers)[HEADER])

    def question(sent: bytes, status: int, words: str, length: int = head_bytes) -> Question:
        return Question(sent, status, words, headers={HEADER: str(length)})

    beyond = len(body) + 5
    yield Question(body, 500, "failed to parse the request JSON buffer: ")  # without the header all of it would be JSON
    yield question(body, 400, f"inference header size should be in range (0, {len(body)}), got: {beyond}", beyond)
    yield question(body, 500, "failed to parse the request JSON buffer: ", head_bytes - 3)
    yield question(body[:-4], 400, "unexpected size for input 'images', expecting 4 additional bytes for model 'emnist'")
    yield question(body + b"1234", 400, "unexpected additional input data for model 'emnist'")


def grpc_questions(width: int) -> Iterator[Question]:
    """Over gRPC."""
    wrong_type = "[request id: 1] inference input 'images' data-type is"
    shape = f"[request id: 1] unexpected shape for input 'images' for model 'emnist'. Expected [-1,{width}], got"
    size = "[request id: 1] input byte size mismatch for input 'images' for model 'emnist'. Expected"
    for body, status, words in (
        (b"", "NOT_FOUND", "Request for unknown model: '' is not found"),
        (b"\xff garbage", "INTERNAL", "Unable to parse request"),
        (_message(width, model_name="other"), "NOT_FOUND", "Request for unknown model: 'other' is not found"),
        (_message(width, model_version="7"), "NOT_FOUND", "Request for unknown model: 'emnist' version 7 is not found"),
        (_message(width, name="pixels"), "INVALID_ARGUMENT", "unexpected inference input 'pixels' for model 'emnist'"),
        (_message(width, datatype="FP64"), "INVALID_ARGUMENT", f"{wrong_type} 'FP64', but model 'emnist' expects 'FP32'"),
        (_message(width, datatype="FPX"), "INVALID_ARGUMENT", f"{wrong_type} '<invalid>', but model 'emnist' expects 'FP32'"),
        (_message(width, shape=(1, width - 1)), "INVALID_ARGUMENT", f"{shape} [1,{width - 1}]. "),
        (_message(width, shape=(width,)), "INVALID_ARGUMENT", f"{shape} [{width}]. "),
        (_message(width, raw=(bytes(100),)), "INVALID_ARGUMENT", f"{size} {4 * width}, got 100"),
        (_message(width, shape=(-2, width)), "INVALID_ARGUMENT", f"{size} {-8 * width}, got {4 * width}"),
        (_message(width, raw=()), "INVALID_ARGUMENT", "unable to find data for input tensor 'images' for model 'emnist'"),
        (
            _message(width, listed=[0.5] * width),
            "INVALID_ARGUMENT",
            "contents field must not be specified when using raw_input",
        ),
        (_message(width, output="labels"), "INVALID_ARGUMENT", "unexpected inference output 'labels' for model 'emnist'"),
    ):
        yield Question(body, status, words)


def _message(width: int, **changes: Any) -> bytes:
    """A right ModelInferRequest of one image but for `changes`."""
    request = messages.ModelInferRequest.FromString(codec("v2-grpc").encode(np.full((1, width), 0.5, np.float32))[0])
    request.model_name = changes.get("model_name", request.model_name)
    request.model_version = changes.get("model_version", "")
    request.outputs[0].name = changes.get("output", "scores")
    tensor = request.inputs[0]
    tensor.name, tensor.datatype = changes.get("name", "images"), changes.get("datatype", "FP32")
    tensor.shape[:] = changes.get("shape", (1, width))
    request.raw_input_contents[:] = changes.get("raw", request.raw_input_contents[:])
    tensor.contents.fp32_contents[:] = changes.get("listed", [])
    if "listed" not in changes:
        tensor.ClearField("contents")
    return request.SerializeToString()
