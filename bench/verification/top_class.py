"""The class answered for each item compared with the reference's: agreements, ties, which are excused, and differences."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.contract.tensors import Array, BoolArray, FloatArray64, IntArray
from bench.contract.wire import Payload


@dataclass(frozen=True, slots=True)
class Differing:
    """An image answered `answers` times with another top class than the reference's; `excused` if it ties both classes."""

    image: int
    reference: int
    reference_score: float
    answered: int
    score: float
    excused: bool
    answers: int = 1


def counted(answers: Iterable[Differing]) -> tuple[Differing, ...]:
    """Each (image, answered class) once, with the sum of its `answers`, in the order in which they first occur."""
    counts: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], Differing] = {}
    for differing in answers:
        key = (differing.image, differing.answered)
        counts[key] += differing.answers
        first.setdefault(key, differing)
    return tuple(replace(differing, answers=counts[key]) for key, differing in first.items())


@dataclass(frozen=True, slots=True)
class Top:
    """For each item [n] the best class `answered`, and whether it is the reference's or tied with it; the `differing` items."""

    answered: IntArray
    agreeing: BoolArray
    differing: tuple[Differing, ...]


def top_of(scores: Array, expected: Array, allowed: FloatArray64, payload: Payload) -> Top:
    """Compare `scores` with the reference's `expected`, both [n, classes]; `allowed` [n]: each item's allowed |difference|."""
    rows, answered, best = np.arange(len(expected)), scores.argmax(axis=1), expected.argmax(axis=1)
    # A tie: the reference itself scores the answered class as high as its own best, up to rounding.
    tied = expected[rows, answered] >= expected.max(axis=1) - 2 * allowed
    differing = tuple(
        Differing(payload.indices[row], one, float(expected[row, one]), other, float(scores[row, other]), bool(tied[row]))
        for row, (one, other) in enumerate(zip(best.tolist(), answered.tolist(), strict=True))
        if one != other
    )
    return Top(answered, (answered == best) | tied, differing)


def class_name(names: Sequence[str], index: int) -> str:
    """The name of the class `index`, else `class <index>`: a model may have more classes than the dataset has names."""
    return names[index] if index < len(names) else f"class {index}"
