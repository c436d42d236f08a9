"""The summary at the end of a session: the answer and one table a scenario, in at most 100 columns."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from reports.sections.report import View
from reports.sections.under_load import Matrix
from reports.tables.clean_text import shortened
from reports.tables.columns import Column
from reports.tables.tables import Row, Table

WIDTH = 100
_SPEED = ("rank", "cell", "images_per_s", "ratio", "p50", "p99", "accuracy", "verdict")
_ACCURACY = ("cell", "accuracy", "agreement", "max_abs_diff", "verdict")
_LONGEST_REASON = 300


def summary_lines(view: View) -> Iterator[str]:
    """Lines of text, none longer than 100 columns."""
    if view.banner:
        yield from _wrapped(view.banner)
        yield ""
    for table in view.speed:
        yield table.title
        yield from _table(table, _SPEED)
        yield from _wrapped(table.note)
        yield ""
    if view.accuracy is not None:
        yield view.accuracy.title
        yield from _table(view.accuracy, _ACCURACY)
        yield ""
    if view.load.glance is not None:
        yield view.load.glance.title
        yield from _matrix(view.load.glance)
        yield from _wrapped(view.load.glance.note)
        yield ""
    for trouble in view.troubles:
        yield from _wrapped(f"{trouble.verdict}: {', '.join(trouble.cells)}: {shortened(trouble.reason, _LONGEST_REASON)}")
    for sentence in (*view.answers, view.unranked, view.load.unranked, *view.idle):
        yield from _wrapped(sentence)


def _table(table: Table, keys: Sequence[str]) -> list[str]:
    """Head, rule, rows; the cells' names give way until a row fits."""
    narrow = table.select(keys)
    rows = [[_short(column.key, text) for column, text in zip(narrow.columns, row.texts, strict=True)] for row in _rows(narrow)]
    if not rows:
        return []
    return _lines(narrow.columns, rows)


def _matrix(matrix: Matrix) -> list[str]:
    """Without the protocol: the rows of one stand together."""
    narrow = matrix.without(["protocol"])
    return _lines(narrow.columns, [[_single_width(text) for text in row.texts] for row in narrow.rows])


def _lines(columns: Sequence[Column], rows: list[list[str]]) -> list[str]:
    """As texts of a terminal; the name of the cell is what is shortened."""
    lines = [[column.title for column in columns], *rows]
    place = [column.key for column in columns].index("cell")
    others = sum(2 + max(len(line[n]) for line in lines) for n in range(len(columns)) if n != place)
    for line in rows:
        line[place] = shortened(line[place], max(WIDTH - others, 8))
    align = ["right" if column.numeric else "left" for column in columns]
    # Numbers are texts already: tabulate must neither parse nor round them again.
    text = tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=align).splitlines()
    return [text[0].rstrip(), "-" * max(len(line.rstrip()) for line in text), *(line.rstrip() for line in text[1:])]


def _rows(table: Table) -> tuple[Row, ...]:
    return (*table.rows, *table.instruments)


def _short(key: str, text: str) -> str:
    """A ratio without its interval: the rank says already what the interval says."""
    return _single_width(text.partition(" [")[0] if key == "ratio" else text)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(_single_width(text), WIDTH, break_on_hyphens=False)


def _single_width(text: str) -> str:
    """Emoji and East Asian characters take two columns in a terminal: a mark in their place keeps the columns straight."""
    return "".join("?" if unicodedata.east_asian_width(c) in "WF" else c for c in text if not unicodedata.combining(c))
