"""Protocol `raw-float32`: images and scores as plain float32 over HTTP, in the framing of `_framing`.

POST <path>, Content-Type: application/octet-stream
request   uint32 n, n * width float32        answer   uint32 n, n * classes float32
"""

from __future__ import annotations

from bench.contract import FloatArray
from bench.protocols._framing import frame, unframe_scores


class RawFloat32:
    """Codec of the house's binary protocol."""

    name = "raw-float32"
    transport = "http"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        return frame(images), "application/octet-stream", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        return unframe_scores(body)

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        return frame(scores)


CODEC = RawFloat32()
