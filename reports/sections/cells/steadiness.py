"""Steadiness: each cell's latency over the campaign."""

from collections.abc import Sequence
from functools import partial

from bench.contract.records import Record
from bench.contract.system import Role
from reports.charts.drift import trace_chart
from reports.sections.cells.speed import KINDS, pictures, tables_and_colours
from reports.sections.section import PAGE, Section, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import listed
from reports.tables.names import endpoint_name, of_kinds, title_of

INTRO = (
    "The median latency in each fortieth of the campaign, relative to the cell's own; beside the name how far the slowest part "
    "lies from the fastest. All cells were measured in turn, so what bends all lines together is the machine, and the ratios "
    "do not know of it."
)


def section(stored: StoredRun) -> Section:
    """A chart for each scenario of one client."""
    tables, colours = tables_and_colours(stored.records)
    draw = partial(trace_chart, samples=stored.samples, colours=colours)
    blocks = (Text(INTRO, "intro", on=PAGE), *pictures(tables, "rounds", "latency through the campaign", draw))
    none = "This run kept no samples of several rounds."
    return Section("rounds", "Steadiness", blocks, finding=finding(stored.records), heading_on=PAGE, otherwise=none)


def finding(records: Sequence[Record]) -> str:
    """Which cells were not steady while they were measured; empty if no cell has a speed."""
    cells = [record for record in of_kinds(records, KINDS) if record.role == Role.SERVER and record.images_per_s]
    restless = [f"{endpoint_name(r)} ({title_of(r).lower()})" for r in cells if not r.verdict.steady]
    if not cells:
        return ""
    return (
        f"Not steady: {listed(restless)}."
        if restless
        else f"All {len(cells)} cells kept their pace, the machine's drift apart."
    )
