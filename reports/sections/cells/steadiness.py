"""Steadiness: how each cell went through the campaign."""

from __future__ import annotations

from functools import partial

from reports.charts.drift import trace_chart
from reports.sections.cells.speed import tables_and_colours
from reports.sections.section import PAGE, Block, Picture, Section, Text
from reports.store.store import StoredRun

INTRO = (
    "The median latency in each fortieth of the campaign, relative to the cell's own; beside the name how far the slowest part "
    "lies from the fastest. All cells were measured in turn, so what bends all lines together is the machine, and the ratios "
    "do not know of it."
)


def section(stored: StoredRun) -> Section:
    """A picture for each scenario of one client."""
    tables, colours = tables_and_colours(stored.records)
    blocks: list[Block] = [Text(INTRO, "intro", on=PAGE)]
    for table in tables:
        draw = partial(trace_chart, table, stored.samples, colours)
        caption = f"{table.title}, latency through the campaign"
        blocks.append(Picture(f"rounds-{table.key}", caption, draw, heading=table.title, on=PAGE))
    none = "This run kept no samples of several rounds."
    return Section("rounds", "Steadiness", tuple(blocks), link="Steadiness", heading_on=PAGE, otherwise=none)
