"""Which images the reference misclassifies, and which ones a server answered with another class than the reference."""

import base64
from collections.abc import Sequence

import numpy as np

from bench.contract.confusion import ClassCount, ConfusedPair, Confusion, Disagreement, SampleImage
from bench.contract.system import Dataset
from bench.contract.tensors import Array, IntArray
from bench.verification.top_class import Differing, class_name

PAIRS = 10
SAMPLES = 6  # images of each pair
LISTED = 20  # disagreements of one cell; the record's `agreement` counts all of them


def confusion_of(dataset: Dataset, scores: Array) -> Confusion:
    """The images that the reference misclassifies by its scores [images, classes]; raises ValueError without labels."""
    labels = dataset.labels
    if labels is None:
        raise ValueError(f"{dataset.name} has no labels: nothing says which images are misclassified")
    answered = scores.argmax(axis=1)
    names, classes = dataset.class_names, max(scores.shape[1], int(labels.max(initial=0)) + 1)
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, answered), 1)
    wrong = counts - np.diag(np.diag(counts))
    return Confusion(
        side_px=dataset.side_px,
        images=len(dataset),
        mistakes=int(wrong.sum()),
        classes=tuple(
            ClassCount(class_name(names, k), int(counts[k].sum()), int(counts[k, k]), int(counts[:, k].sum()))
            for k in range(classes)
        ),
        pairs=tuple(_pair(dataset, labels, scores, wrong, *place) for place in _worst(wrong)),
    )


def disagreements_of(
    cell: str, differing: Sequence[Differing], labels: IntArray | None, names: Sequence[str]
) -> tuple[Disagreement, ...]:
    """At most LISTED differing answers of one cell, with the names of their classes; those not excused as ties first."""
    order = sorted(differing, key=lambda each: (each.excused, each.image, each.answered))
    return tuple(
        Disagreement(
            cell=cell,
            image=each.image,
            label="" if labels is None else class_name(names, int(labels[each.image])),
            reference=class_name(names, each.reference),
            reference_score=each.reference_score,
            answered=class_name(names, each.answered),
            score=each.score,
            answers=each.answers,
            excused=each.excused,
        )
        for each in order[:LISTED]
    )


def _worst(wrong: IntArray) -> list[tuple[int, int]]:
    """The PAIRS pairs of classes confused most often, worst first; equal ones in the order of the classes."""
    both = np.triu(wrong + wrong.T)
    places = [(int(a), int(b)) for a, b in np.argwhere(both > 0)]
    return sorted(places, key=lambda place: (-int(both[place]), place))[:PAIRS]


def _pair(dataset: Dataset, labels: IntArray, scores: Array, wrong: IntArray, a: int, b: int) -> ConfusedPair:
    one, other = (a, b) if wrong[a, b] >= wrong[b, a] else (b, a)
    answered = scores.argmax(axis=1)
    misclassified = [np.flatnonzero((labels == x) & (answered == y)) for x, y in ((one, other), (other, one))]
    names, pictures = dataset.class_names, next(iter(dataset.inputs.values()))
    samples = [
        SampleImage(
            index=int(image),
            label=class_name(names, int(labels[image])),
            answered=class_name(names, int(answered[image])),
            score=float(scores[image].max()),
            pixels=_pixels(pictures[image]) if dataset.side_px else "",
        )
        for image in _mixed(*misclassified)[:SAMPLES]
    ]
    return ConfusedPair(
        class_name(names, one), class_name(names, other), len(misclassified[0]), len(misclassified[1]), tuple(samples)
    )


def _mixed(first: IntArray, second: IntArray) -> list[int]:
    """The items of both arrays in turn, so that a few samples show both directions."""
    turns = [array[n] for n in range(max(len(first), len(second))) for array in (first, second) if n < len(array)]
    return [int(image) for image in turns]


def _pixels(image: Array) -> str:
    return base64.b64encode(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).tobytes()).decode()
