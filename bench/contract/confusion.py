"""Which classes the model confuses, and which answers differ from the reference's: plain frozen data, part of a Run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClassCount:
    """One class: `images` have it as label, `right` of them were classified right; `answered` counts all classified as it."""

    name: str
    images: int
    right: int
    answered: int


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image that the reference classifies wrongly: it is `label`, and `answered` is the class with the best score.

    `pixels` is the base64 text of side x side bytes, row by row, 0 = background; empty if the items are no pictures.
    """

    index: int
    label: str
    answered: str
    score: float
    pixels: str


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two classes: how many images of `one` were classified as `other` and the other way round, and a few of them."""

    one: str
    other: str
    one_as_other: int
    other_as_one: int
    samples: tuple[SampleImage, ...] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """The reference's own mistakes on the whole dataset, `mistakes` images in all; `pairs` are the worst pairs, worst first."""

    side_px: int
    images: int
    mistakes: int
    classes: tuple[ClassCount, ...]
    pairs: tuple[ConfusedPair, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Confusion:
        """The inverse of `dataclasses.asdict`; raises TypeError or KeyError on anything else."""
        pairs = (
            ConfusedPair(**{**pair, "samples": tuple(SampleImage(**sample) for sample in pair["samples"])})
            for pair in values["pairs"]
        )
        return cls(**{**values, "classes": tuple(ClassCount(**each) for each in values["classes"]), "pairs": tuple(pairs)})


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One image that a cell answered with another class than the reference, `answers` times.

    `excused`: the reference's scores of the two classes differ by no more than rounding may. `label` is empty if unknown.
    """

    cell: str
    image: int
    label: str
    reference: str
    reference_score: float
    answered: str
    score: float
    answers: int
    excused: bool
