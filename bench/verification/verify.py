"""Every timed answer against the in-process reference, image by image, after the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray, IntArray
from bench.contract.wire import Answer, Codec, Payload
from bench.statistics import PROBABILITIES, Magnitude

TOLERANCE = 1e-4
"""How far a score may be from the reference's: absolute for probabilities, else a part of what `Magnitude.units` says."""

_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Differing:
    """An image answered with another top class than the reference's, `answers` times; `excused` if that one is tied with it."""

    image: int
    reference: int
    reference_score: float
    answered: int
    score: float
    excused: bool
    answers: int = 1


@dataclass(frozen=True, slots=True)
class Verification:
    """What the answers were worth.

    `answers` checked, of which `wrong` were wrong, the first one told in `first_wrong`; `agreement` is the part of the
    answered images whose top class is the reference's (ties by score excused) or, where a model has one output and so no
    classes, whose score is the reference's within the tolerance; `max_abs_diff` the largest |difference| of a score;
    `predicted` [n images] the top class last answered for each image, -1 where none was; `decode_s` the median seconds that
    the client needs to decode one answer; `differing` the images that were answered with another class.
    """

    answers: int
    wrong: int
    first_wrong: str
    agreement: float | None
    max_abs_diff: float | None
    predicted: IntArray
    decode_s: float | None
    differing: tuple[Differing, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judged:
    """One distinct answer to one payload: images in it whose class agrees, largest difference, what is wrong."""

    agreeing: int
    max_abs_diff: float
    complaint: str
    classes: IntArray | None
    differing: tuple[Differing, ...] = ()


def counted(answers: Iterable[Differing]) -> tuple[Differing, ...]:
    """Each image and class once, with the sum of its answers, in the order of the first ones."""
    counts: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], Differing] = {}
    for differing in answers:
        key = (differing.image, differing.answered)
        counts[key] += differing.answers
        first.setdefault(key, differing)
    return tuple(replace(differing, answers=counts[key]) for key, differing in first.items())


class Verifier:
    """Verifies answers to one set of payloads: `expected[k]` [batch, classes] are the reference's scores for payload k."""

    def __init__(
        self,
        codec: Codec,
        payloads: Sequence[Payload],
        expected: Sequence[FloatArray],
        names: Sequence[str],
        magnitude: Magnitude = PROBABILITIES,
    ) -> None:
        self._codec = codec
        self._payloads = payloads
        self._expected = expected
        self._names = names
        self._magnitude = magnitude

    def verify(self, answers: Sequence[Answer], images: int) -> Verification:
        """Judge all answers; `images` is the number of images in the dataset. Identical answers are decoded once."""
        judged_before: dict[tuple[int, bytes], _Judged] = {}
        decode_s: list[float] = []
        predicted = np.full(images, _NOBODY, dtype=np.int64)
        differing: list[Differing] = []
        wrong, agreeing, images_sent, first_wrong, worst = 0, 0, 0, "", 0.0
        for number, answer in enumerate(answers):
            key = (answer.payload_index, answer.body)
            judged = judged_before.get(key)
            if judged is None:
                start = perf_counter()
                judged = judged_before[key] = self._judge(answer)
                decode_s.append(perf_counter() - start)
            payload = self._payloads[answer.payload_index]
            agreeing += judged.agreeing
            images_sent += payload.batch_size
            worst = max(worst, judged.max_abs_diff)
            differing += judged.differing
            if judged.classes is not None:
                predicted[list(payload.indices)] = judged.classes
            if judged.complaint:
                wrong += 1
                first_wrong = first_wrong or f"answer {number + 1}: {judged.complaint}"
        return Verification(
            answers=len(answers),
            wrong=wrong,
            first_wrong=first_wrong,
            agreement=agreeing / images_sent if images_sent else None,
            max_abs_diff=worst if images_sent else None,
            predicted=predicted,
            decode_s=float(np.median(decode_s)) if decode_s else None,
            differing=counted(differing),
        )

    def check(self, answer: Answer) -> None:
        """Raise MalformedAnswer unless this one answer is right (readiness)."""
        complaint = self._judge(answer).complaint
        if complaint:
            raise MalformedAnswer(complaint)

    def _judge(self, answer: Answer) -> _Judged:
        expected = self._expected[answer.payload_index]
        payload = self._payloads[answer.payload_index]
        try:
            scores = self._codec.decode(answer.body)
        except MalformedAnswer as error:
            return _Judged(0, float("inf"), str(error), None)
        except Exception as error:  # a codec's own fault: this cell's, and no other's
            complaint = f"the codec {self._codec.name} failed on it: {type(error).__name__}: {error}"
            return _Judged(0, float("inf"), complaint, None)
        if scores.shape != expected.shape:
            complaint = f"scores of shape {scores.shape} for payload {answer.payload_index}, expected {expected.shape}"
            return _Judged(0, float("inf"), complaint, None)
        difference = np.abs(scores.astype(np.float64) - expected)
        allowed = TOLERANCE * self._magnitude.units(expected)
        rows = np.arange(len(expected))
        classes = scores.argmax(axis=1)
        # A tie: the reference itself scores the answered class as high as its own best, within what rounding may do.
        tied = expected[rows, classes] >= expected.max(axis=1) - 2 * allowed
        near = difference.max(axis=1) <= allowed
        same = (classes == expected.argmax(axis=1)) | tied if expected.shape[1] > 1 else near
        good = same & near
        complaint = "" if good.all() else self._complain(int(np.argmin(good)), payload, scores, expected, difference)
        differing = tuple(
            Differing(payload.indices[row], best, float(expected[row, best]), top, float(scores[row, top]), bool(tied[row]))
            for row, (best, top) in enumerate(zip(expected.argmax(axis=1).tolist(), classes.tolist(), strict=True))
            if best != top
        )
        return _Judged(int(same.sum()), float(difference.max()), complaint, classes, differing)

    def _complain(self, row: int, payload: Payload, scores: FloatArray, expected: FloatArray, difference: FloatArray) -> str:
        return (
            f"image {payload.indices[row]} (row {row} of {len(expected)}): "
            f"answered {self._text_of(scores[row])}, the reference says {self._text_of(expected[row])}; "
            f"largest |difference| {difference[row].max():.2g}, "
            f"allowed {TOLERANCE * self._magnitude.units(expected)[row]:g}"
        )

    def _text_of(self, scores: FloatArray) -> str:
        """The best class of one item and its score; of a single output, its value."""
        if len(scores) == 1:
            return f"{scores[0]:.6g}"
        best = int(scores.argmax())
        shown = f"{scores[best]:.4f}" if self._magnitude == PROBABILITIES else f"{scores[best]:.6g}"
        return f"{class_name(self._names, best)!r} with {shown}"


def class_name(names: Sequence[str], index: int) -> str:
    """A model may have more classes than the dataset has names."""
    return names[index] if index < len(names) else f"class {index}"
