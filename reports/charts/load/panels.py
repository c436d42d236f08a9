"""Line charts of cells under load, a panel for each protocol: an endpoint looks the same in every chart."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from bench.contract.records import Record
from reports.charts.canvas import MUTED, NARROW, PALETTE, WIDE, Chart, Layout, chart_of, style
from reports.charts.curves import MARKERS, Line, Panel, Plot, draw_plot
from reports.tables.clean_text import shortened
from reports.tables.load_cells import CellsUnderLoad, Loaded, is_shown, protocols_of

_LABEL_WIDTH = 30  # characters that fit beside a panel

Points = Sequence[tuple[float, float | None, Record]]
"""Points: x, y in seconds, and the record it is of; a point without y is a gap in the line."""


@dataclass(frozen=True, slots=True)
class _Look:
    """How an endpoint looks in every chart."""

    colour: str
    marker: str


def panels_of(
    cells: CellsUnderLoad,
    facets: Sequence[tuple[str, Callable[[Loaded], Points]]],
    label: Callable[[Loaded], str],
    scenarios: Set[str],
) -> tuple[Panel, ...]:
    """A panel for each protocol with a server that has a point in these scenarios; lines without one say why; ceilings last."""
    ceilings = protocols_of(cells.ceilings)
    panels = []
    for protocol, mine in protocols_of(cells.endpoints).items():
        asked = [x for x in mine if scenarios & x.cells.keys()]
        if not any(y for x in asked for _, points in facets for _, y, _ in points(x)):
            continue
        looks = {
            x.name: _Look(PALETTE[n % len(PALETTE)], MARKERS[n // len(PALETTE) % len(MARKERS)]) for n, x in enumerate(mine)
        }
        last = [x for x in ceilings.get(protocol, []) if any(y for _, points in facets for _, y, _ in points(x))]
        lines = []
        for title, points in facets:
            drawn = [(x, points(x)) for x in (*asked, *last)]
            lines.append((title, tuple(_line(x, of, looks.get(x.name), label_of(x, label(x), scenarios)) for x, of in drawn)))
        panels.append(Panel(shortened(protocol, 40) or "unknown protocol", tuple(lines)))
    return tuple(panels)


def label_of(endpoint: Loaded, label: str, scenarios: Set[str]) -> str:
    """An endpoint's `label`, or why nothing is drawn: a verdict that hides its figures, or too few requests for a p99."""
    cells = [record for name, record in endpoint.cells.items() if name in scenarios]
    if not any(map(is_shown, cells)):
        return str(cells[0].verdict) if cells else ""
    return label or ("" if any(record.latency_p99_s for record in cells if is_shown(record)) else "no p99")


def _line(endpoint: Loaded, points: Points, look: _Look | None, label: str) -> Line:
    """One endpoint's line, with y in milliseconds; it is interrupted where a point has no y."""
    spots = [(x, 1e3 * y, not record.verdict.believed) if y and x > 0 else None for x, y, record in points]
    gaps = {sum(each is not None for each in spots[:place]) - 1 for place, point in enumerate(spots) if point is None}
    x, y, doubtful = (tuple(part) for part in zip(*filter(None, spots), strict=True)) if any(spots) else ((), (), ())
    room = _LABEL_WIDTH - (len(label) + 2 if label else 0)
    name = f"{shortened(endpoint.name, room) if look else 'null, the ceiling'}  {label}".rstrip()
    look = look or _Look(MUTED, "")
    return Line(name, look.colour, look.marker, x, y, doubtful, frozenset(gaps))


def values_of(panels: Sequence[Panel], axis: str) -> list[float]:
    """All values on an axis, `x` or `y`."""
    return [value for panel in panels for _, lines in panel.facets for line in lines for value in getattr(line, axis)]


def plot_chart(name: str, title: str, alt: str, plot: Callable[[Layout], Plot]) -> Chart:
    """The chart of what `plot` makes for each layout."""
    with style():
        return chart_of(name, title, alt, *(draw_plot(plot(layout), layout) for layout in (WIDE, NARROW)))
