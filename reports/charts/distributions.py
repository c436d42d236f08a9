"""Draws latency distributions: the share of exchanges answered within a time, a panel for each protocol."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contract.records import Record, Samples
from reports.charts.canvas import GRID, NARROW, WIDE, Chart, Dashes, Group, Layout, chart_of, few, style
from reports.charts.panels import Curves, draw_panels
from reports.charts.speed import panels_of
from reports.charts.ticks import log_ticks
from reports.tables.names import endpoint_name
from reports.tables.numbers import milliseconds
from reports.tables.table import Table

Curve = npt.NDArray[np.float64]

_QUANTILES = np.concatenate([np.linspace(0, 0.99, 150), np.linspace(0.9905, 1, 40)])


def latency_chart(table: Table, samples: Mapping[str, Samples], colours: Mapping[str, str]) -> Chart | None:
    """The share of exchanges answered within a time, a panel for each protocol; None if no server's cell has samples."""
    panels = panels_of(table, samples, colours)
    if not panels:
        return None
    curves = {r.id: curve_of(samples[r.id]) for group in panels for r in group.records}
    named = [f"{endpoint_name(r)} {latency_text(r)}" for group in panels for r in group.records]
    alt = f"Latency distributions, {table.title.lower()}, a panel a protocol: {few(named)}."
    title = f"{table.title} · latency of an exchange"
    with style():
        drawn = [draw_distributions(panels, curves, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"latency-{table.key}", title, alt, *drawn)


def latency_text(record: Record) -> str:
    """`p50 1.23 ms, p99 2.34 ms`: those of the two that the number of samples supports."""
    parts = [("p50", record.latency_p50_s), ("p99", record.latency_p99_s)]
    return ", ".join(f"{name} {milliseconds(value)} ms" for name, value in parts if value is not None)


def curve_of(samples: Samples) -> Curve:
    """The quantiles that are drawn, in ms: 190 points instead of a million."""
    return np.asarray(np.quantile(samples.duration_s, _QUANTILES) * 1e3, dtype=np.float64)


def draw_distributions(panels: Sequence[Group], curves: Mapping[str, Curve], layout: Layout) -> Figure:
    """Draw cumulative curves on a logarithmic time axis that all panels share; `curves` by cell id."""
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
