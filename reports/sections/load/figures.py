"""The tables of cells under load: a row for each endpoint, a column for each figure, with the mark of its verdict."""

from collections.abc import Callable, Sequence

from bench.contract.records import Record, Verdict
from bench.statistics import min_samples
from reports.tables.clean_text import one_line, shortened
from reports.tables.columns import COLUMNS, Column
from reports.tables.load_cells import CellsUnderLoad, Level, Loaded, is_shown, tail
from reports.tables.names import clients_title
from reports.tables.numbers import MISSING, milliseconds
from reports.tables.table import Row, Table

_NAME_WIDTH = 60
_CELL, _PROTOCOL = COLUMNS["cell"], COLUMNS["protocol"]

Figure = tuple[Column, Callable[[Loaded], str]]
"""A column, and its text for an endpoint."""


def endpoint_table(key: str, title: str, figures: Sequence[Figure], cells: CellsUnderLoad, note: str = "") -> Table:
    """A table with a row for each endpoint: name, protocol and figures; rows of one protocol are together.

    An explanation of the marks is added to the `note`.
    """
    columns = (_CELL, _PROTOCOL, *(column for column, _ in figures))
    rows, instruments = (
        tuple(
            Row((x.name, one_line(x.first.protocol), *(text(x) for _, text in figures)), tuple(x.cells.values())) for x in part
        )
        for part in (cells.endpoints, cells.ceilings)
    )
    notes = " ".join(part for part in (note, _marks((*rows, *instruments))) if part)
    return Table(key, title, columns, rows, instruments, notes, rows_are="endpoint")


def _marks(rows: Sequence[Row]) -> str:
    """An explanation of the marks that are in these rows."""
    used = {text[-1] for row in rows for text in row.texts[2:] if text}
    return " ".join(f"{verdict.mark} {verdict}." for verdict in Verdict if verdict.mark in used)


def figure(record: Record | None, text: Callable[[Record], str]) -> str:
    """The text of one cell: its figure, unless that would not be the server's, and its mark if it is not VALID."""
    if record is None:
        return MISSING
    if record.verdict.instead:
        return record.verdict.instead
    shown = text(record) if is_shown(record) else ""
    return " ".join(part for part in (shown, record.verdict.mark if shown != MISSING else "") if part)


def of_clients(clients: int, text: Callable[[Record], str], what: str, batch_size: int | None = None) -> Figure:
    """The column for `clients` clients; `batch_size` chooses the sweep, None the one with the smallest requests."""
    column = Column(f"c{clients:02}", clients_title(clients), f"{what} with {clients_title(clients)}.")
    return column, lambda x: figure((x.clients if batch_size is None else x.swept(batch_size)).get(clients), text)


def of_level(level: Level) -> Figure:
    """The column of tail latency at an offered load."""
    hint = f"Latency from the scheduled send that 99 of 100 requests kept within, ms, at {level.title}."
    return Column(level.scenario, level.title, hint), lambda x: figure(x.cells.get(level.scenario), tail_text)


def tail_text(record: Record) -> str:
    """p99 in ms, or the highest percentile that the number of samples supports, with its name."""
    percentile = tail(record)
    if percentile is None:
        return MISSING
    name, seconds = percentile
    return milliseconds(seconds) + ("" if name == "p99" else f" ({name})")


def tail_note() -> str:
    """A note on what is shown if there is no p99."""
    return f"Where fewer than {min_samples(0.99)} requests support no p99, the highest percentile that they do stands there."


def endpoint_label(endpoint: Loaded) -> str:
    """The endpoint's name, short enough for a sentence."""
    return shortened(endpoint.name, _NAME_WIDTH)
