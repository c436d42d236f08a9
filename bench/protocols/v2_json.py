"""Protocol `v2-json`: the Open Inference Protocol (V2) over HTTP, all in JSON.

POST /v2/models/emnist/infer, Content-Type: application/json
request   {"id": "1", "inputs": [{"name": "images", "shape": [n, width], "datatype": "FP32", "data": [...]}],
           "outputs": [{"name": "scores"}]}
answer    {"model_name": ..., "outputs": [{"name": "scores", "shape": [n, classes], "datatype": "FP32", "data": [...]}]}
error     {"error": "..."}

`data` is flat in row-major order; the protocol also allows nested rows, and answers of that form are read as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
import numpy.typing as npt
import orjson

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import matrix, quoted
from bench.protocols._open_inference import INPUT, MODEL, OUTPUT, REQUEST_ID, require_output, shaped_scores, value_type


class V2Json:
    """Codec of the JSON form; float32 values are written with as few digits as tell them apart."""

    name = "v2-json"
    transport = "http"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        request = {"id": REQUEST_ID, "inputs": [_tensor(INPUT, images)], "outputs": [{"name": OUTPUT}]}
        return orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY), "application/json", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswer(f"expected JSON, seen {body[:80]!r} ({error})") from error
        output = output_of(document)
        value_type(output.get("datatype"))
        return shaped_scores(_numbers(output.get("data")), output.get("shape"))

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        answer = {"model_name": MODEL, "model_version": "1", "id": REQUEST_ID, "outputs": [_tensor(OUTPUT, scores)]}
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def output_of(document: object) -> dict[str, object]:
    """The output `scores` of a V2 answer, still as JSON; raises MalformedAnswer."""
    if not isinstance(document, dict):
        raise MalformedAnswer(f"expected a JSON object with 'outputs', seen a {type(document).__name__}")
    if "error" in document:
        raise MalformedAnswer(f"expected 'outputs', seen an error: {quoted(document['error'])}")
    outputs = document.get("outputs")
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise MalformedAnswer(f"expected the key 'outputs' with a list of tensors, seen {quoted(sorted(document))}")
    chosen: dict[str, object] = outputs[require_output([output.get("name") for output in outputs])]
    return chosen


def _tensor(name: str, values: FloatArray) -> dict[str, object]:
    rows = matrix(values)
    return {"name": name, "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel()}


def _numbers(data: object) -> npt.NDArray[np.floating]:
    """A flat list of numbers, or a list of rows of numbers: numpy alone would also take strings and booleans."""
    if not isinstance(data, list):
        raise MalformedAnswer(f"expected 'data' to be a list of numbers, seen a {type(data).__name__}")
    flat: Iterable[object] = chain.from_iterable(data) if data and all(isinstance(row, list) for row in data) else data
    values = list(flat)
    if not all(type(value) in (float, int) for value in values):
        raise MalformedAnswer("expected nothing but numbers in 'data'")
    with np.errstate(over="ignore"):
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError as error:
            raise MalformedAnswer(f"expected finite numbers in 'data': {error}") from error


CODEC = V2Json()
