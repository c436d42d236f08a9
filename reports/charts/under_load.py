"""The pictures of what was measured under load: which points and lines, in which words; how a line looks is drawn elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Arrival
from bench.statistics.histogram import percentile_curve
from reports.charts.bars import draw_bars
from reports.charts.canvas import MUTED, NARROW, PALETTE, WIDE, Chart, Group, Layout, style
from reports.charts.curves import MARKERS, Axis, Guide, Line, Panel, Plot, draw_plot, log_axis
from reports.charts.speed import chart_of, few
from reports.sections.under_load import LoadSection, clients_title, level_title, limit_text
from reports.tables.clean_text import shortened
from reports.tables.load_cells import (
    Loaded,
    concurrencies,
    equal_load,
    has_latency,
    is_shown,
    levels_of,
    limits_of,
    protocols_of,
)
from reports.tables.tables import milliseconds, number

_LABEL_WIDTH = 30  # characters that have room beside a panel
_NINES = ((0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"))

Points = Sequence[tuple[float, float | None, Record]]
"""x, y in seconds, and whose point it is; a point without y is a gap."""


@dataclass(frozen=True, slots=True)
class _Look:
    """How an endpoint looks in every picture."""

    colour: str
    marker: str


def load_charts(section: LoadSection, colours: Mapping[str, str]) -> dict[str, Chart]:
    """By name; what the run has no points for is left out. `colours` by protocol, for the bars."""
    if not section.endpoints:
        return {}
    with style():
        drawn = {
            "load-clients": _clients(section),
            "load-percentiles": _percentiles(section),
            "load-levels": _levels(section),
            **{f"load-{name}": _limit(name, section.endpoints, colours) for name in limits_of(section.endpoints)},
        }
    return {name: chart for name, chart in drawn.items() if chart is not None}


def _clients(section: LoadSection) -> Chart | None:
    """Latency against throughput: a point for each number of clients."""
    facets: tuple[tuple[str, Callable[[Record], float | None]], ...] = (
        ("p50; each thin line a number of clients", lambda record: record.latency_p50_s),
        ("p99", lambda record: record.latency_p99_s),
    )

    def points(endpoint: Loaded, of: Callable[[Record], float | None]) -> Points:
        swept = endpoint.clients.values()
        return [(record.images_per_s or 0.0, of(record) if is_shown(record) else None, record) for record in swept]

    def label(endpoint: Loaded) -> str:
        known = any(is_shown(record) and record.latency_p99_s for record in endpoint.clients.values())
        return f"{number(endpoint.reached)}/s" + ("" if known else ", no p99") if endpoint.clients else ""

    swept = {record.scenario for x in section.endpoints for record in x.clients.values()}
    panels = _panels(section, [(title, partial(points, of=of)) for title, of in facets], label, swept)
    if not panels:
        return None
    numbers = concurrencies(section.endpoints)
    shown = f"{numbers[0]} to {clients_title(numbers[-1])}"
    named = [f"{x.name} {_label(x, label(x), swept)}" for x in section.endpoints if x.clients]
    alt = f"Latency against throughput with {shown}, a panel a protocol; requests per second with most of them: {few(named)}."

    def plot(layout: Layout) -> Plot:
        x = log_axis(_all(panels, "x"), "/s", 5 if layout.beside else 4, room=1.5)
        y = log_axis(_all(panels, "y"), " ms", 10)
        guides = [_guide(clients, x, y) for clients in numbers]
        return Plot(panels, x, y, tuple(guide for guide in guides if guide is not None))

    return _chart("load-clients", f"Latency against throughput, {shown}", alt, plot)


def _guide(clients: int, x: Axis, y: Axis) -> Guide | None:
    """Where the mean latency of so many clients must lie (Little's law: clients = throughput x latency), within the axes."""
    left, right = max(x.low, 1e3 * clients / y.high), min(x.high, 1e3 * clients / y.low)
    if right <= left:
        return None
    return Guide(str(clients), (left, right), (1e3 * clients / left, 1e3 * clients / right))


def _percentiles(section: LoadSection) -> Chart | None:
    """The whole tail at equal load, from the histograms."""
    level = equal_load(section.endpoints)
    if level is None:
        return None

    def points(endpoint: Loaded) -> Points:
        record = endpoint.cells.get(level.scenario)
        if record is None or not is_shown(record) or not record.latency_hdr:
            return []
        try:
            percentiles, seconds = percentile_curve(record.latency_hdr)
        except ValueError:  # a damaged text must not cost the others their picture
            return []
        return [(_nines(float(p)), float(s), record) for p, s in zip(percentiles, seconds, strict=True)]

    def label(endpoint: Loaded) -> str:
        record = endpoint.cells.get(level.scenario)
        return f"p99 {milliseconds(record.latency_p99_s)} ms" if has_latency(record) and record and record.latency_p99_s else ""

    title = f"{level.arrival.capitalize()} arrivals at {level_title(level)} of each one's own peak"
    panels = _panels(section, [("", points)], label, {level.scenario})
    if not panels:
        return None
    named = [f"{x.name} {text}" for x in section.endpoints if (text := _label(x, label(x), {level.scenario}))]
    alt = f"Percentiles of latency, {title}, a panel a protocol: {few(named)}."
    ends = max(_all(panels, "x"))
    marks = tuple((_nines(at), text) for at, text in _NINES if _nines(at) <= ends * 1.02)
    x = Axis(_nines(0.5), max(ends, marks[-1][0]) * 1.02, marks, logarithmic=False)
    plot = Plot(panels, x, log_axis(_all(panels, "y"), " ms", 10))
    return _chart("load-percentiles", f"Percentiles of latency · {title}", alt, lambda _: plot)


def _nines(percentile: float) -> float:
    """Where a percentile (0 to 1) stands on an axis on which each further nine takes as much room: 90 % at 1, 99 % at 2."""
    return -math.log10(1 - percentile)


def _levels(section: LoadSection) -> Chart | None:
    """The tail against the part of each one's own peak that is offered."""
    levels = [level for level in levels_of(section.endpoints) if level.of_peak and level.arrival is Arrival.POISSON]
    if len(levels) < 2:
        return None

    def points(endpoint: Loaded) -> Points:
        found = [(100 * level.value, endpoint.cells.get(level.scenario)) for level in levels]
        return [(at, cell.latency_p99_s if has_latency(cell) else None, cell) for at, cell in found if cell is not None]

    panels = _panels(section, [("", points)], lambda _: "", {level.scenario for level in levels})
    if not any(len(line.x) > 1 for panel in panels for _, lines in panel.facets for line in lines):
        return None  # single points are no curve
    first, last = levels[0], levels[-1]
    alt = f"p99 of latency at {level_title(first)} to {level_title(last)} of each one's own peak, a panel a protocol."
    room = 0.04 * (last.value - first.value)
    marks = tuple((100 * level.value, f"{level_title(level)}") for level in levels)
    x = Axis(100 * (first.value - room), 100 * (last.value + room), marks, logarithmic=False)
    plot = Plot(panels, x, log_axis(_all(panels, "y"), " ms", 10))
    return _chart("load-levels", "p99 by the part of its own peak that is offered, Poisson arrivals", alt, lambda _: plot)


def _limit(scenario: str, endpoints: Sequence[Loaded], colours: Mapping[str, str]) -> Chart | None:
    """Bars of the highest rate under a limit; the whisker is the search's bracket."""
    groups = []
    for protocol, mine in protocols_of(endpoints).items():
        cells = [x.cells[scenario] for x in mine if scenario in x.cells]
        # A generator that fell behind found no rate of the server's.
        cells = [record if is_shown(record) else replace(record, images_per_s=None) for record in cells]
        cells.sort(key=lambda record: -(record.images_per_s or 0.0))
        if cells:
            groups.append(Group(protocol, tuple(cells), None, colours.get(protocol, PALETTE[0])))
    if not groups:
        return None
    limit = limit_text(groups[0].records[0])
    named = [f"{r.backend}-{r.endpoint} {rate_text(r)}" for group in groups for r in group.records]
    alt = f"Bar chart of the highest rate with p99 under {limit}: {few(named)}."
    drawn = [draw_bars(groups, layout, rate_text) for layout in (WIDE, NARROW)]
    return chart_of(f"load-{scenario}", f"Highest rate with p99 under {limit}", alt, *drawn)


def rate_text(record: Record) -> str:
    """What stands beside a bar: the rate, and the verdict if it is not VALID."""
    rate = "none held it" if record.images_per_s == 0 else f"{number(record.images_per_s)}/s" if record.images_per_s else ""
    verdict = "" if record.verdict == Verdict.VALID else str(record.verdict)
    return "  ".join(text for text in (rate, verdict) if text) or "no rate"


def _panels(
    section: LoadSection,
    facets: Sequence[tuple[str, Callable[[Loaded], Points]]],
    label: Callable[[Loaded], str],
    scenarios: Set[str],
) -> tuple[Panel, ...]:
    """The protocols with a server that has a point in one of these scenarios; who has none says why; ceilings last."""
    ceilings = protocols_of(section.ceilings)
    panels = []
    for protocol, mine in protocols_of(section.endpoints).items():
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
            lines.append((title, tuple(_line(x, of, looks.get(x.name), _label(x, label(x), scenarios)) for x, of in drawn)))
        panels.append(Panel(shortened(protocol, 40) or "unknown protocol", tuple(lines)))
    return tuple(panels)


def _label(endpoint: Loaded, label: str, scenarios: Set[str]) -> str:
    """What is known of it, or why nothing is drawn: a verdict that takes its figures away, or too few requests for a p99."""
    cells = [record for name, record in endpoint.cells.items() if name in scenarios]
    if not any(map(is_shown, cells)):
        return str(cells[0].verdict) if cells else ""
    return label or ("" if any(record.latency_p99_s for record in cells if is_shown(record)) else "no p99")


def _line(endpoint: Loaded, points: Points, look: _Look | None, label: str) -> Line:
    """Seconds become milliseconds; no line leads over a point that there is none of."""
    known = [(x, 1e3 * y, record.verdict != Verdict.VALID) if y and x > 0 else None for x, y, record in points]
    gaps = {sum(each is not None for each in known[:place]) - 1 for place, point in enumerate(known) if point is None}
    x, y, doubtful = (tuple(part) for part in zip(*filter(None, known), strict=True)) if any(known) else ((), (), ())
    room = _LABEL_WIDTH - (len(label) + 2 if label else 0)
    name = f"{shortened(endpoint.name, room) if look else 'null, the ceiling'}  {label}".rstrip()
    look = look or _Look(MUTED, "")
    return Line(name, look.colour, look.marker, x, y, doubtful, frozenset(gaps))


def _all(panels: Sequence[Panel], axis: str) -> list[float]:
    return [value for panel in panels for _, lines in panel.facets for line in lines for value in getattr(line, axis)]


def _chart(name: str, title: str, alt: str, plot: Callable[[Layout], Plot]) -> Chart:
    return chart_of(name, title, alt, *(draw_plot(plot(layout), layout) for layout in (WIDE, NARROW)))
