"""Latency: how many exchanges were answered within a time."""

from collections.abc import Sequence
from functools import partial

from reports.charts.distributions import latency_chart
from reports.sections.cells.speed import pictures, tables_and_colours
from reports.sections.section import PAGE, Section, Text
from reports.store.store import StoredRun
from reports.tables.names import endpoint_name
from reports.tables.numbers import milliseconds
from reports.tables.table import Table

INTRO = (
    "How many of the exchanges were answered within a time. Steep is steady; a long foot to the right is a long tail. The time "
    "axis is logarithmic and ends at the 99.9th percentile. The dotted line is null: what the wire and the client alone take."
)


def section(stored: StoredRun) -> Section:
    """A chart for each scenario of one client."""
    tables, colours = tables_and_colours(stored.records)
    draw = partial(latency_chart, samples=stored.samples, colours=colours)
    none = "This run kept no samples, so there is no distribution to draw."
    return Section(
        "latency",
        "Latency",
        (Text(INTRO, "intro", on=PAGE), *pictures(tables, "latency", "latency of an exchange", draw)),
        finding=finding([table for table in tables if table.rows]),
        heading_on=PAGE,
        otherwise=none,
    )


def finding(tables: Sequence[Table]) -> str:
    """The lowest and the highest 99th percentile, in the first scenario that has some; empty without."""
    for table in tables:
        known = sorted((r.latency_p99_s, endpoint_name(r)) for row in table.rows if (r := row.record).latency_p99_s is not None)
        if known:
            (low, first), (high, last) = known[0], known[-1]
            spread = f" to {milliseconds(high)} ms ({last})" if len(known) > 1 else ""
            return f"{table.title}: 99 of 100 answered within {milliseconds(low)} ms ({first}){spread}."
    return ""
