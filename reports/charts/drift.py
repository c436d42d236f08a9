"""Draws each cell's latency over the campaign, so that a reader sees drift, and which cells were disturbed when."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contract.records import Record, Samples
from reports.charts.canvas import GRID, NARROW, WIDE, Chart, Dashes, Group, Layout, chart_of, style
from reports.charts.panels import Curves, draw_panels
from reports.charts.speed import panels_of
from reports.tables.numbers import number
from reports.tables.table import Table

Floats = npt.NDArray[np.float64]

PARTS = 40
"""Number of equal parts into which a campaign is divided."""

_WIDEST, _NARROWEST = 8.0, 1.35  # above 1.25, so that no label of the y axis stands in the corner of the x axis


def trace_chart(table: Table, samples: Mapping[str, Samples], colours: Mapping[str, str]) -> Chart | None:
    """Each cell's latency over the campaign, a panel for each protocol; None if no server has samples of several rounds."""
    several = {name: kept for name, kept in samples.items() if kept.round_index.size and kept.round_index.max() > 0}
    panels = panels_of(table, several, colours)
    if not panels:
        return None
    alt = f"Latency through the campaign, relative to each cell's own median, {table.title.lower()}, a panel a protocol."
    with style():
        drawn = [draw_traces(panels, several, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"rounds-{table.key}", f"{table.title} · latency through the campaign", alt, *drawn)


def trace_of(samples: Samples, rounds: int) -> tuple[Floats, Floats]:
    """Middle of each part in % of the campaign, and its median over the cell's own, both [parts]; without empty parts."""
    overall = float(np.median(samples.duration_s))
    part_index = np.minimum(samples.round_index * PARTS // max(rounds, 1), PARTS - 1)
    parts = np.unique(part_index)
    medians = [float(np.median(samples.duration_s[part_index == part])) for part in parts]
    return (parts + 0.5) * 100 / PARTS, np.array(medians) / overall


def swing(samples: Samples, rounds: int) -> str:
    """`× 1.3`: the median latency of the slowest part over that of the fastest one."""
    _, relative = trace_of(samples, rounds)
    return f"× {number(float(relative.max() / relative.min()), 2)}"


def draw_traces(panels: Sequence[Group], samples: Mapping[str, Samples], layout: Layout) -> Figure:
    """Draw a panel for each protocol: latency relative to each cell's own median, against % of the campaign."""
    rounds = 1 + max(int(samples[r.id].round_index.max(initial=0)) for panel in panels for r in panel.records)
    traces = {r.id: trace_of(samples[r.id], rounds) for panel in panels for r in panel.records}
    widest = max(float(np.exp(np.abs(np.log(relative)).max())) for _, relative in traces.values())
    bound = min(max(widest * 1.05, _NARROWEST), _WIDEST)

    def plot(ax: Axes, record: Record, colour: str, dashes: Dashes) -> None:
        ax.plot(*traces[record.id], color=colour, linestyle=dashes, linewidth=1.4)

    return draw_panels(
        panels,
        Curves(lambda ax, most: _style_axes(ax, bound, most), plot, lambda record: swing(samples[record.id], rounds)),
        layout,
    )


def _style_axes(ax: Axes, bound: float, most_ticks: int) -> None:
    ax.set_xlim(0, 100)
    ticks = [0, 25, 50, 75, 100] if most_ticks > 4 else [0, 50, 100]
    ax.set_xticks(ticks, [f"{tick} %" for tick in ticks])
    ax.set_yscale("log")
    ax.set_ylim(1 / bound, bound)
    shown = [value for value in (0.25, 0.5, 0.8, 1, 1.25, 2, 4) if 1 / bound <= value <= bound]
    ax.set_yticks(shown, [f"× {value:g}" for value in shown])
    ax.set_yticks([], minor=True)
    ax.grid(color=GRID)
