"""A section of a report, before any markup: its heading and its blocks, which HTML, Markdown and terminal share."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Flag, IntEnum, auto
from functools import partial

from bench.contract.records import Verdict
from reports.charts.canvas import Chart
from reports.tables.table import Table


class Medium(Flag):
    """Where a block is shown."""

    PAGE = auto()
    MARKDOWN = auto()
    TERMINAL = auto()


PAGE, MARKDOWN, TERMINAL = Medium.PAGE, Medium.MARKDOWN, Medium.TERMINAL
DOCUMENTS, NOWHERE = PAGE | MARKDOWN, Medium(0)
EVERYWHERE = DOCUMENTS | TERMINAL


class Lean(IntEnum):
    """How much Markdown leaves out to keep to GitHub's size limit; each level includes those before it."""

    NOTHING = 0
    BACKGROUND = 1  # setup, commands, how to read this
    REASONS = 2  # the ends of reasons
    REPLAY = 3
    COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a section: shown `on` these media, left out of Markdown from the level `until` on."""

    on: Medium = DOCUMENTS
    until: Lean | None = None


@dataclass(frozen=True, slots=True)
class Heading(Block):
    """A heading within the section, at level 3 or 4."""

    text: str
    level: int = 3


@dataclass(frozen=True, slots=True)
class Text(Block):
    """A paragraph; `style` is plain, intro, note or aside; `why` is the section that explains it, linked if it is shown."""

    text: str
    style: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Items(Block):
    """A list of sentences; if it `shrinks`, they are cut when Markdown leaves out the ends of reasons."""

    texts: tuple[str, ...]
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class Pairs(Block):
    """Terms and their meanings, or (`facts`) names and values."""

    pairs: tuple[tuple[str, str], ...]
    facts: bool = False


@dataclass(frozen=True, slots=True)
class Commands(Block):
    """What each command is for, and the command; `listed` shows them as a list."""

    pairs: tuple[tuple[str, str], ...]
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Cells that share a verdict other than VALID and its reason; `reason` may have several lines."""

    verdict: Verdict
    cells: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Problems(Block):
    """What went wrong, and why."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Tabular(Block):
    """A table."""

    table: Table


@dataclass(frozen=True, slots=True)
class Picture(Block):
    """A chart, drawn when it is shown, with its heading; `draw` returns None if there is nothing to draw."""

    name: str
    caption: str
    draw: Callable[[], Chart | None]
    heading: str = ""
    level: int = 3


@dataclass(frozen=True, slots=True)
class Details(Block):
    """Blocks below a summary, folded if the medium can fold."""

    summary: str
    blocks: tuple[Block, ...]
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Beside(Block):
    """Groups of blocks, side by side if there is room, else one below the other."""

    groups: tuple[tuple[Block, ...], ...]


@dataclass(frozen=True, slots=True)
class Filters(Block):
    """The controls by which the rows of the page's tables of cells are filtered."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section; it is shown on every medium for which it has a block.

    `anchor` is its id on the page, `finding` its result in one sentence, `style` its look, `heading_on` the media on which its
    title is a heading. If `folded`, a medium that can fold shows only title and finding until it is opened; if `filtered`, the
    filters apply to its tables. `otherwise` is what the page says if the section shows neither table nor chart there.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...] = ()
    finding: str = ""
    style: str = ""
    heading_on: Medium = DOCUMENTS
    folded: bool = True
    filtered: bool = False
    otherwise: str = ""

    def on(self, medium: Medium) -> list[Block]:
        """Its blocks for a medium, those without a text left out."""
        return [block for block in self.blocks if medium in block.on and not (isinstance(block, Text) and not block.text)]


@dataclass(frozen=True, slots=True)
class Report:
    """One report: its head, and its sections in order; `sets` are the sets that each backend belongs to, to filter rows by."""

    title: str
    lead: str
    banner: str
    run_id: str
    sets: dict[str, tuple[str, ...]]
    sections: tuple[Section, ...]

    def pictures(self) -> Iterator[Picture]:
        """Each chart that a section names, once; raises ValueError if two different ones have the same name.

        The same chart may be in one place on the page and in another in Markdown.
        """
        named: dict[str, Picture] = {}
        for block in (block for section in self.sections for block in walk(section.blocks) if isinstance(block, Picture)):
            first = named.setdefault(block.name, block)
            if first is block:
                yield block
            elif first.on & block.on or _function(first) is not _function(block):
                raise ValueError(f"two pictures are named {block.name!r}, so that one would hide the other; name one otherwise")

    def tables(self) -> Iterator[Table]:
        """All tables, in order."""
        for section in self.sections:
            yield from (block.table for block in walk(section.blocks) if isinstance(block, Tabular))


def _function(picture: Picture) -> object:
    return picture.draw.func if isinstance(picture.draw, partial) else picture.draw


def walk(blocks: Sequence[Block]) -> Iterator[Block]:
    """All blocks, including those within others."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)
        elif isinstance(block, Beside):
            for group in block.groups:
                yield from walk(group)
