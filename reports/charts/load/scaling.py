"""Throughput by the number of CPUs: a line an endpoint, a panel a protocol; thin lines rise where each CPU adds the same."""

from collections.abc import Mapping, Sequence

from bench.contract.records import Record
from reports.charts.canvas import MUTED, PALETTE, Chart, few
from reports.charts.curves import MARKERS, Guide, Line, Panel, Plot
from reports.charts.load.panels import plot_chart
from reports.charts.ticks import Axis, log_axis
from reports.tables.clean_text import shortened
from reports.tables.load_cells import CellsUnderLoad, Loaded, is_shown, protocols_of
from reports.tables.numbers import number

_GUIDED = "each thin line: every CPU worth the same"
_NAME = 24  # characters that have room beside a panel and a figure


def scaling_chart(cells: CellsUnderLoad) -> Chart | None:
    """None where no endpoint has a speed on two numbers of CPUs; of several sizes of request the smallest is drawn."""
    ceilings = protocols_of(cells.ceilings)
    drawn = [x for x in (*cells.endpoints, *cells.ceilings) if by_cpus(x)]
    counts = sorted({cpus for x in drawn for cpus in by_cpus(x)})
    if not any(len(by_cpus(x)) > 1 for x in cells.endpoints):
        return None
    panels = tuple(
        Panel(shortened(protocol, 40) or "unknown protocol", ((_GUIDED, _lines(mine, ceilings.get(protocol, []), counts[-1])),))
        for protocol, mine in protocols_of([x for x in cells.endpoints if by_cpus(x)]).items()
    )
    named = [f"{x.name} {_ends(by_cpus(x))}" for x in cells.endpoints if by_cpus(x)]
    alt = f"Images a second on {counts[0]} to {counts[-1]} CPUs, a panel a protocol: {few(named)}."
    y = log_axis([value for panel in panels for _, lines in panel.facets for line in lines for value in line.y], "/s", 8)
    marks = tuple((float(cpus), _cpus(cpus)) for cpus in counts)
    plot = Plot(panels, Axis(0.9 * counts[0], 1.15 * counts[-1], marks), y, _guides(counts, y))
    return plot_chart("scaling", "Throughput by the number of CPUs", alt, lambda _: plot)


def by_cpus(endpoint: Loaded) -> Mapping[int, Record]:
    """Its cells that have a figure to show, with the smallest requests, by number of CPUs, ascending."""
    cells = [record for record in endpoint.cells.values() if record.cpus and record.images_per_s and is_shown(record)]
    smallest = min((record.batch_size for record in cells), default=1)
    mine = sorted((r for r in cells if r.batch_size == smallest), key=lambda record: record.cpus or 0)
    return {record.cpus or 0: record for record in mine}


def _lines(endpoints: Sequence[Loaded], ceilings: Sequence[Loaded], most: int) -> tuple[Line, ...]:
    lines = [
        _line(x, most, shortened(x.name, _NAME), PALETTE[n % len(PALETTE)], MARKERS[n // len(PALETTE) % len(MARKERS)])
        for n, x in enumerate(endpoints)
    ]
    return (*lines, *(_line(x, most, "null, the ceiling", MUTED, "") for x in ceilings if by_cpus(x)))


def _line(endpoint: Loaded, most: int, name: str, colour: str, marker: str) -> Line:
    """Labelled with where it ends: its speed, and on how many CPUs where others had more."""
    cells = by_cpus(endpoint)
    speeds = tuple(record.images_per_s or 0.0 for record in cells.values())
    doubtful = tuple(not record.verdict.believed for record in cells.values())
    last = list(cells)[-1]
    ends = f"{number(speeds[-1])}/s" + ("" if last == most else f" on {_cpus(last)}")
    return Line(f"{name}  {ends}", colour, marker, tuple(map(float, cells)), speeds, doubtful)


def _guides(counts: Sequence[int], y: Axis) -> tuple[Guide, ...]:
    """Through each mark of the speeds at the fewest CPUs, as far as the panel goes."""
    first, last = counts[0], counts[-1]
    ends = [(speed / first, min(last, first * y.high / speed)) for speed, _ in y.marks]
    return tuple(Guide("", (first, end), (each * first, each * end)) for each, end in ends if end > first)


def _cpus(count: int) -> str:
    return f"{count} CPU{'s' * (count > 1)}"


def _ends(cells: Mapping[int, Record]) -> str:
    speeds = [number(record.images_per_s) for record in cells.values()]
    return f"{speeds[0]}/s" if len(speeds) == 1 else f"{speeds[0]} to {speeds[-1]}/s"
