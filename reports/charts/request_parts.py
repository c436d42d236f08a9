"""Draws where the time of a request goes: encode, wire, serving, model, decode, by differences of measured medians.

The wire is the time that null takes for the same bytes, the model its time in this process without any server; the rest of the
exchange is the serving. If one of the two is unknown, or both are more than the exchange, it is not divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contract.records import Record
from bench.contract.system import Role
from reports.charts.canvas import MUTED, NARROW, PALETTE, WIDE, Chart, Layout, chart_of, few, style
from reports.charts.stacked_bars import Look, Stack, draw_stacks
from reports.tables.names import endpoint_name
from reports.tables.numbers import milliseconds, number
from reports.tables.table import Table

ENCODE, WIRE, SERVING, MODEL, DECODE, WHOLE = "encode", "wire", "serving", "model", "decode", "exchange, undivided"
COLOURS = {ENCODE: PALETTE[4], WIRE: PALETTE[5], SERVING: PALETTE[0], MODEL: PALETTE[2], DECODE: PALETTE[3], WHOLE: MUTED}


@dataclass(frozen=True, slots=True)
class Parts:
    """One cell's time: each part's name and seconds, in the order in which they happen."""

    record: Record
    seconds: tuple[tuple[str, float], ...]

    @property
    def total_s(self) -> float:
        """Seconds from the images to the scores, as a client sees it."""
        return sum(seconds for _, seconds in self.seconds)

    @property
    def text(self) -> str:
        """`1.42 ms, serving 61 %`."""
        serving = dict(self.seconds).get(SERVING)
        share = "" if serving is None else f", serving {number(100 * serving / self.total_s, 2)} %"
        return f"{milliseconds(self.total_s)} ms{share}"


def parts_chart(table: Table) -> Chart | None:
    """Where the time of a request goes, a bar for each cell; None if no cell has a median latency."""
    rows = parts_of(table)
    if not rows:
        return None
    named = [f"{endpoint_name(row.record)} {row.text}" for row in rows]
    alt = f"Where the time of a request goes, {table.title.lower()}: {few(named)}."
    with style():
        drawn = [draw_parts(rows, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"parts-{table.key}", f"{table.title} · where the time goes", alt, *drawn)


def parts_of(table: Table) -> list[Parts]:
    """The parts of each compared cell that has a median latency, fastest first."""
    instruments = [row.record for row in table.instruments]
    wires = {r.protocol: r.latency_p50_s for r in instruments if r.role == Role.CEILING and r.latency_p50_s}
    model_s = next((r.latency_p50_s for r in instruments if r.role == Role.REFERENCE and r.latency_p50_s), None)
    found = [_parts(row.record, wires.get(row.record.protocol), model_s) for row in table.rows if row.record.latency_p50_s]
    return sorted(found, key=lambda parts: (parts.total_s, parts.record.id))


def _parts(record: Record, wire_s: float | None, model_s: float | None) -> Parts:
    whole_s = record.latency_p50_s or 0.0
    inside = [(WHOLE, whole_s)]
    if wire_s is not None and model_s is not None and wire_s + model_s <= whole_s:
        inside = [(WIRE, wire_s), (SERVING, whole_s - wire_s - model_s), (MODEL, model_s)]
    return Parts(record, ((ENCODE, record.encode_s or 0.0), *inside, (DECODE, record.decode_s or 0.0)))


def draw_parts(rows: Sequence[Parts], layout: Layout) -> Figure:
    """Draw a bar of 100 % for each cell; beside it the total time."""
    stacks = [Stack(endpoint_name(row.record), row.text, _shares(row)) for row in rows]
    return draw_stacks(stacks, Look(COLOURS, _mark, hatched=(WHOLE,)), layout)


def _shares(row: Parts) -> tuple[tuple[str, float], ...]:
    return tuple((part, 100 * seconds / row.total_s) for part, seconds in row.seconds)


def _mark(ax: Axes, _: Layout) -> None:
    ax.set_xlim(0, 100)
    ax.set_xticks([0, 25, 50, 75, 100], ["0", "25 %", "50 %", "75 %", "100 %"])
