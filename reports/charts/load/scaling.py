"""Throughput by the number of CPUs, or of replicas: a line for each endpoint, a panel for each protocol.

Thin lines show linear scaling: each CPU or replica adds the same.
"""

from collections.abc import Mapping, Sequence

from bench.contract.records import Record
from reports.charts.canvas import MUTED, PALETTE, Chart, few
from reports.charts.curves import MARKERS, Guide, Line, Panel, Plot
from reports.charts.load.panels import plot_chart
from reports.charts.ticks import Axis, log_axis
from reports.tables.clean_text import shortened
from reports.tables.load_cells import CellsUnderLoad, Loaded, protocols_of
from reports.tables.numbers import number
from reports.tables.sweeps import Sweep

_NAME = 24  # characters of a name that fit beside a panel, with a figure


def scaling_chart(cells: CellsUnderLoad, sweep: Sweep) -> Chart | None:
    """Throughput by number, of the smallest request size; None if no endpoint has a speed for two numbers."""
    ceilings = protocols_of(cells.ceilings)
    drawn = [x for x in (*cells.endpoints, *cells.ceilings) if sweep.shown(x)]
    endpoints = [x for x in cells.endpoints if sweep.shown(x)]
    counts = sorted({count for x in drawn for count in sweep.shown(x)})
    if not any(len(sweep.shown(x)) > 1 for x in endpoints):
        return None
    guided = f"each thin line: every {sweep.noun} worth the same"
    panels = tuple(
        Panel(
            shortened(protocol, 40) or "unknown protocol",
            ((guided, _lines(sweep, mine, ceilings.get(protocol, []), counts[-1])),),
        )
        for protocol, mine in protocols_of(endpoints).items()
    )
    named = [f"{x.name} {_ends(sweep.shown(x))}" for x in endpoints]
    alt = f"Images a second {sweep.preposition} {counts[0]} to {counts[-1]} {sweep.noun}s, a panel a protocol: {few(named)}."
    y = log_axis([value for panel in panels for _, lines in panel.facets for line in lines for value in line.y], "/s", 8)
    marks = tuple((float(count), sweep.title(count)) for count in counts)
    plot = Plot(panels, Axis(0.9 * counts[0], 1.15 * counts[-1], marks), y, _guides(counts, y))
    return plot_chart(sweep.kind, f"Throughput by the number of {sweep.noun}s", alt, lambda _: plot)


def _lines(sweep: Sweep, endpoints: Sequence[Loaded], ceilings: Sequence[Loaded], most: int) -> tuple[Line, ...]:
    lines = [
        _line(sweep, x, most, shortened(x.name, _NAME), PALETTE[n % len(PALETTE)], MARKERS[n // len(PALETTE) % len(MARKERS)])
        for n, x in enumerate(endpoints)
    ]
    return (*lines, *(_line(sweep, x, most, "null, the ceiling", MUTED, "") for x in ceilings if sweep.shown(x)))


def _line(sweep: Sweep, endpoint: Loaded, most: int, name: str, colour: str, marker: str) -> Line:
    """One endpoint's line, labelled with its last speed, and with the number it belongs to if that is not `most`."""
    cells = sweep.shown(endpoint)
    speeds = tuple(record.images_per_s or 0.0 for record in cells.values())
    doubtful = tuple(not record.verdict.believed for record in cells.values())
    last = list(cells)[-1]
    ends = f"{number(speeds[-1])}/s" + ("" if last == most else f" {sweep.preposition} {sweep.title(last)}")
    return Line(f"{name}  {ends}", colour, marker, tuple(map(float, cells)), speeds, doubtful)


def _guides(counts: Sequence[int], y: Axis) -> tuple[Guide, ...]:
    """Lines of linear scaling that begin at the lowest number, at each tick of y, and go as far as the panel does."""
    first, last = counts[0], counts[-1]
    ends = [(speed / first, min(last, first * y.high / speed)) for speed, _ in y.marks]
    return tuple(Guide("", (first, end), (each * first, each * end)) for each, end in ends if end > first)


def _ends(cells: Mapping[int, Record]) -> str:
    speeds = [number(record.images_per_s) for record in cells.values()]
    return f"{speeds[0]}/s" if len(speeds) == 1 else f"{speeds[0]} to {speeds[-1]}/s"
