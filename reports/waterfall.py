"""Where the time of a request goes: encode, wire, serving, model, decode; by differences of measured medians.

The wire is what null takes for the same bytes, the model what it takes in this process without any server: what is left of
the exchange is the serving. Where the two are more than the whole, the exchange is not divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.contract import Role
from bench.records import Record
from reports.figures import INK, MUTED, PALETTE, Layout, axes, canvas, write
from reports.tables import Table, endpoint_name, milliseconds, number
from reports.text import shortened

ENCODE, WIRE, SERVING, MODEL, DECODE, WHOLE = "encode", "wire", "serving", "model", "decode", "exchange, undivided"
COLOURS = {ENCODE: PALETTE[4], WIRE: PALETTE[5], SERVING: PALETTE[0], MODEL: PALETTE[2], DECODE: PALETTE[3], WHOLE: MUTED}
_TOP, _LEGEND, _FOOT, _THICK, _CHAR = 4, 30, 30, 14, 7.2


@dataclass(frozen=True, slots=True)
class Parts:
    """One cell: seconds by part, in the order in which they pass."""

    record: Record
    seconds: tuple[tuple[str, float], ...]

    @property
    def total_s(self) -> float:
        """From the images to the scores, as a client sees it."""
        return sum(seconds for _, seconds in self.seconds)

    @property
    def text(self) -> str:
        """`1.42 ms, serving 61 %`."""
        serving = dict(self.seconds).get(SERVING)
        share = "" if serving is None else f", serving {number(100 * serving / self.total_s, 2)} %"
        return f"{milliseconds(self.total_s)} ms{share}"


def parts_of(table: Table) -> list[Parts]:
    """Of each compared cell with a median, fastest first."""
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
    """A bar of 100 % a cell; beside it the whole time."""
    height = 24 if layout.beside else 42
    shown = [part for part in COLOURS if any(part in dict(row.seconds) for row in rows)]
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
        _swatch(figure, x, y, COLOURS[part])
        write(figure, x + 18, y, part, MUTED)
    ax = axes(figure, left, _TOP + legend, layout.width_px - left - right, height * len(rows))
    ax.set_xlim(0, 100)
    ax.set_ylim(height * len(rows), 0)
    ax.set_yticks([])
    ax.set_xticks([0, 25, 50, 75, 100], ["0", "25 %", "50 %", "75 %", "100 %"])
    ax.grid(axis="x")
    for place, row in enumerate(rows):
        y = place * height
        middle = y + (12 if layout.beside else 27)
        begin = 0.0
        for part, seconds in row.seconds:
            width = 100 * seconds / row.total_s
            hatch = "/////" if part == WHOLE else ""
            face = "none" if hatch else COLOURS[part]
            box = (begin, middle - _THICK / 2)
            ax.add_patch(Rectangle(box, width, _THICK, facecolor=face, edgecolor=COLOURS[part], hatch=hatch, linewidth=0.5))
            begin += width
        if layout.beside:
            write(figure, left - 10, _TOP + legend + y + 12, _name(row, layout), align="right")
            write(figure, layout.width_px - right + 10, _TOP + legend + middle, row.text)
        else:
            write(figure, 0, _TOP + legend + y + 10, _name(row, layout))
            write(figure, layout.width_px - 4, _TOP + legend + y + 10, row.text, INK, align="right")
    return figure


def _name(row: Parts, layout: Layout) -> str:
    return shortened(endpoint_name(row.record), 34 if layout.beside else 20)


def _swatch(figure: Figure, x: float, y: float, colour: str) -> None:
    width, height = figure.get_size_inches() * 72
    place = (x / width, 1 - (y + 5) / height)
    figure.add_artist(
        Rectangle(place, 12 / width, 10 / height, facecolor=colour, edgecolor="none", transform=figure.transFigure)
    )
