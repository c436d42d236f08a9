"""The house's binary framing, shared by the protocols that carry plain arrays.

    uint32, little-endian   n, the number of rows (at least 1)
    float32, little-endian  n * columns values in C order

The columns follow from the length: an image's width in a request, the number of classes in an answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import checked_scores, matrix

_ROWS = struct.Struct("<I")
_VALUE_BYTES = 4


def frame(values: FloatArray) -> bytes:
    """`values` [n, columns] -> row count and values."""
    rows = matrix(values)
    return _ROWS.pack(len(rows)) + rows.tobytes()


def unframe_scores(body: bytes) -> FloatArray:
    """The inverse of `frame` for an answer; raises MalformedAnswer."""
    values_bytes = len(body) - _ROWS.size
    rows = _ROWS.unpack_from(body)[0] if values_bytes >= 0 else 0
    if rows == 0 or values_bytes == 0 or values_bytes % (rows * _VALUE_BYTES):
        raise MalformedAnswer(
            f"expected a row count n and n rows of float32, seen n = {rows} in {len(body)} bytes starting {body[:40]!r}"
        )
    return checked_scores(np.frombuffer(body, dtype="<f4", offset=_ROWS.size).reshape(rows, -1))


@dataclass(frozen=True, slots=True)
class FramedCodec:
    """Codec of every protocol that carries plain arrays in this framing; a `Codec`."""

    name: str
    transport: str

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        return frame(images), "application/octet-stream", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        return unframe_scores(body)

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        return frame(scores)
