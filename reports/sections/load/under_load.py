"""The section "Under load": several clients, open loops and latency limits, question by question."""

from collections.abc import Sequence

from bench.contract.records import Record
from bench.contract.system import Role
from reports.charts.speed import protocol_colours
from reports.sections.cells import speed
from reports.sections.load import answers, clients, limits, loops, open_loop
from reports.sections.section import MARKDOWN, PAGE, Items, Lean, Section, Text
from reports.store.store import StoredRun
from reports.tables.cell_tables import load_method_table
from reports.tables.load_cells import CellsUnderLoad, Loaded, endpoints_of
from reports.tables.names import of_kinds
from reports.tables.table import Table

KINDS = (*clients.KINDS, *open_loop.KINDS, *limits.KINDS)
INTRO = (
    "What happens when others ask too. A request is one image where nothing else is said. Rows and panels are grouped by "
    "protocol; hollow points, dashed lines and marked figures are not VALID. Of a client that could not keep its schedule "
    "nothing is shown: it would not be the server's."
)


def section(stored: StoredRun) -> Section:
    """The section; empty if nothing was measured under load."""
    records = stored.records
    cells = cells_under_load(records)
    if not cells.endpoints:
        return Section("load", "Under load")
    details = answers.details(cells.endpoints)
    told = (*answers.answers(cells.endpoints), *details)
    blocks = (
        Text(INTRO, "intro", until=Lean.BACKGROUND),
        *([Items(told, on=PAGE)] if told else []),
        *(Text(sentence, on=MARKDOWN) for sentence in details),
        Text(answers.unranked(cells.endpoints), "note", "problems"),
        *clients.blocks(cells),
        *open_loop.blocks(cells),
        *limits.blocks(cells, protocol_colours(of_kinds(records, speed.KINDS))),
        *loops.blocks(cells, records),
    )
    return Section("load", "Under load", blocks, finding=" ".join(told[:1]), filtered=True)


def endpoints_under_load(records: Sequence[Record]) -> list[Loaded]:
    """The servers' endpoints."""
    return endpoints_of(of_kinds(records, KINDS))


def cells_under_load(records: Sequence[Record]) -> CellsUnderLoad:
    """The servers' endpoints and their ceilings."""
    mine = of_kinds(records, KINDS)
    return CellsUnderLoad(endpoints_of(mine), endpoints_of(mine, Role.CEILING))


def method_tables(records: Sequence[Record]) -> list[tuple[str, Table]]:
    """Title and table of how cells were measured, for each question."""
    cells = cells_under_load(records)
    if not cells.endpoints:
        return []
    mine = [record for each in (*cells.endpoints, *cells.ceilings) for record in each.cells.values()]
    of_question = ((each.TITLE, of_kinds(mine, each.KINDS)) for each in (clients, open_loop, limits))
    return [(title, load_method_table(title, cells_of)) for title, cells_of in of_question if cells_of]
