"""How to measure a cell again: its command."""

from collections.abc import Sequence

from bench.contract.records import Record
from reports.sections.load import under_load
from reports.sections.section import PAGE, Block, Commands, Details, Lean, Pairs, Section, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import one_line
from reports.tables.names import of_kinds


def section(stored: StoredRun) -> Section:
    """The commands; those of cells under load, which are many, are folded and only on the page."""
    loaded = of_kinds(stored.records, under_load.KINDS)
    plain = commands([record for record in stored.records if record.kind not in under_load.KINDS])
    many = commands(loaded) if under_load.endpoints_under_load(loaded) else ()
    blocks: list[Block] = (
        [Commands(plain, listed=True, until=Lean.BACKGROUND)] if plain else [Text("No command was recorded.", on=PAGE)]
    )
    if many:
        blocks.append(Details("Cells under load", (Pairs(many, facts=True),), on=PAGE))
    return Section("again", "Measure a cell again", tuple(blocks), finding="The command of each cell.")


def commands(records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    """Id and command of each cell that has one recorded."""
    return tuple((one_line(record.id), one_line(record.again)) for record in records if record.again)
