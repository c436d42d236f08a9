"""Draws latency distributions: the share of exchanges answered within a time, a panel a protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.records import Record, Samples
from reports.figures import GRID, Dashes, Group, Layout
from reports.panels import Curves, draw_panels
from reports.tables import milliseconds

Curve = npt.NDArray[np.float64]

_QUANTILES = np.concatenate([np.linspace(0, 0.99, 150), np.linspace(0.9905, 1, 40)])


def latency_text(record: Record) -> str:
    """The percentiles that its n supports."""
    parts = [("p50", record.latency_p50_s), ("p99", record.latency_p99_s)]
    return ", ".join(f"{name} {milliseconds(value)} ms" for name, value in parts if value is not None)


def curve_of(samples: Samples) -> Curve:
    """The quantiles that are drawn, in ms: 190 points instead of a million."""
    return np.asarray(np.quantile(samples.duration_s, _QUANTILES) * 1e3, dtype=np.float64)


def draw_distributions(panels: Sequence[Group], curves: Mapping[str, Curve], layout: Layout) -> Figure:
    """Cumulative curves on a logarithmic time axis that all panels share; `curves` by cell id."""
    low = max(min(float(curve[1]) for curve in curves.values()), 1e-6)
    # The slowest exchange of all may be a hundred times slower than the rest: the axis ends at the 99.9th percentile.
    high = max(float(curve[np.searchsorted(_QUANTILES, 0.999)]) for curve in curves.values())
    span = (low * 0.9, max(high * 1.1, low * 1.5))

    def plot(ax: Axes, record: Record, colour: str, dashes: Dashes) -> None:
        shown = np.maximum(curves[record.id], span[0] / 2)
        ax.plot(shown, 100 * _QUANTILES, color=colour, linestyle=dashes, linewidth=1.8)

    style = Curves(
        style=lambda ax, most: _style_axes(ax, *span, most_ticks=most),
        plot=plot,
        label=lambda record: latency_text(record).split(",")[0],
    )
    return draw_panels(panels, style, layout)


def _style_axes(ax: Axes, low: float, high: float, most_ticks: int) -> None:
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = log_ticks(low, high, most_ticks)
    ax.set_xticks(ticks, [f"{tick:g} ms" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_ylim(0, 101)
    ax.set_yticks([0, 50, 90, 99], ["0", "50 %", "90 %", ""])
    ax.grid(color=GRID)


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between the bounds: as many as have room, from the finest ladder that keeps to it."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ladders = ([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1])
    for ladder in ladders:
        ticks = [factor * 10.0**power for power in powers for factor in ladder if low <= factor * 10.0**power <= high]
        if len(ticks) <= most:
            break
    return ticks
