"""Protocol `v2-binary`: the Open Inference Protocol (V2) over HTTP with the binary tensor data extension.

POST /v2/models/emnist/infer, Content-Type: application/octet-stream, Inference-Header-Content-Length: <bytes of the JSON>
request   JSON {"id": "1", "inputs": [{..., "parameters": {"binary_data_size": n * width * 4}}],
                "outputs": [{"name": "scores", "parameters": {"binary_data": true}}]}, then the values, little-endian float32
answer    JSON {"outputs": [{..., "parameters": {"binary_data_size": ...}}]}, then the values of the outputs in their order

The length of an answer's JSON stands in a header, which a codec does not see: the JSON's own end tells it as well.
"""

from __future__ import annotations

import json

import orjson

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import matrix, quoted
from bench.protocols._open_inference import INPUT, MODEL, OUTPUT, REQUEST_ID, raw_values, shaped_scores
from bench.protocols.v2_json import output_of


class V2Binary:
    """Codec of the binary form."""

    name = "v2-binary"
    transport = "http"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        rows = matrix(images)
        output = {"name": OUTPUT, "parameters": {"binary_data": True}}
        head = orjson.dumps({"id": REQUEST_ID, "inputs": [_tensor(INPUT, rows)], "outputs": [output]})
        return head + rows.tobytes(), "application/octet-stream", (("Inference-Header-Content-Length", str(len(head))),)

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        document, end = _head(body)
        output = output_of(document)
        parameters = output.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if type(size) is not int:
            kind = "values in JSON" if "data" in output else f"an output with {quoted(sorted(output))}"
            raise MalformedAnswer(f"expected the values in binary (binary_data_size), as was asked for; seen {kind}")
        data = body[end:]
        if len(data) != size:  # one output was asked for, so all that follows the JSON is its
            raise MalformedAnswer(f"expected {size} bytes of values behind the JSON, seen {len(data)}")
        return shaped_scores(raw_values(data, output.get("datatype")), output.get("shape"))

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        rows = matrix(scores)
        answer = {"model_name": MODEL, "model_version": "1", "id": REQUEST_ID, "outputs": [_tensor(OUTPUT, rows)]}
        return orjson.dumps(answer) + rows.tobytes()


def _tensor(name: str, rows: FloatArray) -> dict[str, object]:
    parameters = {"binary_data_size": rows.nbytes}
    return {"name": name, "shape": list(rows.shape), "datatype": "FP32", "parameters": parameters}


def _head(body: bytes) -> tuple[object, int]:
    """The JSON that a body starts with, and where it ends."""
    text = body.decode("latin-1")  # a character a byte, so that an end in one is an end in the other
    try:
        document, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"expected JSON and then values, seen {body[:80]!r} ({error})") from error
    return document, end


CODEC = V2Binary()
