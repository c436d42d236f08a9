"""Draws a panel for each protocol with a curve for each cell, and a legend beside or below it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contract.records import Record
from bench.contract.system import Role
from reports.charts.canvas import MUTED, PALETTE, Dashes, Group, Layout, axes, canvas, stroke, write
from reports.tables.clean_text import shortened
from reports.tables.names import endpoint_name

_DASHES: tuple[Dashes, ...] = ("-", "--", ":")
_TOP, _HEAD, _PANEL, _FOOT, _LEGEND, _LEFT, _LEGEND_WIDTH = 4, 28, 190, 46, 20, 46, 330


@dataclass(frozen=True, slots=True)
class Curves:
    """How to draw curves: `style` axes (with at most this number of ticks), `plot` a record's curve, `label` it."""

    style: Callable[[Axes, int], None]
    plot: Callable[[Axes, Record, str, Dashes], None]
    label: Callable[[Record], str]


def draw_panels(panels: Sequence[Group], curves: Curves, layout: Layout) -> Figure:
    """Draw a panel for each group; a ceiling is a dotted grey line."""
    heights = [_height(panel, layout) for panel in panels]
    legends = [0 if layout.beside else _LEGEND * len(panel.records) + 12 for panel in panels]
    figure = canvas(layout.width_px, _TOP + sum(heights) + sum(legends) + (_HEAD + _FOOT) * len(panels))
    width = layout.width_px - _LEFT - (_LEGEND_WIDTH if layout.beside else 12)
    y = float(_TOP)
    for panel, height, legend in zip(panels, heights, legends, strict=True):
        write(figure, 0, y + 10, shortened(panel.protocol, 40) or "unknown protocol", MUTED)
        ax = axes(figure, _LEFT, y + _HEAD, width, height)
        curves.style(ax, 8 if layout.beside else 4)
        legend_at = (_LEFT + width + 20, y + _HEAD + 8) if layout.beside else (0, y + _HEAD + height + _FOOT - 2)
        _draw_panel(figure, ax, panel, curves, legend_at)
        y += _HEAD + height + _FOOT + legend
    return figure


def _height(panel: Group, layout: Layout) -> int:
    return max(_PANEL, _LEGEND * len(panel.records)) if layout.beside else _PANEL


def _draw_panel(figure: Figure, ax: Axes, panel: Group, curves: Curves, legend_at: tuple[float, float]) -> None:
    for place, record in enumerate(panel.records):
        colour, dashes = PALETTE[place % len(PALETTE)], _DASHES[place // len(PALETTE) % 2]
        if record.role == Role.CEILING:
            colour, dashes = MUTED, _DASHES[2]
        curves.plot(ax, record, colour, dashes)
        x, y = legend_at[0], legend_at[1] + _LEGEND * place
        stroke(figure, x, y, 22, colour, dashes)
        write(figure, x + 30, y, f"{shortened(endpoint_name(record), 28)}  {curves.label(record)}")
