"""In process: the model called in this very process, no wire at all; what is left when serving costs nothing."""

from __future__ import annotations

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray, Predictor
from bench.contract.wire import Payload
from bench.protocols.in_process import CODEC


class InProcessTransport:
    """Calls a predictor; a `Transport[FloatArray]`. There is no connection, so connecting does nothing."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.spent = False

    def prepare(self, payload: Payload) -> FloatArray:
        """The images as the array that the model takes."""
        return np.ascontiguousarray(CODEC.decode(payload.body))

    def connect(self) -> None:
        """Nothing to open."""

    def ensure_connected(self) -> bool:
        """Always connected."""
        return False

    def exchange(self, request: FloatArray) -> bytes:
        """Run the model; the answer's bytes are the scores' own."""
        scores = self._predictor(request)
        if scores.ndim != 2:
            raise MalformedAnswer(f"reference in process: scores of shape {scores.shape}, expected [n, classes]")
        return CODEC.encode_answer(scores)

    def close(self) -> None:
        """Nothing to close."""
