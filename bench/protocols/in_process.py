"""Protocol `in-process`: nothing is sent over a wire; arrays pass as bytes, so that a campaign treats it like any protocol.

Each array, in the signature's order: uint8 number of axes, uint32 length of each axis, then the values; little-endian.
"""

import struct
from collections.abc import Sequence
from math import prod

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors, TensorSpec
from bench.protocols._arrays import checked_output, wire_arrays, wire_type
from bench.protocols._codec import SignatureCodec


class InProcess(SignatureCodec):
    """Codec of arrays that stay in this process."""

    name = "in-process"
    transport = "in-process"

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        return _written(inputs, self.signature.inputs), "application/octet-stream", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        outputs = _read(body, self.signature.outputs)
        return {spec.name: checked_output(spec, outputs[spec.name]) for spec in self.signature.outputs}

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        return _written(outputs, self.signature.outputs)

    def decode_request(self, body: bytes) -> Tensors:
        """The inputs in a body made by `encode`; raises MalformedAnswer."""
        return _read(body, self.signature.inputs)


def _written(tensors: Tensors, specs: Sequence[TensorSpec]) -> bytes:
    arrays = [array for _, array in wire_arrays(tensors, specs)]
    return b"".join(struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape) + array.tobytes() for array in arrays)


def _read(body: bytes, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    at = 0
    try:
        for spec in specs:
            shape = struct.unpack_from(f"<{body[at]}I", body, at + 1)
            at += 1 + 4 * len(shape)
            values = np.frombuffer(body, wire_type(spec.dtype), prod(shape), at)
            arrays[spec.name] = values.reshape(shape)
            at += values.nbytes
    except (IndexError, struct.error, ValueError, OverflowError) as error:
        raise MalformedAnswer(f"expected arrays, seen {len(body)} bytes {body[:40]!r}: {error}") from error
    if at != len(body):
        raise MalformedAnswer(f"expected {at} bytes of arrays, seen {len(body)}")
    return arrays


CODEC = InProcess
