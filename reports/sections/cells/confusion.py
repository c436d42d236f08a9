"""Which classes the model confuses, with images, class by class; and each answer in which a server differed from it."""

import base64
import binascii
import io

from PIL import Image

from bench.contract.confusion import ConfusedPair, Confusion, Disagreement, SampleImage
from bench.contract.records import Run
from reports.sections.section import PAGE, Block, Details, Heading, Tabular, Text
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.numbers import MISSING, number, percent
from reports.tables.table import Row, Table, Thumbnail, text_table

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
_DIFFERING = (
    "Each image that a cell answered with another class than the reference, at most 20 a cell; the agreement counts all."
)


def blocks(run: Run) -> list[Block]:
    """The blocks of a run; if it has no confused pairs or no disagreements, the page says why, and Markdown leaves them out."""
    shown: list[Block] = [Heading("What the model takes for what")]
    if run.confusion is not None and run.confusion.pairs:
        classes = text_table("Accuracy class by class", _CLASS_COLUMNS, class_texts(run.confusion))
        shown += [
            Text(intro(run.confusion), "intro"),
            Tabular(pair_table(run.confusion)),
            Details("Class by class", (Tabular(classes),), on=PAGE),
        ]
    else:
        shown = [Heading("What the model takes for what", on=PAGE), Text(_why_none(run), on=PAGE)]
    title = "Where servers differ from the reference"
    if not run.disagreements:
        none = "No verified answer named another class than the reference."
        return [*shown, Heading(title, on=PAGE), Text(none, on=PAGE)]
    table = text_table("Disagreements", _DISAGREEMENT_COLUMNS, tuple(map(_disagreement, run.disagreements)))
    return [*shown, Heading(title), Text(_DIFFERING, "intro", on=PAGE), Tabular(table)]


def _why_none(run: Run) -> str:
    if run.confusion is not None:
        return intro(run.confusion)
    if run.dataset.get("labelled") is False:
        return "The inputs have no labels: nothing says what would have been right."
    return "This run did not look."


def intro(confusion: Confusion) -> str:
    """How many images the model takes for another class, and how many of these are in the pairs."""
    shown = sum(pair.one_as_other + pair.other_as_one for pair in confusion.pairs)
    return (
        f"The model takes {confusion.mistakes:,} of {confusion.images:,} images for another class, behind every server that "
        f"agrees with the reference. The pairs below are {shown:,} of these mistakes."
    )


def pair_table(confusion: Confusion) -> Table:
    """The pairs of classes that are taken for each other, with a few images."""
    rows = tuple(Row(_pair(pair), thumbnails=_thumbnails(pair, confusion.side_px)) for pair in confusion.pairs)
    return Table("pairs", "Confused pairs", _PAIR_COLUMNS, rows)


def class_texts(confusion: Confusion) -> list[tuple[str, ...]]:
    """A row for each class that has an image or was answered."""
    return [
        (
            one_line(each.name),
            f"{each.images:,}",
            percent(each.right / each.images) if each.images else MISSING,
            f"{each.answered:,}",
            percent(each.right / each.answered) if each.answered else MISSING,
        )
        for each in confusion.classes
        if each.images or each.answered
    ]


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
    """A PNG as a data URI, dark on light, as on paper; empty if `sample` is not an image of `side` x `side` pixels."""
    try:
        pixels = base64.b64decode(sample.pixels, validate=True)
    except binascii.Error:
        return ""
    if side < 1 or len(pixels) != side * side:
        return ""
    file = io.BytesIO()
    Image.frombytes("L", (side, side), bytes(255 - value for value in pixels)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
