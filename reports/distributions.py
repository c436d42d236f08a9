"""Draws latency distributions: the share of exchanges answered within a time, a panel a protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contract import Role
from bench.records import Record, Samples
from reports.figures import GRID, MUTED, PALETTE, Dashes, Group, Layout, axes, canvas, stroke, write
from reports.tables import endpoint_name, milliseconds
from reports.text import shortened

Curve = npt.NDArray[np.float64]

_QUANTILES = np.concatenate([np.linspace(0, 0.99, 150), np.linspace(0.9905, 1, 40)])
_DASHES: tuple[Dashes, ...] = ("-", "--", ":")
_TOP, _HEAD, _PANEL, _FOOT, _LEGEND, _LEFT, _LEGEND_WIDTH = 4, 28, 190, 46, 20, 46, 330


def latency_text(record: Record) -> str:
    """The percentiles that its n supports."""
    parts = [("p50", record.latency_p50_s), ("p99", record.latency_p99_s)]
    return ", ".join(f"{name} {milliseconds(value)} ms" for name, value in parts if value is not None)


def curve_of(samples: Samples) -> Curve:
    """The quantiles that are drawn, in ms: 190 points instead of a million."""
    return np.asarray(np.quantile(samples.duration_s, _QUANTILES) * 1e3, dtype=np.float64)


def draw_distributions(panels: Sequence[Group], curves: Mapping[str, Curve], layout: Layout) -> Figure:
    """Cumulative curves on a logarithmic time axis that all panels share; `curves` by cell id."""
    heights = [_plot_height(panel, layout) for panel in panels]
    legends = [0 if layout.beside else _LEGEND * len(panel.records) + 12 for panel in panels]
    figure = canvas(layout.width_px, _TOP + sum(heights) + sum(legends) + (_HEAD + _FOOT) * len(panels))
    low = max(min(float(curve[1]) for curve in curves.values()), 1e-6)
    # The slowest exchange of all may be a hundred times slower than the rest: the axis ends at the 99.9th percentile.
    high = max(float(curve[np.searchsorted(_QUANTILES, 0.999)]) for curve in curves.values())
    span = (low * 0.9, max(high * 1.1, low * 1.5))
    width = layout.width_px - _LEFT - (_LEGEND_WIDTH if layout.beside else 12)
    y = float(_TOP)
    for panel, height, legend in zip(panels, heights, legends, strict=True):
        write(figure, 0, y + 10, shortened(panel.protocol, 40) or "unknown protocol", MUTED)
        ax = axes(figure, _LEFT, y + _HEAD, width, height)
        _style_axes(ax, *span, most_ticks=8 if layout.beside else 4)
        legend_at = (_LEFT + width + 20, y + _HEAD + 8) if layout.beside else (0, y + _HEAD + height + _FOOT - 2)
        _draw_panel(figure, ax, panel, curves, span[0], legend_at)
        y += _HEAD + height + _FOOT + legend
    return figure


def _plot_height(panel: Group, layout: Layout) -> int:
    return max(_PANEL, _LEGEND * len(panel.records)) if layout.beside else _PANEL


def _draw_panel(
    figure: Figure, ax: Axes, panel: Group, curves: Mapping[str, Curve], low: float, legend_at: tuple[float, float]
) -> None:
    """The curves and their legend; the ceiling is a dotted line in grey."""
    for place, record in enumerate(panel.records):
        colour, dashes = PALETTE[place % len(PALETTE)], _DASHES[place // len(PALETTE) % 2]
        if record.role == Role.CEILING:
            colour, dashes = MUTED, _DASHES[2]
        ax.plot(np.maximum(curves[record.id], low / 2), 100 * _QUANTILES, color=colour, linestyle=dashes, linewidth=1.8)
        x, y = legend_at[0], legend_at[1] + _LEGEND * place
        stroke(figure, x, y, 22, colour, dashes)
        label = f"{shortened(endpoint_name(record), 24)}  {latency_text(record).split(',')[0]}"
        write(figure, x + 30, y, label)


def _style_axes(ax: Axes, low: float, high: float, most_ticks: int) -> None:
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = _ticks(low, high, most_ticks)
    ax.set_xticks(ticks, [f"{tick:g} ms" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_ylim(0, 101)
    ax.set_yticks([0, 50, 90, 99], ["0", "50 %", "90 %", ""])
    ax.grid(color=GRID)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between the bounds: as many as have room, from the finest ladder that keeps to it."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ladders = ([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1])
    for ladder in ladders:
        ticks = [factor * 10.0**power for power in powers for factor in ladder if low <= factor * 10.0**power <= high]
        if len(ticks) <= most:
            break
    return ticks
