"""The summary at the end of a session: a table for each scenario, what went wrong, and the answer, in at most 100 columns."""

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from reports.sections.cells.speed import tables_and_colours
from reports.sections.section import TERMINAL, Block, Problems, Report, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import ends, shortened
from reports.tables.columns import Column
from reports.tables.table import Table

WIDTH = 100
_LONGEST_REASON = 600


def summary_lines(report: Report) -> Iterator[str]:
    """Lines of text of at most 100 columns: all tables, then all problems, last the sentences, which so stay visible."""
    if report.banner:
        yield from _wrapped(report.banner)
        yield ""
    blocks = [block for section in report.sections for block in section.on(TERMINAL)]
    for kind in (Tabular, Problems, Text):
        for block in blocks:
            if isinstance(block, kind):
                yield from _block(block)


def first_table(stored: StoredRun) -> Iterator[str]:
    """The lines of the first scenario's table, to show while others are measured; none if no speed was measured."""
    tables, _ = tables_and_colours(stored.present().records)
    for table in tables[:1]:
        yield from _block(Tabular(table))


def _block(block: Block) -> Iterator[str]:
    match block:
        case Tabular(table):
            yield table.title
            yield from _table(table)
            yield from _wrapped(table.note)
            yield ""
        case Problems(problems):
            for problem in problems:
                cells, reason = ", ".join(problem.cells), ends(problem.reason, _LONGEST_REASON)
                yield from _wrapped(f"{problem.verdict}: {cells}: {reason}")
        case Text(text):
            yield from _wrapped(text)


def _table(table: Table) -> list[str]:
    """Header, rule and rows; the cells' names are shortened until a row fits."""
    narrow = table.select(table.terminal) if table.terminal else table
    every = (*narrow.rows, *narrow.instruments)
    rows = [[_short(column.key, text) for column, text in zip(narrow.columns, row.texts, strict=True)] for row in every]
    return _lines(narrow.columns, rows) if rows else []


def _lines(columns: Sequence[Column], rows: list[list[str]]) -> list[str]:
    """Header, rule and rows as lines of text; cell names are shortened to keep to `WIDTH`."""
    lines = [[column.title for column in columns], *rows]
    place = [column.key for column in columns].index("cell")
    others = sum(2 + max(len(line[n]) for line in lines) for n in range(len(columns)) if n != place)
    for line in rows:
        line[place] = shortened(line[place], max(WIDTH - others, 8))
    align = ["right" if column.numeric else "left" for column in columns]
    # Numbers are texts already: tabulate must neither parse nor round them again.
    text = tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=align).splitlines()
    return [text[0].rstrip(), "-" * max(len(line.rstrip()) for line in text), *(line.rstrip() for line in text[1:])]


def _short(key: str, text: str) -> str:
    """A column's text; a ratio without its interval, since the rank already says what the interval says."""
    return _single_width(text.partition(" [")[0] if key == "ratio" else text)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_single_width(text), WIDTH, break_on_hyphens=False)


def _single_width(text: str) -> str:
    """Replace emoji and East Asian characters, two columns wide in a terminal, by `?`, which keeps the table aligned."""
    return "".join("?" if unicodedata.east_asian_width(c) in "WF" else c for c in text if not unicodedata.combining(c))
