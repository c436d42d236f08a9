"""What is sent: the dataset's images cut into payloads, encoded before the clock, with the scores that must come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from bench.contract import Codec, Dataset, FloatArray, Payload, Predictor

_STEP = np.float32(2**-20)  # exact in float32, far below what a pixel of 8 bits can tell


def batches(images: int, batch_size: int, *, wrap: bool) -> list[tuple[int, ...]]:
    """Indices that cover all `images` in order; the last batch wraps around to the first images, or stays short."""
    starts = range(0, images, batch_size)
    if wrap:
        return [tuple((start + offset) % images for offset in range(batch_size)) for start in starts]
    return [tuple(range(start, min(start + batch_size, images))) for start in starts]


@dataclass(frozen=True, slots=True)
class PayloadBook:
    """All payloads of one protocol and batch size; `expected[k]` [batch, classes]; `encode_s` the median to encode one."""

    codec: Codec
    payloads: tuple[Payload, ...]
    expected: tuple[FloatArray, ...]
    encode_s: float


class PayloadPress:
    """Makes payload books from one dataset and its reference scores; endpoints of one protocol share a book."""

    def __init__(self, dataset: Dataset, predictor: Predictor) -> None:
        self.dataset = dataset
        self._predictor = predictor
        # In the batch sizes that will be asked, a runtime may round differently by 1e-7; one at a time is as good as any.
        self.scores = predictor(dataset.images)
        self._books: dict[tuple[str, int, bool], PayloadBook] = {}

    def book(self, codec: Codec, batch_size: int, *, wrap: bool = True) -> PayloadBook:
        """The payloads that cover the dataset once, `batch_size` images each."""
        key = (codec.name, batch_size, wrap)
        if key not in self._books:
            plan = batches(len(self.dataset), batch_size, wrap=wrap)
            encode_s: list[float] = []
            payloads = []
            for indices in plan:
                start = perf_counter()
                payloads.append(encoded(codec, self.dataset.images[list(indices)], indices))
                encode_s.append(perf_counter() - start)
            expected = tuple(self.scores[list(indices)] for indices in plan)
            self._books[key] = PayloadBook(codec, tuple(payloads), expected, float(np.median(encode_s)))
        return self._books[key]

    def fresh(self, codec: Codec, batch_size: int) -> Callable[[], Payload]:
        """A maker of payloads whose bytes were never sent before: each image carries its serial number in its first pixel."""
        plan = batches(len(self.dataset), batch_size, wrap=True)
        serial = iter(range(1 << 30))

        def make() -> Payload:
            number = next(serial)
            indices = plan[number % len(plan)]
            return encoded(codec, self._fresh_images(number, indices), indices)

        return make

    def fresh_expected(self, payloads: list[Payload]) -> list[FloatArray]:
        """The reference's scores for the first `len(payloads)` payloads that one maker of `fresh` made, in order."""
        return [self._predictor(self._fresh_images(number, payload.indices)) for number, payload in enumerate(payloads)]

    def _fresh_images(self, number: int, indices: tuple[int, ...]) -> FloatArray:
        images = self.dataset.images[list(indices)]
        serials = np.arange(1, len(indices) + 1, dtype=np.float32) + np.float32(number * len(indices))
        images[:, 0] += serials * _STEP
        return images


def encoded(codec: Codec, images: FloatArray, indices: tuple[int, ...]) -> Payload:
    """One payload."""
    body, content_type, headers = codec.encode(images)
    return Payload(body=body, content_type=content_type, indices=indices, headers=headers)
