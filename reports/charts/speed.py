"""Images/s of one scenario as bars; and the grouping of cells by protocol that all charts of one client share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.contract.records import Record, Samples
from bench.contract.system import Role
from reports.charts.bars import bar_text, draw_bars
from reports.charts.canvas import HALF, NARROW, PALETTE, WIDE, Chart, Group, chart_of, few, style
from reports.tables.clean_text import one_line
from reports.tables.names import endpoint_name, title_of
from reports.tables.table import Table


def bar_chart(table: Table, colours: Mapping[str, str]) -> Chart | None:
    """Images/s of one scenario, grouped by protocol; None if there is no cell to show. `colours` by protocol."""
    groups = groups_of(table, colours)
    if not groups:
        return None
    named = [f"{endpoint_name(r)} {bar_text(r)}" for group in groups for r in group.records]
    alt = f"Bar chart of images per second, {table.title.lower()}: {few(named)}."
    title = f"{table.title} · images per second"
    with style():
        return chart_of(f"throughput-{table.key}", title, alt, draw_bars(groups, WIDE), draw_bars(groups, NARROW))


def best_chart(bests: Sequence[Record], colours: Mapping[str, str]) -> Chart | None:
    """Images/s of each backend at its best, fastest first, with its place (ties share one); None if there is none."""
    if not bests:
        return None
    labels = {record.id: f"{place} {_best_name(record)}" for record, place in zip(bests, places(bests), strict=True)}
    title = f"{title_of(bests[0])}, images per second, each backend at its best"
    alt = f"Bar chart, {title.lower()}: {few([f'{labels[r.id]} {bar_text(r)}' for r in bests])}."
    groups = [Group(record.protocol, (record,), None, colours[record.protocol]) for record in bests]
    with style():
        wide, narrow = (draw_bars(groups, layout, label=lambda record: labels[record.id]) for layout in (HALF, NARROW))
        return chart_of(f"best-{bests[0].scenario}", title, alt, wide, narrow)


def places(ranked: Sequence[Record]) -> list[str]:
    """Places of cells that are sorted by rank: `1=`, `1=`, `3`."""
    ranks = [record.rank for record in ranked]
    return [f"{1 + ranks.index(rank)}{'=' if ranks.count(rank) > 1 else ''}" for rank in ranks]


def _best_name(record: Record) -> str:
    return one_line(f"{record.backend} · {record.protocol}")


def protocol_colours(records: Sequence[Record]) -> dict[str, str]:
    """A colour for each protocol of the servers, the same in every chart of a report; `records` are the cells of one client."""
    protocols = sorted({record.protocol for record in records if record.role == Role.SERVER})
    return {protocol: PALETTE[n % len(PALETTE)] for n, protocol in enumerate(protocols)}


def panels_of(table: Table, samples: Mapping[str, Samples], colours: Mapping[str, str]) -> list[Group]:
    """The cells that have samples by protocol, ceilings included; only protocols in which a server has samples."""
    panels = []
    for group in groups_of(table, colours, with_ceiling=True):
        records = tuple(r for r in group.records if r.id in samples and samples[r.id].duration_s.size)
        if any(record.role == Role.SERVER for record in records):
            panels.append(replace(group, records=records))
    return panels


def groups_of(table: Table, colours: Mapping[str, str], *, with_ceiling: bool = False) -> list[Group]:
    """The compared cells by protocol, in the table's order; `with_ceiling`, the ceiling's cells follow them."""
    ceilings = [row.record for row in table.instruments if row.record.role == Role.CEILING]
    groups = []
    for protocol in dict.fromkeys(row.record.protocol for row in table.rows):
        of_null = [record for record in ceilings if record.protocol == protocol]
        reached = [record.images_per_s for record in of_null if record.images_per_s]
        records = [row.record for row in table.rows if row.record.protocol == protocol]
        records += of_null if with_ceiling else []
        groups.append(Group(protocol, tuple(records), max(reached, default=None), colours[protocol]))
    return groups
