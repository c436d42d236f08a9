"""The style of all charts: sizes, colours, and how a figure becomes SVG for files, SVG for the page, and PNG.

Lengths are in CSS pixels (72 to the inch, so that SVG's points are pixels): a font of size 12 is 12 px high.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from bench.contract.records import Record

INK, MUTED, GRID, PANEL = "#1f2428", "#5b6670", "#dfe3e6", "#ffffff"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31")
"""Okabe and Ito's colours, which colour-blind readers can tell apart; brown replaces yellow, which is hard to see on white."""

_VARIABLES = {INK: "--chart-ink", MUTED: "--chart-muted", GRID: "--chart-grid", PANEL: "--chart-panel"} | {
    colour: f"--chart-{number}" for number, colour in enumerate(PALETTE)
}
_STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 12,
    "text.color": INK,
    "text.parse_math": False,  # a backend's name may contain dollar signs
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": GRID,
    "grid.linewidth": 1,
    "hatch.linewidth": 1.1,
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "svg.hashsalt": "servebench",
    "path.simplify": False,
}
_PNG_DPI = 144

Margins = tuple[int, int]
"""Pixels on all sides of a figure, and the additional pixels above it."""

FRAMED: Margins = (16, 28)

Dashes = Literal["-", "--", ":"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Width of a chart, and whether its labels are beside what they name (else above)."""

    width_px: int
    beside: bool


WIDE = Layout(920, beside=True)
HALF = Layout(590, beside=True)
NARROW = Layout(350, beside=False)


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: `svg` and `png` for files, `wide` and `narrow` SVG elements for the page; `alt` is the alternative text."""

    name: str
    title: str
    alt: str
    svg: bytes
    png: bytes
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class Group:
    """The cells of one protocol; `ceiling` is the images/s that null reached over it, None if unknown."""

    protocol: str
    records: tuple[Record, ...]
    ceiling: float | None
    colour: str


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Context in which charts must be drawn and saved: it sets matplotlib's style."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name may contain an emoji that matplotlib's font lacks: the reader's browser shows it, the PNG a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(width_px: float, height_px: float) -> Figure:
    """An empty figure of this size."""
    return Figure(figsize=(width_px / 72, height_px / 72), dpi=72, facecolor=PANEL)


def axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes without a frame, placed in pixels from the figure's top left corner."""
    figure_width, figure_height = figure.get_size_inches() * 72
    box = (left / figure_width, 1 - (top + height) / figure_height, width / figure_width, height / figure_height)
    added = figure.add_axes(box)
    for side in added.spines.values():
        side.set_visible(False)
    return added


def write(figure: Figure, x: float, y: float, text: str, colour: str = INK, *, bold: bool = False, align: str = "left") -> None:
    """Write text at pixels from the figure's top left corner, vertically centred on `y`; its background hides lines below."""
    width, height = figure.get_size_inches() * 72
    weight = "bold" if bold else "normal"
    ground = {"facecolor": PANEL, "edgecolor": "none", "pad": 1.5}
    place = (x / width, 1 - y / height)
    figure.text(*place, text, color=colour, weight=weight, ha=align, va="center", parse_math=False, bbox=ground)


def stroke(figure: Figure, x: float, y: float, length: float, colour: str, dashes: Dashes) -> None:
    """Draw the line of a legend entry, placed in pixels from the figure's top left corner."""
    width, height = figure.get_size_inches() * 72
    ends = [x / width, (x + length) / width]
    figure.add_artist(Line2D(ends, [1 - y / height] * 2, color=colour, linestyle=dashes, linewidth=2))


def svg_bytes(figure: Figure, margins: Margins = (0, 0)) -> bytes:
    """A standalone SVG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=metadata, bbox_inches=_frame(figure, margins))
    return re.sub(rb"<!DOCTYPE[^>]*>\s*", b"", buffer.getvalue())


def png_bytes(figure: Figure, margins: Margins = (0, 0)) -> bytes:
    """A PNG file of twice the size in pixels; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_PNG_DPI, metadata={"Software": None}, bbox_inches=_frame(figure, margins))
    return buffer.getvalue()


def _frame(figure: Figure, margins: Margins) -> Bbox | None:
    if margins == (0, 0):
        return None  # any box, even the figure's own, makes matplotlib draw twice
    width, height = figure.get_size_inches()
    around, above = margins[0] / 72, margins[1] / 72
    return Bbox([[-around, -around], [width + around, height + around + above]])


def svg_element(svg: bytes, prefix: str) -> str:
    """The `<svg>` element for a page: its colours follow the page's theme, `prefix` makes its ids unique."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{prefix}-", text)
    text = re.sub(r"#[0-9a-f]{6}\b", lambda found: _themed(found.group()), text)
    # The caption says what it shows; without this, a screen reader would read out hundreds of loose numbers.
    return text.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)


def _themed(colour: str) -> str:
    return f"var({_VARIABLES[colour]}, {colour})" if colour in _VARIABLES else colour


def chart_of(name: str, title: str, alt: str, wide: Figure, narrow: Figure) -> Chart:
    """The chart in all its formats, from its two figures; call it within `style`."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:80]
    elements = svg_element(svg_bytes(wide), f"{name}-w"), svg_element(svg_bytes(narrow), f"{name}-n")
    # On the page, the heading above it is its title; a file needs a title of its own, and margins.
    write(wide, 0, -16, title, bold=True)
    return Chart(name, title, alt, svg_bytes(wide, FRAMED), png_bytes(wide, FRAMED), *elements)


def few(named: Sequence[str], most: int = 12) -> str:
    """Items of a chart for its alternative text: at most `most`, then how many more there are."""
    return "; ".join(named[:most]) + (f"; and {len(named) - most} more, all in the table" if len(named) > most else "")
