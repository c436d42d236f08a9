"""The class that each item was answered with against the reference's: who agrees, who is excused by a tie, who differs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.contract.tensors import Array, BoolArray, FloatArray64, IntArray
from bench.contract.wire import Payload


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


def counted(answers: Iterable[Differing]) -> tuple[Differing, ...]:
    """Each image and class once, with the sum of its answers, in the order of the first ones."""
    counts: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], Differing] = {}
    for differing in answers:
        key = (differing.image, differing.answered)
        counts[key] += differing.answers
        first.setdefault(key, differing)
    return tuple(replace(differing, answers=counts[key]) for key, differing in first.items())


@dataclass(frozen=True, slots=True)
class Top:
    """The best class `answered` for each item [n], whether it is the reference's or tied with it, and where it differs."""

    answered: IntArray
    agreeing: BoolArray
    differing: tuple[Differing, ...]


def top_of(scores: Array, expected: Array, allowed: FloatArray64, payload: Payload) -> Top:
    """By `scores` [n, classes], those `expected` of the reference, and the `allowed` |difference| of each item [n]."""
    rows, answered, best = np.arange(len(expected)), scores.argmax(axis=1), expected.argmax(axis=1)
    # A tie: the reference itself scores the answered class as high as its own best, within what rounding may do.
    tied = expected[rows, answered] >= expected.max(axis=1) - 2 * allowed
    differing = tuple(
        Differing(payload.indices[row], one, float(expected[row, one]), other, float(scores[row, other]), bool(tied[row]))
        for row, (one, other) in enumerate(zip(best.tolist(), answered.tolist(), strict=True))
        if one != other
    )
    return Top(answered, (answered == best) | tied, differing)


def class_name(names: Sequence[str], index: int) -> str:
    """A model may have more classes than the dataset has names."""
    return names[index] if index < len(names) else f"class {index}"
