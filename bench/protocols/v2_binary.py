"""Protocol `v2-binary`: the Open Inference Protocol (V2) over HTTP with the binary tensor data extension.

POST /v2/models/<model>/infer, Content-Type: application/octet-stream, Inference-Header-Content-Length: <bytes of the JSON>
request   JSON {"id": "1", "inputs": [{..., "parameters": {"binary_data_size": <bytes>}}, ...],
                "outputs": [{"name": "<output>", "parameters": {"binary_data": true}}, ...]}, then the values, little-endian
answer    JSON {"outputs": [{..., "parameters": {"binary_data_size": ...}}]}, then the values of the outputs in their order

The length of an answer's JSON is in an HTTP header, which a codec does not see; it follows from where the JSON ends, too.
"""

import json

import orjson

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors, TensorSpec
from bench.protocols._arrays import checked_outputs, quoted, raw_values, shaped, wire_arrays
from bench.protocols._codec import SignatureCodec
from bench.protocols._open_inference import DATATYPES, REQUEST_ID, dtype_of, place_of, shape_of
from bench.protocols.v2_json import outputs_of


class V2Binary(SignatureCodec):
    """Codec of the binary form of V2."""

    name = "v2-binary"
    transport = "http"

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        arrays = wire_arrays(inputs, self.signature.inputs)
        wanted = [{"name": spec.name, "parameters": {"binary_data": True}} for spec in self.signature.outputs]
        head = orjson.dumps({"id": REQUEST_ID, "inputs": [_tensor(*each) for each in arrays], "outputs": wanted})
        body = b"".join((head, *(array.tobytes() for _, array in arrays)))
        return body, "application/octet-stream", (("Inference-Header-Content-Length", str(len(head))),)

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        document, at = _head(body)
        outputs = outputs_of(document)
        parts: list[bytes] = []
        for output in outputs:
            size = _size_of(output)
            parts.append(body[at : at + size])
            at += size
        if at != len(body):
            raise MalformedAnswer(f"expected an answer of {at} bytes by its sizes of values, seen {len(body)}")
        names = [output.get("name") for output in outputs]

        def values(spec: TensorSpec) -> Array:
            place = place_of(spec, names)
            output = outputs[place]
            flat = raw_values(parts[place], spec, dtype_of(output.get("datatype"), spec))
            return shaped(flat, shape_of(output.get("shape"), spec), spec)

        return checked_outputs(self.signature.outputs, values)

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        arrays = wire_arrays(outputs, self.signature.outputs)
        tensors = [_tensor(*each) for each in arrays]
        head = orjson.dumps({"model_name": self.model, "model_version": "1", "id": REQUEST_ID, "outputs": tensors})
        return b"".join((head, *(array.tobytes() for _, array in arrays)))


def _tensor(spec: TensorSpec, array: Array) -> dict[str, object]:
    parameters = {"binary_data_size": array.nbytes}
    return {"name": spec.name, "shape": list(array.shape), "datatype": DATATYPES[spec.dtype], "parameters": parameters}


def _size_of(output: dict[str, object]) -> int:
    parameters = output.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if type(size) is not int or size < 0:
        kind = "values in JSON" if "data" in output else f"an output with {quoted(sorted(output))}"
        raise MalformedAnswer(f"expected the values in binary (binary_data_size), as was asked for; seen {kind}")
    return size


def _head(body: bytes) -> tuple[object, int]:
    """The JSON that a body starts with, and the offset of its end; raises MalformedAnswer."""
    text = body.decode("latin-1")  # one character per byte, so that offsets are the same in both
    try:
        document, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(f"expected JSON and then values, seen {body[:80]!r} ({error})") from error
    return document, end


CODEC = V2Binary
