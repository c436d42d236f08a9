"""Protocol `v1-json`: TensorFlow Serving's REST API version 1 over HTTP.

POST <path>, Content-Type: application/json; by row, one entry per item:
request   {"instances": [[...], ...n]}            answer   {"predictions": [[...], ...n]}
several inputs {"instances": [{"<input>": ..., ...}, ...n]}, several outputs {"predictions": [{"<output>": ...}, ...n]}
by column, if an input or output is not batched:
request   {"inputs": {"<input>": ..., ...}}       answer   {"outputs": {"<output>": ..., ...}}, one output {"outputs": ...}
error     {"error": "..."}
"""

import numpy as np
import orjson

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors
from bench.protocols._arrays import checked_output, listed, quoted, wire_arrays
from bench.protocols._codec import SignatureCodec


class V1Json(SignatureCodec):
    """Codec of the JSON protocol; floats are written with the fewest digits that identify them."""

    name = "v1-json"
    transport = "http"

    @property
    def by_column(self) -> bool:
        """Whether the columnar form is needed: some input or output is not batched, so it fits in no row."""
        return not all(spec.batched for spec in (*self.signature.inputs, *self.signature.outputs))

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        arrays = {spec.name: array for spec, array in wire_arrays(inputs, self.signature.inputs)}
        if self.by_column:
            document: dict[str, object] = {"inputs": {name: _plain(array) for name, array in arrays.items()}}
        else:
            document = {"instances": _rows(arrays)}
        return _dumped(document), "application/json", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        key = "outputs" if self.by_column else "predictions"
        answer = _answer(body, key)
        if self.by_column:
            return self._columns(answer)
        if not isinstance(answer, list) or not answer:
            raise MalformedAnswer(f"expected {key!r} to be a list of rows with at least one row, seen {quoted(answer)}")
        if len(self.signature.outputs) == 1:
            (spec,) = self.signature.outputs
            return {spec.name: checked_output(spec, listed(answer, spec, len(spec.shape)))}
        names = {spec.name for spec in self.signature.outputs}
        for index, row in enumerate(answer):
            if not isinstance(row, dict) or set(row) != names:
                held = sorted(row) if isinstance(row, dict) else row
                raise MalformedAnswer(f"expected an object with {sorted(names)} in row {index} of {key!r}, seen {quoted(held)}")
        rows = {spec: [row[spec.name] for row in answer] for spec in self.signature.outputs}
        return {spec.name: checked_output(spec, listed(values, spec, len(spec.shape))) for spec, values in rows.items()}

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        arrays = {spec.name: array for spec, array in wire_arrays(outputs, self.signature.outputs)}
        if not self.by_column:
            return _dumped({"predictions": _rows(arrays)})
        columns = {name: _plain(array) for name, array in arrays.items()}
        return _dumped({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})

    def _columns(self, answer: object) -> Tensors:
        specs = self.signature.outputs
        if len(specs) == 1 and not isinstance(answer, dict):
            answer = {specs[0].name: answer}
        if not isinstance(answer, dict) or set(answer) != {spec.name for spec in specs}:
            held = sorted(answer) if isinstance(answer, dict) else answer
            raise MalformedAnswer(f"expected 'outputs' with {sorted(spec.name for spec in specs)}, seen {quoted(held)}")
        return {spec.name: checked_output(spec, listed(answer[spec.name], spec, len(spec.shape))) for spec in specs}


def _answer(body: bytes, key: str) -> object:
    """The value of `key` in an answer's JSON object; raises MalformedAnswer."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswer(f"expected JSON, seen {body[:80]!r} ({error})") from error
    if not isinstance(document, dict):
        raise MalformedAnswer(f"expected a JSON object with {key!r}, seen a {type(document).__name__}")
    if "error" in document:
        raise MalformedAnswer(f"expected {key!r}, seen an error: {quoted(document['error'])}")
    if key not in document:
        raise MalformedAnswer(f"expected the key {key!r}, seen {quoted(sorted(document))}")
    return document[key]


def _rows(arrays: dict[str, Array]) -> object:
    """One entry per item: its value if there is one array, else its values by name."""
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    items = len(next(iter(arrays.values())))
    return [{name: _plain(array[index]) for name, array in arrays.items()} for index in range(items)]


def _plain(values: Array | np.generic) -> object:
    """The values as orjson accepts them: an array with at least one axis, or a number."""
    return values if isinstance(values, np.ndarray) and values.ndim else values.item()


def _dumped(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


CODEC = V1Json
