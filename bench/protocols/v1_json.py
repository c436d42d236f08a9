"""Protocol `v1-json`: TensorFlow Serving's REST API version 1, row form, over HTTP.

POST <path>, Content-Type: application/json
request   {"instances": [[...width numbers...], ...n]}     answer   {"predictions": [[...classes numbers...], ...n]}
error     {"error": "..."}
"""

from __future__ import annotations

import numpy as np
import orjson

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import checked_scores, matrix, quoted


class V1Json:
    """Codec of the JSON protocol; float32 values are written with as few digits as tell them apart."""

    name = "v1-json"
    transport = "http"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        return _dump("instances", images), "application/json", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswer(f"expected JSON, seen {body[:80]!r} ({error})") from error
        if not isinstance(document, dict):
            raise MalformedAnswer(f"expected a JSON object with 'predictions', seen a {type(document).__name__}")
        if "error" in document:
            raise MalformedAnswer(f"expected 'predictions', seen an error: {quoted(document['error'])}")
        if "predictions" not in document:
            raise MalformedAnswer(f"expected the key 'predictions', seen {quoted(sorted(document))}")
        return checked_scores(_rows(document["predictions"]))

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        return _dump("predictions", scores)


def _dump(key: str, values: FloatArray) -> bytes:
    return orjson.dumps({key: matrix(values)}, option=orjson.OPT_SERIALIZE_NUMPY)


def _rows(predictions: object) -> FloatArray:
    """A list of equally long lists of numbers as an array: numpy alone would also take strings and booleans."""
    if not isinstance(predictions, list) or not predictions:
        raise MalformedAnswer("expected 'predictions' to be a list of rows with at least one row")
    for index, row in enumerate(predictions):
        if not isinstance(row, list) or len(row) != len(predictions[0]):
            raise MalformedAnswer(f"expected 'predictions' to hold equally long rows, row {index} is not")
        if not all(type(value) in (float, int) for value in row):
            raise MalformedAnswer(f"expected numbers in 'predictions', row {index} holds something else")
    with np.errstate(over="ignore"):
        return np.array(predictions, dtype=np.float64).astype(np.float32)


CODEC = V1Json()
