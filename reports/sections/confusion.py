"""What the model takes for what, with images, class by class; and each answer in which a server differed from it."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from bench.contract.confusion import ConfusedPair, Confusion, Disagreement, SampleImage
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.tables import MISSING, Grid, number, percent

_PAIR_COLUMNS = (
    Column("pair", "Classes", "Two classes that are taken for each other.", numeric=False),
    Column("there", "First taken for second", "Images."),
    Column("back", "Second taken for first", "Images."),
)
_CLASS_COLUMNS = (
    Column("name", "Class", "The label.", numeric=False),
    Column("images", "Images", "Of this class."),
    Column("right", "Recognised", "Share of its images that the model takes for it."),
    Column("answered", "Taken for it", "Images of any class."),
    Column("precision", "Of these right", "Share of the images taken for it that are of it."),
)
_DISAGREEMENT_COLUMNS = (
    Column("cell", "Cell", "Whose answer.", numeric=False),
    Column("image", "Image", "Its index."),
    Column("label", "Label", "What it shows.", numeric=False),
    Column("reference", "Reference says", "With its score.", numeric=False),
    Column("answered", "Server says", "With its score.", numeric=False),
    Column("answers", "Times", "How often it was answered so."),
    Column("tie", "Tie", "Whether the reference scores both alike, within what rounding may do.", numeric=False),
)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One image as a data URI, and what it is for those who cannot see it."""

    uri: str
    alt: str


@dataclass(frozen=True, slots=True)
class PairRow:
    """A confused pair: its texts and a few of its images."""

    texts: tuple[str, ...]
    thumbnails: tuple[Thumbnail, ...]


@dataclass(frozen=True, slots=True)
class MistakesSection:
    """The model's mistakes; no `pairs` where it made none, or none were looked for."""

    intro: str
    columns: tuple[Column, ...]
    pairs: tuple[PairRow, ...]
    classes: Grid
    disagreements: Grid


def mistakes_section(
    confusion: Confusion | None, disagreements: Sequence[Disagreement], *, labelled: bool = True
) -> MistakesSection:
    """Of a run; what it did not look for is left out, what it had no labels for says so."""
    differing = Grid(_DISAGREEMENT_COLUMNS, tuple(map(_disagreement, disagreements)))
    if confusion is None:
        why = "" if labelled else "The inputs have no labels: nothing says what would have been right."
        return MistakesSection(why, _PAIR_COLUMNS, (), Grid(_CLASS_COLUMNS, ()), differing)
    shown = sum(pair.one_as_other + pair.other_as_one for pair in confusion.pairs)
    intro = (
        f"The model takes {confusion.mistakes:,} of {confusion.images:,} images for another class, behind every server that "
        f"agrees with the reference. The pairs below are {shown:,} of these mistakes."
    )
    pairs = tuple(PairRow(_pair(pair), _thumbnails(pair, confusion.side_px)) for pair in confusion.pairs)
    classes = tuple(
        (
            one_line(each.name),
            f"{each.images:,}",
            percent(each.right / each.images) if each.images else MISSING,
            f"{each.answered:,}",
            percent(each.right / each.answered) if each.answered else MISSING,
        )
        for each in confusion.classes
        if each.images or each.answered
    )
    return MistakesSection(intro, _PAIR_COLUMNS, pairs, Grid(_CLASS_COLUMNS, classes), differing)


def _pair(pair: ConfusedPair) -> tuple[str, ...]:
    return (f"{one_line(pair.one)} and {one_line(pair.other)}", f"{pair.one_as_other:,}", f"{pair.other_as_one:,}")


def _disagreement(found: Disagreement) -> tuple[str, ...]:
    return (
        one_line(found.cell),
        f"{found.image:,}",
        one_line(found.label) or MISSING,
        f"{one_line(found.reference)} ({number(found.reference_score)})",
        f"{one_line(found.answered)} ({number(found.score)})",
        f"{found.answers:,}",
        "yes" if found.excused else "no",
    )


def _thumbnails(pair: ConfusedPair, side: int) -> tuple[Thumbnail, ...]:
    drawn = ((_png(sample, side), sample) for sample in pair.samples)
    return tuple(
        Thumbnail(
            uri,
            f"image {sample.index}: {one_line(sample.label)}, taken for {one_line(sample.answered)} "
            f"(score {number(sample.score)})",
        )
        for uri, sample in drawn
        if uri
    )


def _png(sample: SampleImage, side: int) -> str:
    """Dark on light, as on paper; empty for what is no image of that size."""
    try:
        pixels = base64.b64decode(sample.pixels, validate=True)
    except binascii.Error:
        return ""
    if side < 1 or len(pixels) != side * side:
        return ""
    file = io.BytesIO()
    Image.frombytes("L", (side, side), bytes(255 - value for value in pixels)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
