"""Draws the start of each backend as a bar of its steps, on one axis of seconds."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts.canvas import PALETTE, Layout
from reports.charts.stacked_bars import Look, Stack, draw_stacks
from reports.sections.startup import ANSWER, LAUNCH, PORT, READY, WARM, Timeline

COLOURS = {LAUNCH: PALETTE[6], PORT: PALETTE[5], READY: PALETTE[3], ANSWER: PALETTE[0], WARM: PALETTE[4]}


def draw_timelines(rows: Sequence[Timeline], layout: Layout) -> Figure:
    """A bar for each backend, in steps; beside it when its first answer came and when it was warm."""
    end_s = max(sum(seconds for _, seconds in row.steps) for row in rows)

    def mark(ax: Axes, layout: Layout) -> None:
        ax.set_xlim(0, 1.02 * end_s or 1.0)
        ax.locator_params(axis="x", nbins=7 if layout.beside else 4)
        ax.xaxis.set_major_formatter(_tick)

    return draw_stacks([Stack(row.backend, row.text, row.steps) for row in rows], Look(COLOURS, mark), layout)


def _tick(value: float, _position: object) -> str:
    return f"{value:g} s" if value else "0"
