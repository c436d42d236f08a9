"""Under load in one table for the terminal: a row for each endpoint, with the most important figures."""

from collections.abc import Sequence
from dataclasses import replace

from reports.sections.load.figures import Figure, endpoint_table, figure, of_clients, of_level
from reports.sections.load.limits import rate_text
from reports.sections.load.under_load import endpoints_under_load
from reports.sections.section import TERMINAL, Section, Tabular
from reports.store.store import StoredRun
from reports.tables.columns import Column
from reports.tables.load_cells import CellsUnderLoad, Loaded, concurrencies, equal_load, levels_of, limits_of
from reports.tables.names import limit_title
from reports.tables.numbers import number
from reports.tables.table import Table


def section(stored: StoredRun) -> Section:
    """The table; empty if nothing was measured under load."""
    endpoints = endpoints_under_load(stored.records)
    return Section("glance", "Under load", (Tabular(glance_table(endpoints), on=TERMINAL),) if endpoints else ())


def glance_table(endpoints: Sequence[Loaded]) -> Table:
    """A row for each endpoint with the most important figures, for the terminal."""
    figures: list[Figure] = []
    clients, level = concurrencies(endpoints), equal_load(endpoints) or next(iter(levels_of(endpoints)), None)
    for n in dict.fromkeys([*clients[:1], *clients[-1:]]):
        column, text = of_clients(n, lambda record: number(record.images_per_s), "Requests/s")
        figures.append((Column(column.key, f"{column.title} /s", column.hint), text))
    if level is not None:
        column, text = of_level(level)
        figures.append((Column(column.key, f"p99 ms at {column.title}", column.hint), text))
    for scenario in limits_of(endpoints):
        limit = limit_title(next(x.cells[scenario].slo_s or 0.0 for x in endpoints if scenario in x.cells))
        column = Column(scenario, f"/s under {limit}", "The highest rate.")
        figures.append((column, lambda x, name=scenario: figure(x.cells.get(name), rate_text)))  # type: ignore[misc]
    table = endpoint_table("glance", "Under load", figures, CellsUnderLoad(endpoints, ()))
    return replace(table, terminal=tuple(column.key for column in table.columns if column.key != "protocol"))
