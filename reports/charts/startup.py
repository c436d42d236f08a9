"""Draws the start of each backend as a bar of its steps, on one axis of seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.charts.canvas import NARROW, PALETTE, WIDE, Chart, Layout, chart_of, few, style
from reports.charts.stacked_bars import Look, Stack, draw_stacks
from reports.tables.numbers import seconds

LAUNCH, PORT, READY, ANSWER, WARM = "launched", "port open", "says ready", "first answer", "warm"
COLOURS = {LAUNCH: PALETTE[6], PORT: PALETTE[5], READY: PALETTE[3], ANSWER: PALETTE[0], WARM: PALETTE[4]}


@dataclass(frozen=True, slots=True)
class Timeline:
    """One backend's start: when its steps ended (medians), in their order, in seconds since the start was ordered."""

    backend: str
    ends: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """`0.712 s, warm 0.745 s`."""
        ends = dict(self.ends)
        warm = f", warm {seconds(ends[WARM])} s" if WARM in ends else ""
        return f"{seconds(ends[ANSWER])} s{warm}"

    @property
    def steps(self) -> tuple[tuple[str, float], ...]:
        """Seconds from the end of the step before to the end of each step, 0 if it ended earlier."""
        lengths, reached_s = [], 0.0
        for step, end_s in self.ends:
            lengths.append((step, max(0.0, end_s - reached_s)))
            reached_s = max(reached_s, end_s)
        return tuple(lengths)


def timeline_chart(timelines: Sequence[Timeline]) -> Chart | None:
    """How each backend starts, step by step; None if no start led to an answer."""
    if not timelines:
        return None
    named = [f"{timeline.backend} {timeline.text}" for timeline in timelines]
    alt = f"Seconds from the order to the first right answer, and until warm: {few(named)}."
    with style():
        drawn = [draw_timelines(timelines, layout) for layout in (WIDE, NARROW)]
        return chart_of("startup", "Start-up, step by step", alt, *drawn)


def draw_timelines(rows: Sequence[Timeline], layout: Layout) -> Figure:
    """Draw a bar for each backend, divided into steps; beside it the times of its first answer and of being warm."""
    end_s = max(sum(seconds for _, seconds in row.steps) for row in rows)

    def mark(ax: Axes, layout: Layout) -> None:
        ax.set_xlim(0, 1.02 * end_s or 1.0)
        ax.locator_params(axis="x", nbins=7 if layout.beside else 4)
        ax.xaxis.set_major_formatter(_tick)

    return draw_stacks([Stack(row.backend, row.text, row.steps) for row in rows], Look(COLOURS, mark), layout)


def _tick(value: float, _position: object) -> str:
    return f"{value:g} s" if value else "0"
