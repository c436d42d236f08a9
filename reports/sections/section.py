"""A section of a report, before any markup: its heading and its blocks; HTML, Markdown and terminal walk the same."""

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
    """How much Markdown leaves out, so that it stays as short as GitHub wants it."""

    NOTHING = 0
    BACKGROUND = 1  # setup, commands, how to read this
    REASONS = 2  # their ends
    REPLAY = 3
    COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a section: shown `on` these media, left out of Markdown from `until` on."""

    on: Medium = DOCUMENTS
    until: Lean | None = None


@dataclass(frozen=True, slots=True)
class Heading(Block):
    """A heading within the section, at level 3 or 4."""

    text: str
    level: int = 3


@dataclass(frozen=True, slots=True)
class Text(Block):
    """A paragraph; `style` is plain, intro, note or aside; `why` is the section that explains it, linked where it is shown."""

    text: str
    style: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Items(Block):
    """A list of sentences; `shrinks`: they are cut where Markdown leaves out the ends of reasons."""

    texts: tuple[str, ...]
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class Pairs(Block):
    """Words and what they mean, or (`facts`) names and values."""

    pairs: tuple[tuple[str, str], ...]
    facts: bool = False


@dataclass(frozen=True, slots=True)
class Commands(Block):
    """What each command is for, and the command; many are `listed`."""

    pairs: tuple[tuple[str, str], ...]
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Cells that share a verdict other than VALID and its reason; `reason` may have lines."""

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
    """A chart, drawn when it is shown, with its heading; `draw` returns None where there is nothing to draw."""

    name: str
    caption: str
    draw: Callable[[], Chart | None]
    heading: str = ""
    level: int = 3


@dataclass(frozen=True, slots=True)
class Details(Block):
    """Blocks below a summary, folded where that is possible."""

    summary: str
    blocks: tuple[Block, ...]
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Beside(Block):
    """Groups of blocks that stand beside each other where there is room, else one below the other."""

    groups: tuple[tuple[Block, ...], ...]


@dataclass(frozen=True, slots=True)
class Filters(Block):
    """The controls by which the rows of the page's tables of cells are filtered."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section. It is shown on a medium where it has a block for it.

    `anchor` is its id on the page, `finding` what it found in one sentence, `style` its look, `heading_on` where its title is
    shown as a heading; `folded`: where that is possible only title and finding are shown until it is opened; `filtered`: its
    tables obey the filters; `otherwise` is what the page says where it shows neither table nor picture.
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
    """One report: the head and the sections in their order; `sets` are the sets of backends by backend, to filter rows by."""

    title: str
    lead: str
    banner: str
    run_id: str
    sets: dict[str, tuple[str, ...]]
    sections: tuple[Section, ...]

    def pictures(self) -> Iterator[Picture]:
        """Each chart that a section names, once; raises ValueError where two have one name.

        The same one may stand on the page and elsewhere in Markdown.
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
    """All blocks, those within others too."""
    for block in blocks:
        yield block
        if isinstance(block, Details):
            yield from walk(block.blocks)
        elif isinstance(block, Beside):
            for group in block.groups:
                yield from walk(group)
