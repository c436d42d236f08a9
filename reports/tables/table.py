"""The one table of all reports, as data: HTML, Markdown and terminal render it alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.contract.records import Record
from reports.tables.columns import Column


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One image as a data URI, and its alternative text."""

    uri: str
    alt: str


@dataclass(frozen=True, slots=True)
class Row:
    """A text for each column; `cells` are the measured cells that it is about, `past` marks figures of an earlier study."""

    texts: tuple[str, ...]
    cells: tuple[Record, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
    past: bool = False

    @property
    def record(self) -> Record:
        """The row's cell; of several the first."""
        return self.cells[0]

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdicts of all its cells, by which the page filters rows."""
        return tuple(sorted({str(record.verdict) for record in self.cells}))


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `rows` are compared with each other, `instruments` (null, reference) are separate; `note` is shown below.

    `rows_are` says what a row with cells represents. If there is little room, Markdown keeps only the columns of `core`; the
    terminal shows only those of `terminal`; empty means all.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    instruments: tuple[Row, ...] = ()
    note: str = ""
    rows_are: Literal["", "cell", "endpoint"] = ""
    core: tuple[str, ...] = ()
    terminal: tuple[str, ...] = ()
    sortable: bool = True

    def select(self, keys: Sequence[str]) -> Table:
        """The same table with only these columns, in this order."""
        places = [n for key in keys for n, column in enumerate(self.columns) if column.key == key]
        rows, instruments = (
            tuple(replace(row, texts=tuple(row.texts[n] for n in places)) for row in part)
            for part in (self.rows, self.instruments)
        )
        return replace(self, columns=tuple(self.columns[n] for n in places), rows=rows, instruments=instruments)

    def without(self, *keys: str) -> Table:
        """The same table without these columns."""
        return self.select([column.key for column in self.columns if column.key not in keys])

    @property
    def head(self) -> int:
        """Index of the column that names the row."""
        return next((n for n, column in enumerate(self.columns) if column.names_row), 0)


def text_table(
    title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], key: str = "", *, sortable: bool = True
) -> Table:
    """A table of plain texts."""
    return Table(key, title, tuple(columns), tuple(Row(tuple(texts)) for texts in rows), sortable=sortable)
