"""The same servers loaded in two ways: the closed loop of one client beside the open loop at equal load."""

from collections.abc import Callable, Sequence

from bench.contract.records import Record
from bench.contract.scenarios import SINGLE
from reports.sections.load.figures import Figure, endpoint_table, figure, tail_note, tail_text
from reports.sections.section import Block, Heading, Tabular, Text
from reports.tables.columns import Column
from reports.tables.load_cells import CellsUnderLoad, Level, Loaded, equal_load
from reports.tables.names import of_kinds
from reports.tables.numbers import milliseconds
from reports.tables.table import Table

CLOSED_KINDS = ("throughput",)
"""The kinds of cells that are taken for one client if there was no sweep."""

NOTE = (
    "In a closed loop the next request leaves after the last answer: while a server stalls, nobody asks it, so the stall "
    "makes one request slow. In an open loop requests keep coming and wait, and each counts from when it should have been "
    "sent. What the closed loop leaves out is called coordinated omission: read a tail from the open loop."
)


def blocks(cells: CellsUnderLoad, records: Sequence[Record]) -> list[Block]:
    """The table; empty if no server was loaded in both ways."""
    table = loops_table(cells.endpoints, records)
    return [] if table is None else [Heading(table.title), Text(NOTE, "intro"), Tabular(table)]


def loops_table(endpoints: Sequence[Loaded], records: Sequence[Record]) -> Table | None:
    """The closed loop of one client beside the open loop at equal load, for endpoints that have both; None without any."""
    level = equal_load(endpoints)
    if level is None:
        return None
    alone = {(r.backend, r.endpoint): r for r in of_kinds(records, CLOSED_KINDS) if r.scenario == SINGLE.name}
    closed = {x.name: x.clients.get(1) or alone.get((x.first.backend, x.first.endpoint)) for x in endpoints}
    both = [x for x in endpoints if closed[x.name] is not None and level.scenario in x.cells]
    if not both:
        return None
    figures: list[Figure] = []
    for key, title in (("closed", "Closed loop, 1 client"), ("open", f"Open loop, {level.title}")):
        for name, text in (("p50", _p50_text), ("p99", tail_text)):
            hint = f"{name} of a request, {title.lower()}{' of its peak' if key == 'open' else ''}."
            column = Column(f"{key}-{name}", f"{title}: {name} ms", hint)
            figures.append((column, _loop_figure(closed if key == "closed" else None, level, text)))
    title = "The same servers asked in two ways"
    return endpoint_table("loops", title, figures, CellsUnderLoad(both, ()), tail_note())


def _loop_figure(
    closed: dict[str, Record | None] | None, level: Level, text: Callable[[Record], str]
) -> Callable[[Loaded], str]:
    return lambda x: figure(x.cells[level.scenario] if closed is None else closed[x.name], text)


def _p50_text(record: Record) -> str:
    return milliseconds(record.latency_p50_s)
