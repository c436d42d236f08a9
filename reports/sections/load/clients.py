"""Several clients: throughput and tail latency by their number."""

from collections.abc import Mapping
from functools import partial

from bench.contract.records import Record
from reports.charts.load.clients import clients_chart
from reports.sections.load.figures import Figure, endpoint_table, of_clients, tail_note, tail_text
from reports.sections.section import Block, Details, Heading, Lean, Picture, Tabular, Text
from reports.tables.columns import Column
from reports.tables.load_cells import CellsUnderLoad
from reports.tables.names import batch_title, clients_title
from reports.tables.numbers import number, ratio
from reports.tables.table import Table

KINDS = ("clients",)
TITLE = "Several clients"
NOTE = (
    "So many connections ask at once, each in a closed loop: the next request leaves after the last answer. Along a line the "
    "number of clients grows: to the right while there is room, upwards once the server is full and requests wait. A thin "
    "line is where the mean latency of so many clients must lie (clients = throughput × latency). The dotted line is null: "
    "what the client can do at all."
)

Gain = tuple[float | None, float | None, float | None]
"""A quotient, and the low and high end of its interval; None if not known."""


def blocks(cells: CellsUnderLoad) -> list[Block]:
    """Chart and tables; empty if no sweep was measured."""
    tables = clients_tables(cells)
    if not tables:
        return []
    first, *others = tables
    return [
        Heading(TITLE),
        Text(NOTE, "intro", until=Lean.BACKGROUND),
        Picture("load-clients", "Latency against throughput by the number of clients", partial(clients_chart, cells)),
        Heading(first.title, 4),
        Tabular(first),
        *(Details(table.title, (Tabular(table),), until=Lean.COLUMNS) for table in others),
    ]


def clients_tables(cells: CellsUnderLoad) -> list[Table]:
    """Two tables, throughput and tail latency, for each size of request."""
    return [table for size in _batch_sizes(cells) for table in _tables(cells, size)]


def _batch_sizes(cells: CellsUnderLoad) -> list[int]:
    return sorted({size for x in cells.endpoints for size in x.batch_sizes})


def _tables(cells: CellsUnderLoad, batch_size: int) -> tuple[Table, Table]:
    swept = sorted({clients for x in cells.endpoints for clients in x.swept(batch_size)})
    what = "" if batch_size == 1 else f", {batch_title(batch_size).lower()}"
    key, unit = ("clients", "Requests") if batch_size == 1 else (f"clients-batch{batch_size}", "Images")
    speeds: list[Figure] = [
        of_clients(n, lambda record: number(record.images_per_s), f"{unit} answered per second", batch_size) for n in swept
    ]
    if len(swept) > 1:
        hint = f"Throughput with {clients_title(swept[-1])} over that with {clients_title(swept[0])}, with its interval."
        speeds.append((Column("gain", "Gain", hint), lambda x: ratio(*gain(x.swept(batch_size)))))
    tails = [of_clients(n, tail_text, "Latency that 99 of 100 requests kept within, ms,", batch_size) for n in swept]
    return (
        endpoint_table(key, f"{unit}/s by the number of clients{what}", speeds, cells),
        endpoint_table(f"{key}-p99", f"p99 in ms by the number of clients{what}", tails, cells, tail_note()),
    )


def gain(swept: Mapping[int, Record]) -> Gain:
    """Throughput with the most clients over that with the fewest, with the widest interval that both allow."""
    cells = [r for r in swept.values() if r.images_per_s and r.verdict.comparable]
    numbers = list(swept)
    if len(cells) < 2 or (cells[0].concurrency, cells[-1].concurrency) != (numbers[0], numbers[-1]):
        return None, None, None
    return quotient(cells[-1], cells[0])


def quotient(over: Record, under: Record) -> Gain:
    """One throughput over another, with the widest interval that both allow."""
    value = (over.images_per_s or 0.0) / (under.images_per_s or 1.0)
    ends = (over.images_per_s_low, under.images_per_s_high, over.images_per_s_high, under.images_per_s_low)
    if any(not end for end in ends):
        return value, None, None
    low, high = (ends[0] or 0.0) / (ends[1] or 1.0), (ends[2] or 0.0) / (ends[3] or 1.0)
    return value, low, high
