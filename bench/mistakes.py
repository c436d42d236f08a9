"""Finds what the reference takes for what on the whole dataset, and names the images that a server answered otherwise."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from math import isqrt

import numpy as np

from bench.confusion import ClassCount, ConfusedPair, Confusion, Disagreement, SampleImage
from bench.contract import Dataset, FloatArray, IntArray
from bench.verify import Differing

PAIRS = 10
SAMPLES = 6  # images of each pair
LISTED = 20  # disagreements of one cell; the record's `agreement` counts all of them


def confusion_of(dataset: Dataset, scores: FloatArray) -> Confusion:
    """The mistakes behind the reference's scores [images, classes]."""
    answered = scores.argmax(axis=1)
    names, classes = dataset.class_names, max(scores.shape[1], int(dataset.labels.max(initial=0)) + 1)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (dataset.labels, answered), 1)
    wrong = counts - np.diag(np.diag(counts))
    side = isqrt(dataset.images.shape[1])
    return Confusion(
        side_px=side if side * side == dataset.images.shape[1] else 0,
        images=len(dataset),
        mistakes=int(wrong.sum()),
        classes=tuple(
            ClassCount(_name(names, k), int(counts[k].sum()), int(counts[k, k]), int(counts[:, k].sum()))
            for k in range(classes)
        ),
        pairs=tuple(_pair(dataset, scores, answered, wrong, *place) for place in _worst(wrong)),
    )


def disagreements_of(cell: str, found: Sequence[Differing], labels: IntArray, names: Sequence[str]) -> tuple[Disagreement, ...]:
    """The differing answers of one cell with the names of their classes; real ones first, no more than LISTED."""
    order = sorted(found, key=lambda differing: (differing.excused, differing.image, differing.answered))
    return tuple(
        Disagreement(
            cell=cell,
            image=differing.image,
            label=_name(names, int(labels[differing.image])),
            reference=_name(names, differing.reference),
            reference_score=differing.reference_score,
            answered=_name(names, differing.answered),
            score=differing.score,
            answers=differing.answers,
            excused=differing.excused,
        )
        for differing in order[:LISTED]
    )


def _worst(wrong: IntArray) -> list[tuple[int, int]]:
    """Pairs of classes that are taken for each other most often, worst first; equal ones in the classes' order."""
    both = np.triu(wrong + wrong.T)
    places = [(int(a), int(b)) for a, b in np.argwhere(both > 0)]
    return sorted(places, key=lambda place: (-int(both[place]), place))[:PAIRS]


def _pair(dataset: Dataset, scores: FloatArray, answered: IntArray, wrong: IntArray, a: int, b: int) -> ConfusedPair:
    one, other = (a, b) if wrong[a, b] >= wrong[b, a] else (b, a)
    mistaken = [np.flatnonzero((dataset.labels == x) & (answered == y)) for x, y in ((one, other), (other, one))]
    names = dataset.class_names
    samples = [
        SampleImage(
            index=int(image),
            label=_name(names, int(dataset.labels[image])),
            answered=_name(names, int(answered[image])),
            score=float(scores[image].max()),
            pixels=_pixels(dataset.images[image]),
        )
        for image in _mixed(*mistaken)[:SAMPLES]
    ]
    return ConfusedPair(_name(names, one), _name(names, other), len(mistaken[0]), len(mistaken[1]), tuple(samples))


def _mixed(first: IntArray, second: IntArray) -> list[int]:
    """Of both directions in turn, so that a few samples show both."""
    turns = [array[n] for n in range(max(len(first), len(second))) for array in (first, second) if n < len(array)]
    return [int(image) for image in turns]


def _pixels(image: FloatArray) -> str:
    side = isqrt(len(image))
    if side * side != len(image):
        return ""
    return base64.b64encode(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).tobytes()).decode()


def _name(names: Sequence[str], index: int) -> str:
    """A model may have more classes than the dataset has names."""
    return names[index] if index < len(names) else f"class {index}"
