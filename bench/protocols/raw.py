"""Protocol `raw`: the values of the only input and the only output over HTTP, preceded only by the number of items.

POST <path>, Content-Type: application/octet-stream
request   uint32 n, the input's values        answer   uint32 n, the output's values

All little-endian, values in C order and in the model's own dtype. Shapes are not sent: at most one length of an item may be
free, which follows from the number of bytes.
"""

import struct

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FREE, Tensors
from bench.protocols._arrays import checked_output, quoted, raw_values, wire_arrays
from bench.protocols._codec import SignatureCodec

_ITEMS = struct.Struct("<I")


class Raw(SignatureCodec):
    """Codec of one input array and one output array."""

    name = "raw"
    transport = "http"

    def refusal(self) -> str:
        """Why the signature cannot be carried: there is room for one array of items, and none for its shape."""
        for what, specs in (("input", self.signature.inputs), ("output", self.signature.outputs)):
            if len(specs) != 1:
                return f"it has one {what}, the model {len(specs)}"
            if not specs[0].batched:
                return f"it carries items, and the {what} {specs[0]} is none"
            if specs[0].item_shape.count(FREE) > 1:
                return f"it says nothing of shapes, and {specs[0]} leaves more than one length free"
        return super().refusal()

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        ((_, items),) = wire_arrays(inputs, self.signature.inputs)
        return _ITEMS.pack(len(items)) + items.tobytes(), "application/octet-stream", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        (spec,) = self.signature.outputs
        if len(body) <= _ITEMS.size:
            raise MalformedAnswer(f"expected a number n and n items, seen {len(body)} bytes {quoted(body)}")
        items, (values, rest) = _ITEMS.unpack_from(body)[0], divmod(len(body) - _ITEMS.size, np.dtype(spec.dtype).itemsize)
        shape = spec.shape_of(values, items) if items and not rest else None
        if shape is None:
            raise MalformedAnswer(f"expected a number n and {spec}, seen n = {items} in {len(body)} bytes {body[:40]!r}")
        return {spec.name: checked_output(spec, raw_values(memoryview(body)[_ITEMS.size :], spec, spec.dtype).reshape(shape))}

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        ((_, items),) = wire_arrays(outputs, self.signature.outputs)
        return _ITEMS.pack(len(items)) + items.tobytes()


CODEC = Raw
