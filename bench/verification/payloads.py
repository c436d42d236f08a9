"""What is sent: the dataset's images cut into payloads, encoded before the clock, with the scores that must come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from bench.contract.system import Dataset
from bench.contract.tensors import FloatArray, IntArray, Predictor
from bench.contract.wire import Codec, Payload
from bench.statistics import Magnitude
from bench.verification.verify import Verifier

_DIGIT = 256  # how much of a serial number one value carries: at most a 16,384th of the largest value of its column
_DIGITS = 4  # values that carry it, where an item has so many
_STEP_EXPONENT = -22  # of a step, relative to its column: 2 to 4 units in the last place of the largest value
_LEAST_EXPONENT = -60  # of a column: steps of smaller values would be denormal once a weight is multiplied in, and dear


def batches(images: int, batch_size: int, *, wrap: bool) -> list[tuple[int, ...]]:
    """Indices that cover all `images` in order; the last batch wraps around to the first images, or stays short."""
    starts = range(0, images, batch_size)
    if wrap:
        return [tuple((start + offset) % images for offset in range(batch_size)) for start in starts]
    return [tuple(range(start, min(start + batch_size, images))) for start in starts]


@dataclass(frozen=True, slots=True)
class PayloadSet:
    """All payloads of one protocol and batch size.

    `expected[k]` [batch, classes] are the reference's scores for payload k, `encode_s` the median seconds to encode one.
    """

    codec: Codec
    payloads: tuple[Payload, ...]
    expected: tuple[FloatArray, ...]
    encode_s: float


class PayloadFactory:
    """Makes payload sets from one dataset and its reference scores; endpoints of one protocol share a set."""

    def __init__(self, dataset: Dataset, predictor: Predictor) -> None:
        self.dataset = dataset
        self._predictor = predictor
        # In the batch sizes that will be asked, a runtime may round differently by 1e-7; one at a time is as good as any.
        self.scores = predictor(dataset.images)
        self._magnitude = Magnitude.of(self.scores)
        self._columns = _living_columns(dataset.images)
        self._steps = _steps(dataset.images[:, self._columns])
        self._payload_sets: dict[tuple[str, int, bool], PayloadSet] = {}

    def payload_set(self, codec: Codec, batch_size: int, *, wrap: bool = True) -> PayloadSet:
        """The payloads that cover the dataset once, `batch_size` images each."""
        key = (codec.name, batch_size, wrap)
        if key not in self._payload_sets:
            plan = batches(len(self.dataset), batch_size, wrap=wrap)
            encode_s: list[float] = []
            payloads = []
            for indices in plan:
                start = perf_counter()
                payloads.append(encoded(codec, self.dataset.images[list(indices)], indices))
                encode_s.append(perf_counter() - start)
            expected = tuple(self.scores[list(indices)] for indices in plan)
            self._payload_sets[key] = PayloadSet(codec, tuple(payloads), expected, float(np.median(encode_s)))
        return self._payload_sets[key]

    def verifier(self, codec: Codec, payloads: Sequence[Payload], expected: Sequence[FloatArray]) -> Verifier:
        """A verifier of answers to these payloads by the reference's scores for them."""
        return Verifier(codec, payloads, expected, self.dataset.class_names, self._magnitude)

    def fresh(self, codec: Codec, batch_size: int) -> Callable[[], Payload]:
        """A function that makes payloads never sent before: the first payload's images, each with a serial number.

        Always the first payload's, which the audit repeats: fresh payloads must cost what the repeated one costs but for being
        new. Other images take other paths through a tree or a branch, and other numbers are longer or shorter as text.
        """
        indices = batches(len(self.dataset), batch_size, wrap=True)[0]
        serial = iter(range(1 << 30))

        def make() -> Payload:
            return encoded(codec, self._fresh_images(next(serial), indices), indices)

        return make

    def fresh_expected(self, payloads: list[Payload]) -> list[FloatArray]:
        """The reference's scores for the first `len(payloads)` payloads that one function of `fresh` made, in order."""
        return [self._predictor(self._fresh_images(number, payload.indices)) for number, payload in enumerate(payloads)]

    def _fresh_images(self, number: int, indices: tuple[int, ...]) -> FloatArray:
        """Some of each image's values moved away from 0 by the digits of its serial number, too little to change an answer."""
        images = self.dataset.images[list(indices)]
        serials = np.arange(1, len(indices) + 1, dtype=np.int64) + number * len(indices)
        for column, step in zip(self._columns, self._steps, strict=True):
            digits = serials if column == self._columns[-1] else serials % _DIGIT
            images[:, column] += np.copysign(digits.astype(np.float32) * step, images[:, column])
            serials //= _DIGIT
        return images


def _living_columns(images: FloatArray) -> IntArray:
    """The columns that carry a serial number: those that are not 0 in the most images.

    A column that is always 0 may cost a server more once it is not: training may have left it weights so small that the
    products are denormal numbers, at many times the cost.
    """
    living = np.count_nonzero(images, axis=0)
    return np.argsort(-living, kind="stable")[:_DIGITS].astype(np.int64)


def _steps(columns: FloatArray) -> FloatArray:
    """For each of these columns a power of two, too small to change an answer and large enough for float32 to keep."""
    largest = np.abs(columns).max(axis=0).astype(np.float64)
    largest[largest == 0] = 1.0
    exponents = np.maximum(np.ceil(np.log2(largest)), _LEAST_EXPONENT) + _STEP_EXPONENT
    steps: FloatArray = np.exp2(exponents).astype(np.float32)
    return steps


def encoded(codec: Codec, images: FloatArray, indices: tuple[int, ...]) -> Payload:
    """One payload."""
    body, content_type, headers = codec.encode(images)
    return Payload(body=body, content_type=content_type, indices=indices, headers=headers)
