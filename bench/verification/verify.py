"""Compare every timed answer with the in-process reference, item by item, after the clock stops."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from bench.contract.errors import MalformedAnswer
from bench.contract.system import Dataset
from bench.contract.tensors import Array, BoolArray, FloatArray64, IntArray, Signature, Tensors, TensorSpec
from bench.contract.wire import Answer, Codec, Payload
from bench.statistics import PROBABILITIES, Magnitude, differences, tolerance_of
from bench.verification.top_class import Differing, class_name, counted, top_of

Apart = Mapping[str, tuple[FloatArray64, FloatArray64]]
"""Output name -> each item's largest |difference|, and each item's allowed one."""

_NOBODY = -1


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of comparing a cell's answers with the reference.

    `answers` were checked, `wrong` of them were wrong, `first_wrong` describes the first one; `agreement` is the fraction of
    the answered items whose top class is the reference's (ties by score excused) or, if the model has no scores of classes,
    whose outputs are all within the tolerance of the reference's; `max_abs_diff` is the largest |difference| of a value;
    `predicted` [items] the top class last answered for each image, -1 if none was; `decode_s` the median seconds that
    decoding and judging one distinct answer took; `differing` the images that were answered with another class.
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
class Judged:
    """One distinct answer to one payload: number of agreeing items, largest |difference|, and what is wrong, empty if nothing.

    `classes` [items of the payload] are the top classes, None if it has none; `judge_s` is how long decoding and judging took.
    """

    agreeing: int
    max_abs_diff: float
    complaint: str
    classes: IntArray | None
    differing: tuple[Differing, ...] = ()
    judge_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far one output may be off: by `allowed` units of its `magnitude`; 0 for integers and booleans."""

    magnitude: Magnitude
    allowed: float

    def of(self, expected: Array) -> FloatArray64:
        """For each item [n] of the reference's values `expected`, the largest |difference| allowed."""
        return self.allowed * self.magnitude.units(expected)


Tolerances = Mapping[str, Tolerance]
"""Output name -> its tolerance."""


def tolerances_of(signature: Signature, reference: Sequence[Tensors], tolerance: float | None = None) -> Tolerances:
    """The tolerance of each output, by the reference's outputs for all items; `tolerance` replaces what float dtypes allow."""
    return {
        spec.name: Tolerance(
            Magnitude.of(np.concatenate([_items(spec, outputs[spec.name]) for outputs in reference])),
            tolerance if tolerance is not None and tolerance_of(spec.dtype) else tolerance_of(spec.dtype),
        )
        for spec in signature.outputs
    }


class Verifier:
    """Verifies answers to one set of payloads: `expected[k]` are the reference's outputs for payload k."""

    def __init__(
        self,
        codec: Codec,
        payloads: Sequence[Payload],
        expected: Sequence[Tensors],
        signature: Signature,
        dataset: Dataset,
        tolerances: Tolerances,
    ) -> None:
        self._codec = codec
        self._payloads = payloads
        self._expected = expected
        self._signature = signature
        self._dataset = dataset
        self._tolerances = tolerances

    def verify(self, answers: Sequence[Answer]) -> Verification:
        """Judge all answers; identical answers are decoded once."""
        judged_before: dict[tuple[int, bytes], Judged] = {}

        def judged(index: int, body: bytes) -> Judged:
            key = (index, body)
            if key not in judged_before:
                judged_before[key] = self.judge(Answer(index, body))
            return judged_before[key]

        return tally(((each.payload_index, each.body) for each in answers), judged, self._payloads, len(self._dataset))

    def judge(self, answer: Answer) -> Judged:
        """Judge one answer, without reuse of earlier results."""
        start = perf_counter()
        judged = self._judge(answer)
        return replace(judged, judge_s=perf_counter() - start)

    def check(self, answer: Answer) -> None:
        """Raise MalformedAnswer unless this one answer is correct (for readiness)."""
        complaint = self._judge(answer).complaint
        if complaint:
            raise MalformedAnswer(complaint)

    def _judge(self, answer: Answer) -> Judged:
        expected = self._expected[answer.payload_index]
        payload = self._payloads[answer.payload_index]
        try:
            outputs = self._codec.decode(answer.body)
        except MalformedAnswer as error:
            return Judged(0, float("inf"), str(error), None)
        except Exception as error:  # an error in the codec must fail only this cell
            complaint = f"the codec {self._codec.name} failed on it: {type(error).__name__}: {error}"
            return Judged(0, float("inf"), complaint, None)
        for name, values in expected.items():
            if outputs[name].shape != values.shape:
                seen = f"{name} of shape {outputs[name].shape} for payload {answer.payload_index}"
                return Judged(0, float("inf"), f"{seen}, expected {values.shape}", None)
        apart = {spec.name: self._apart(spec, outputs, expected) for spec in self._signature.outputs}
        near = {name: difference <= allowed for name, (difference, allowed) in apart.items()}
        good = np.broadcast_to(np.logical_and.reduce(np.broadcast_arrays(*near.values())), payload.batch_size)
        max_abs_diff = max(float(difference.max()) for difference, _ in apart.values())
        scores = self._signature.scores
        if not scores:
            complaint = "" if good.all() else self._far(near, apart, payload, outputs, expected)
            return Judged(int(good.sum()), max_abs_diff, complaint, None)
        top = top_of(outputs[scores], expected[scores], apart[scores][1], payload)
        right = good & top.agreeing
        complaint = ""
        if not right.all():
            row = int(np.argmin(right))
            if near[scores][row] and top.agreeing[row]:
                del near[scores]
                complaint = self._far(near, apart, payload, outputs, expected)
            else:
                complaint = self._misjudged(row, payload, outputs, expected, apart)
        return Judged(int(top.agreeing.sum()), max_abs_diff, complaint, top.answered, top.differing)

    def _apart(self, spec: TensorSpec, outputs: Tensors, expected: Tensors) -> tuple[FloatArray64, FloatArray64]:
        """Largest and allowed |difference| of each item, or of the whole output if it is not batched."""
        ours, theirs = _items(spec, outputs[spec.name]), _items(spec, expected[spec.name])
        return differences(ours, theirs), self._tolerances[spec.name].of(theirs)

    def _far(self, near: Mapping[str, BoolArray], apart: Apart, payload: Payload, outputs: Tensors, expected: Tensors) -> str:
        """Describe the first output whose values are too far from the reference's."""
        name = next(name for name, close in near.items() if not close.all())
        row, (difference, allowed) = int(np.argmin(near[name])), apart[name]
        place = self._place(row, payload) if len(difference) == payload.batch_size else f"payload of {payload.batch_size}"
        told = f"{name}: largest |difference| {difference[row]:.2g}, allowed {allowed[row]:g}"
        if expected[name].size == len(difference):  # one number per item
            ours, theirs = outputs[name].ravel()[row], expected[name].ravel()[row]
            told = f"answered {ours:.6g}, the reference says {theirs:.6g}; {told}"
        return f"{place}: {told}"

    def _misjudged(self, row: int, payload: Payload, outputs: Tensors, expected: Tensors, apart: Apart) -> str:
        """Describe an item whose class or scores are not the reference's."""
        scores = self._signature.scores
        difference, allowed = apart[scores]
        return (
            f"{self._place(row, payload)}: answered {self._text_of(outputs[scores][row])}, "
            f"the reference says {self._text_of(expected[scores][row])}; "
            f"largest |difference| {difference[row]:.2g}, allowed {allowed[row]:g}"
        )

    def _place(self, row: int, payload: Payload) -> str:
        return f"{self._dataset.noun} {payload.indices[row]} (row {row} of {payload.batch_size})"

    def _text_of(self, scores: Array) -> str:
        """The best class of one item and its score, as text."""
        best = int(scores.argmax())
        probability = self._tolerances[self._signature.scores].magnitude == PROBABILITIES
        shown = f"{scores[best]:.4f}" if probability else f"{scores[best]:.6g}"
        return f"{class_name(self._dataset.class_names, best)!r} with {shown}"


def tally(
    answers: Iterable[tuple[int, bytes]], judged: Callable[[int, bytes], Judged], payloads: Sequence[Payload], items: int
) -> Verification:
    """Sum up the outcomes of all answers, each (payload index, body); `judged` returns the same object for equal ones.

    `items` is the size of the dataset.
    """
    predicted = np.full(items, _NOBODY, dtype=np.int64)
    distinct: dict[int, Judged] = {}
    differing: list[Differing] = []
    count, wrong, agreeing, items_sent, first_wrong, worst = 0, 0, 0, 0, "", 0.0
    for index, body in answers:
        count += 1
        each, payload = judged(index, body), payloads[index]
        distinct.setdefault(id(each), each)
        agreeing += each.agreeing
        items_sent += payload.batch_size
        worst = max(worst, each.max_abs_diff)
        differing += each.differing
        if each.classes is not None:
            predicted[list(payload.indices)] = each.classes
        if each.complaint:
            wrong += 1
            first_wrong = first_wrong or f"answer {count}: {each.complaint}"
    return Verification(
        answers=count,
        wrong=wrong,
        first_wrong=first_wrong,
        agreement=agreeing / items_sent if items_sent else None,
        max_abs_diff=worst if items_sent else None,
        predicted=predicted,
        decode_s=float(np.median([each.judge_s for each in distinct.values()])) if distinct else None,
        differing=counted(differing),
    )


def _items(spec: TensorSpec, values: Array) -> Array:
    """The values with an axis of items first; an output that is not batched becomes one item."""
    return values if spec.batched else values[np.newaxis]
