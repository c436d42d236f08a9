"""Draws stacked bars, a row each, with a legend above and a text beside: parts of a request, steps of a start."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports.charts.canvas import INK, MUTED, Layout, axes, canvas, write
from reports.tables.clean_text import shortened

_TOP, _LEGEND, _FOOT, _THICK, _CHAR = 4, 30, 30, 14, 7.2


@dataclass(frozen=True, slots=True)
class Stack:
    """One bar: its name, the text beside it, and its parts in order, each with its length in the unit of the axis."""

    name: str
    text: str
    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How bars look: colours by part in the legend's order, what sets up the axis, and which parts are hollow and hatched."""

    colours: Mapping[str, str]
    mark: Callable[[Axes, Layout], None]
    hatched: Collection[str] = ()


def draw_stacks(rows: Sequence[Stack], look: Look, layout: Layout) -> Figure:
    """Draw a row for each bar, all on one axis."""
    height = 24 if layout.beside else 42
    shown = [part for part in look.colours if any(part in dict(row.parts) for row in rows)]
    per_line = len(shown) if layout.beside else 3
    legend = _LEGEND * -(-len(shown) // per_line)
    figure = canvas(layout.width_px, _TOP + legend + height * len(rows) + _FOOT)
    left, right = 4.0, 10.0
    if layout.beside:
        left = 14 + _CHAR * max(len(_name(row, layout)) for row in rows)
        right = 16 + _CHAR * max(len(row.text) for row in rows)
    for place, part in enumerate(shown):
        x = (left if layout.beside else 0) + (place % per_line) * (118 if layout.beside else 112)
        y = _TOP + 10 + _LEGEND * (place // per_line) * 0.7
        _swatch(figure, x, y, look.colours[part])
        write(figure, x + 18, y, part, MUTED)
    ax = axes(figure, left, _TOP + legend, layout.width_px - left - right, height * len(rows))
    ax.set_ylim(height * len(rows), 0)
    ax.set_yticks([])
    look.mark(ax, layout)
    ax.grid(axis="x")
    for place, row in enumerate(rows):
        y = _TOP + legend + place * height
        middle = place * height + (12 if layout.beside else 27)
        _bar(ax, row, middle, look)
        if layout.beside:
            write(figure, left - 10, y + 12, _name(row, layout), align="right")
            write(figure, layout.width_px - right + 10, _TOP + legend + middle, row.text)
        else:
            write(figure, 0, y + 10, _name(row, layout))
            write(figure, layout.width_px - 4, y + 10, row.text, INK, align="right")
    return figure


def _bar(ax: Axes, row: Stack, middle: float, look: Look) -> None:
    begin = 0.0
    for part, width in row.parts:
        hatch = "/////" if part in look.hatched else ""
        colour = look.colours[part]
        box = (begin, middle - _THICK / 2)
        face = "none" if hatch else colour
        ax.add_patch(Rectangle(box, width, _THICK, facecolor=face, edgecolor=colour, hatch=hatch, linewidth=0.5))
        begin += width


def _name(row: Stack, layout: Layout) -> str:
    return shortened(row.name, 34 if layout.beside else 20)


def _swatch(figure: Figure, x: float, y: float, colour: str) -> None:
    width, height = figure.get_size_inches() * 72
    place = (x / width, 1 - (y + 5) / height)
    figure.add_artist(
        Rectangle(place, 12 / width, 10 / height, facecolor=colour, edgecolor="none", transform=figure.transFigure)
    )
