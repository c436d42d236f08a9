"""What could not be measured or believed: cells grouped by verdict and reason, worst verdict first."""

import re
from collections import Counter
from collections.abc import Sequence

from bench.contract.records import Record, Verdict
from reports.sections.load import under_load
from reports.sections.section import EVERYWHERE, Problem, Problems, Section
from reports.store.store import StoredRun
from reports.tables.clean_text import clean, more
from reports.tables.names import endpoint_name, title_of

_MOST_ENDPOINTS = 12
_FIGURES = re.compile(r"\d[\d.,]*")


def section(stored: StoredRun) -> Section:
    """All problems; no block if every cell is VALID."""
    problems = problems_of(stored.records)
    title = "What could not be measured or believed, and why"
    return Section(
        "problems", title, (Problems(problems, on=EVERYWHERE),) if problems else (), finding=_finding(stored.records)
    )


def _finding(records: Sequence[Record]) -> str:
    """`2 OVERSUBSCRIBED, 6 NOT_MEASURED of 40 cells.`"""
    counts = Counter(record.verdict for record in records if not record.verdict.believed)
    return f"{', '.join(f'{counts[verdict]} {verdict}' for verdict in Verdict if counts[verdict])} of {len(records)} cells."


def problems_of(records: Sequence[Record]) -> tuple[Problem, ...]:
    """The problems of all cells: cells of one client are named one by one, cells under load are counted by endpoint.

    Cells under load whose reasons differ only in figures, as in a sweep of sixty, are one entry with the first one's reason.
    """
    plain = [record for record in records if record.kind not in under_load.KINDS]
    ids, said = {id(record) for record in plain}, {(record.verdict, _reason(record)) for record in plain}
    grouped: dict[tuple[Verdict, str], list[Record]] = {}
    for record in records:
        if not record.verdict.believed:
            key = record.verdict, _reason(record)
            is_told = id(record) in ids or key in said
            grouped.setdefault(key if is_told else (record.verdict, _FIGURES.sub("#", _reason(record))), []).append(record)
    order = sorted(grouped, key=lambda key: -key[0].severity)
    return tuple(_problem(grouped[key], ids) for key in order)


def _reason(record: Record) -> str:
    return clean(record.reason) or "No reason was recorded."


def _problem(cells: Sequence[Record], plain: set[int]) -> Problem:
    reason = _reason(cells[0])
    others = sum(_reason(record) != reason for record in cells)
    if others:
        of_first = f"{endpoint_name(cells[0])}, {title_of(cells[0])}"
        reason += f"\n(These are the figures of {of_first}; those of {more(others, 'cell')} differ.)"
    named = [f"{endpoint_name(record)} ({title_of(record)})" for record in cells if id(record) in plain]
    return Problem(cells[0].verdict, (*named, *_under_load([r for r in cells if id(r) not in plain])), reason)


def _under_load(cells: Sequence[Record]) -> list[str]:
    """One name for each endpoint, with the scenario, or the number of cells if there are several."""
    mine: dict[str, list[Record]] = {}
    for record in cells:
        mine.setdefault(endpoint_name(record), []).append(record)
    named = [f"{name} ({title_of(of[0]) if len(of) == 1 else f'{len(of)} cells under load'})" for name, of in mine.items()]
    if len(named) > _MOST_ENDPOINTS:
        named = [*named[: _MOST_ENDPOINTS - 1], f"{len(named) - _MOST_ENDPOINTS + 1} more endpoints under load"]
    return named
