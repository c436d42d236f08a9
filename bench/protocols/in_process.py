"""Protocol `in-process`: no wire at all; arrays pass as bytes so that one campaign can carry them like any other."""

from __future__ import annotations

from bench.contract import FloatArray
from bench.protocols._framing import frame, unframe_scores


class InProcess:
    """Codec of a model that runs in this process."""

    name = "in-process"
    transport = "in-process"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        return frame(images), "application/octet-stream", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        return unframe_scores(body)

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        return frame(scores)


CODEC = InProcess()
