"""Setup: what the run was measured on and with, and how each cell was measured."""

from reports.sections.cells import accuracy, speed
from reports.sections.load import under_load
from reports.sections.section import PAGE, Block, Commands, Details, Heading, Lean, Pairs, Section, Tabular
from reports.store.store import StoredRun
from reports.tables.cell_tables import method_table
from reports.tables.clean_text import one_line
from reports.tables.facts import pairs
from reports.tables.names import of_kinds, scenarios_of, title_of
from reports.tables.table import Table


def section(stored: StoredRun) -> Section:
    """Facts of the run and of its backends; only the page says how each cell was measured."""
    run = stored.run
    facts = {"Environment": run.environment, "Options": run.options, "Dataset": run.dataset, "Model": run.model}
    blocks: list[Block] = [Commands((("The whole run", one_line(run.command)),), until=Lean.BACKGROUND)]
    for name, values in facts.items():
        if values:
            blocks += [
                Heading(name, until=Lean.BACKGROUND),
                Pairs(tuple(pairs(values)), facts=True, until=Lean.BACKGROUND),
            ]
    if run.backends:
        blocks.append(Heading("Backends", until=Lean.BACKGROUND))
    for name, of_backend in run.backends.items():
        listing = Pairs(tuple(pairs(of_backend.as_dict())), facts=True)
        blocks.append(Details(one_line(name), (listing,), until=Lean.BACKGROUND))
    blocks.append(Heading("How each cell was measured", on=PAGE))
    blocks += [Details(title, (Tabular(table),), on=PAGE) for title, table in method_tables(stored)]
    return Section(
        "setup", "Setup", tuple(blocks), finding="Machine, options, data, model, versions, and how each cell was measured."
    )


def method_tables(stored: StoredRun) -> list[tuple[str, Table]]:
    """Title and table of how cells were measured: for each scenario of one client, then for each question under load."""
    tables = []
    for kinds in (speed.KINDS, accuracy.KINDS):
        cells = of_kinds(stored.records, kinds)
        for name in scenarios_of(cells):
            mine = [record for record in cells if record.scenario == name]
            tables.append((title_of(mine[0]), method_table(mine)))
    return [*tables, *under_load.method_tables(stored.records)]
