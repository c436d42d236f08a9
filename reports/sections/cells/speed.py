"""Speed: a table of the cells of each scenario of one client, with their bars."""

from collections.abc import Callable, Sequence
from functools import partial

from bench.contract.records import Record
from reports.charts.canvas import Chart
from reports.charts.distributions import latency_chart
from reports.charts.speed import bar_chart, protocol_colours
from reports.sections.cells.leaders import by_protocol, by_runtime
from reports.sections.section import EVERYWHERE, MARKDOWN, PAGE, Block, Filters, Heading, Items, Picture, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.cell_tables import speed_tables
from reports.tables.names import of_kinds
from reports.tables.table import Table

KINDS = ("throughput",)
INTRO = (
    "Bars are grouped by protocol: what a server must read and write differs between them. Whiskers are 95 % intervals; a "
    "hatched bar is not to be believed as it stands, and says why. A table's heads sort it, within each protocol."
)


def section(stored: StoredRun) -> Section:
    """Chart and table of each scenario; in Markdown, its latency distribution is below its table."""
    tables, colours = tables_and_colours(stored.records)
    by_group = (*by_protocol(stored.records), *by_runtime(stored.records))
    blocks: list[Block] = [Text(INTRO, "intro", on=PAGE), Filters(on=PAGE), *([Items(by_group)] if by_group else [])]
    for table in tables:
        bars = partial(bar_chart, table, colours)
        blocks += [
            Heading(table.title),
            Picture(f"throughput-{table.key}", f"{table.title}, images per second", bars),
            Tabular(table, on=EVERYWHERE),
            Picture(
                f"latency-{table.key}",
                f"{table.title}, latency of an exchange",
                partial(latency_chart, table, stored.samples, colours),
                on=MARKDOWN,
            ),
        ]
    none = "This run has no cell that measures speed."
    return Section(
        "speed",
        "Speed",
        tuple(blocks),
        finding=" ".join(by_protocol(stored.records)[:1]),
        heading_on=PAGE,
        filtered=True,
        otherwise=none,
    )


def pictures(tables: Sequence[Table], key: str, caption: str, draw: Callable[[Table], Chart | None]) -> tuple[Block, ...]:
    """For the page: a chart of each scenario's table, under the scenario's title."""
    return tuple(
        Picture(f"{key}-{table.key}", f"{table.title}, {caption}", partial(draw, table), heading=table.title, on=PAGE)
        for table in tables
    )


def tables_and_colours(records: Sequence[Record]) -> tuple[tuple[Table, ...], dict[str, str]]:
    """The tables of all scenarios, and a colour for each protocol in them."""
    cells = of_kinds(records, KINDS)
    return speed_tables(cells), protocol_colours(cells)
