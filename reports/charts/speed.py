"""The pictures of a report: tables and samples in, SVG and PNG out; what a bar or a curve looks like is drawn elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from bench.contract.records import Samples
from bench.contract.system import Role
from reports.charts.bars import bar_text, draw_bars
from reports.charts.canvas import FRAMED, NARROW, PALETTE, WIDE, Chart, Group, png_bytes, style, svg_bytes, svg_element, write
from reports.charts.distributions import curve_of, draw_distributions, latency_text
from reports.charts.drift import draw_traces
from reports.charts.request_parts import draw_parts, parts_of
from reports.charts.startup import draw_timelines
from reports.sections.startup import StartSection
from reports.tables.tables import Table, endpoint_name


def bar_chart(table: Table, colours: Mapping[str, str]) -> Chart | None:
    """Images/s of one scenario, grouped by protocol; None if there is no cell to show. `colours` by protocol."""
    groups = _groups(table, colours)
    if not groups:
        return None
    named = [f"{endpoint_name(r)} {bar_text(r)}" for group in groups for r in group.records]
    alt = f"Bar chart of images per second, {table.title.lower()}: {few(named)}."
    title = f"{table.title} · images per second"
    with style():
        return chart_of(f"throughput-{table.scenario}", title, alt, draw_bars(groups, WIDE), draw_bars(groups, NARROW))


def latency_chart(table: Table, samples: Mapping[str, Samples], colours: Mapping[str, str]) -> Chart | None:
    """The share of exchanges answered within a time, a panel a protocol; None if no cell has samples."""
    panels = _panels(table, samples, colours)
    if not panels:
        return None
    curves = {r.id: curve_of(samples[r.id]) for group in panels for r in group.records}
    named = [f"{endpoint_name(r)} {latency_text(r)}" for group in panels for r in group.records]
    alt = f"Latency distributions, {table.title.lower()}, a panel a protocol: {few(named)}."
    title = f"{table.title} · latency of an exchange"
    with style():
        drawn = [draw_distributions(panels, curves, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"latency-{table.scenario}", title, alt, *drawn)


def trace_chart(table: Table, samples: Mapping[str, Samples], colours: Mapping[str, str]) -> Chart | None:
    """How each cell went through the campaign, a panel a protocol; None if no cell has samples of several rounds."""
    several = {name: kept for name, kept in samples.items() if kept.round_index.size and kept.round_index.max() > 0}
    panels = _panels(table, several, colours)
    if not panels:
        return None
    alt = f"Latency through the campaign, relative to each cell's own median, {table.title.lower()}, a panel a protocol."
    with style():
        drawn = [draw_traces(panels, several, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"rounds-{table.scenario}", f"{table.title} · latency through the campaign", alt, *drawn)


def parts_chart(table: Table) -> Chart | None:
    """Where the time of a request goes; None if no cell has a median."""
    rows = parts_of(table)
    if not rows:
        return None
    named = [f"{endpoint_name(row.record)} {row.text}" for row in rows]
    alt = f"Where the time of a request goes, {table.title.lower()}: {few(named)}."
    with style():
        drawn = [draw_parts(rows, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"parts-{table.scenario}", f"{table.title} · where the time goes", alt, *drawn)


def start_chart(section: StartSection) -> Chart | None:
    """How each backend starts, step by step; None if no start came to an answer."""
    if not section.timelines:
        return None
    named = [f"{line.backend} {line.text}" for line in section.timelines]
    alt = f"Seconds from the order to the first right answer, and until warm: {few(named)}."
    with style():
        drawn = [draw_timelines(section.timelines, layout) for layout in (WIDE, NARROW)]
        return chart_of("startup", "Start-up, step by step", alt, *drawn)


def protocol_colours(tables: Sequence[Table]) -> dict[str, str]:
    """One colour a protocol, the same in every chart of a report."""
    protocols = sorted({row.record.protocol for table in tables for row in table.rows})
    return {protocol: PALETTE[n % len(PALETTE)] for n, protocol in enumerate(protocols)}


def chart_of(name: str, title: str, alt: str, wide: Figure, narrow: Figure) -> Chart:
    """A drawn picture in all its forms; call it within `style`."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in name)[:80]
    elements = svg_element(svg_bytes(wide), f"{name}-w"), svg_element(svg_bytes(narrow), f"{name}-n")
    # In the page the heading above it is its title; a file of its own needs one, and some air around.
    write(wide, 0, -16, title, bold=True)
    return Chart(name, title, alt, svg_bytes(wide, FRAMED), png_bytes(wide, FRAMED), *elements)


def _panels(table: Table, samples: Mapping[str, Samples], colours: Mapping[str, str]) -> list[Group]:
    """The protocols with a server that has samples, their ceilings included."""
    panels = []
    for group in _groups(table, colours, with_ceiling=True):
        records = tuple(r for r in group.records if r.id in samples and samples[r.id].duration_s.size)
        if any(record.role == Role.SERVER for record in records):
            panels.append(replace(group, records=records))
    return panels


def _groups(table: Table, colours: Mapping[str, str], *, with_ceiling: bool = False) -> list[Group]:
    """The compared cells by protocol, in the table's order; with the ceiling's cells after them if asked."""
    ceilings = [row.record for row in table.instruments if row.record.role == Role.CEILING]
    groups = []
    for protocol in dict.fromkeys(row.record.protocol for row in table.rows):
        of_null = [record for record in ceilings if record.protocol == protocol]
        reached = [record.images_per_s for record in of_null if record.images_per_s]
        records = [row.record for row in table.rows if row.record.protocol == protocol]
        records += of_null if with_ceiling else []
        groups.append(Group(protocol, tuple(records), max(reached, default=None), colours[protocol]))
    return groups


def few(named: Sequence[str], most: int = 12) -> str:
    """What a picture shows, for who cannot see it; of many the rest is counted."""
    return "; ".join(named[:most]) + (f"; and {len(named) - most} more, all in the table" if len(named) > most else "")
