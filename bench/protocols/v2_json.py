"""Protocol `v2-json`: the Open Inference Protocol (V2) over HTTP, all in JSON.

POST /v2/models/<model>/infer, Content-Type: application/json
request   {"id": "1", "inputs": [{"name": "<input>", "shape": [n, ...], "datatype": "FP32", "data": [...]}, ...],
           "outputs": [{"name": "<output>"}, ...]}
answer    {"model_name": ..., "outputs": [{"name": "<output>", "shape": [n, ...], "datatype": "FP32", "data": [...]}, ...]}
error     {"error": "..."}

`data` is flat in row-major order; the protocol also allows nested lists, and answers of that form are read as well.
"""

import orjson

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors, TensorSpec
from bench.protocols._arrays import checked_outputs, listed, quoted, shaped, wire_arrays
from bench.protocols._codec import SignatureCodec
from bench.protocols._open_inference import DATATYPES, REQUEST_ID, dtype_of, place_of, shape_of


class V2Json(SignatureCodec):
    """Codec of the JSON form of V2; floats are written with the fewest digits that identify them."""

    name = "v2-json"
    transport = "http"
    uncarried = frozenset({"float16"})
    """FP16 has no JSON form in the protocol: HTTP can carry it only in binary."""

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        request = {
            "id": REQUEST_ID,
            "inputs": [_tensor(spec, array) for spec, array in wire_arrays(inputs, self.signature.inputs)],
            "outputs": [{"name": spec.name} for spec in self.signature.outputs],
        }
        return orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY), "application/json", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedAnswer(f"expected JSON, seen {body[:80]!r} ({error})") from error
        outputs = outputs_of(document)
        names = [output.get("name") for output in outputs]
        return checked_outputs(self.signature.outputs, lambda spec: _values(outputs[place_of(spec, names)], spec))

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        tensors = [_tensor(spec, array) for spec, array in wire_arrays(outputs, self.signature.outputs)]
        answer = {"model_name": self.model, "model_version": "1", "id": REQUEST_ID, "outputs": tensors}
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def outputs_of(document: object) -> list[dict[str, object]]:
    """The output tensors of a V2 answer, as parsed JSON objects; raises MalformedAnswer."""
    if not isinstance(document, dict):
        raise MalformedAnswer(f"expected a JSON object with 'outputs', seen a {type(document).__name__}")
    if "error" in document:
        raise MalformedAnswer(f"expected 'outputs', seen an error: {quoted(document['error'])}")
    outputs = document.get("outputs")
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise MalformedAnswer(f"expected the key 'outputs' with a list of tensors, seen {quoted(sorted(document))}")
    return outputs


def _tensor(spec: TensorSpec, array: Array) -> dict[str, object]:
    return {"name": spec.name, "shape": list(array.shape), "datatype": DATATYPES[spec.dtype], "data": array.ravel()}


def _values(output: dict[str, object], spec: TensorSpec) -> Array:
    """An output's `data`, flat or nested, as an array of the shape that it states; raises MalformedAnswer."""
    dtype_of(output.get("datatype"), spec)
    shape, data = shape_of(output.get("shape"), spec), output.get("data")
    nested = isinstance(data, list) and len(data) > 0 and isinstance(data[0], list)
    return shaped(listed(data, spec, len(shape) if nested else 1), shape, spec)


CODEC = V2Json
