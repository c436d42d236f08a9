"""The gate in a report: a table of the cells that were held against another checkout's, and what could be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.gate_rows import GateOutcome, GateRow, change_text, gate_sentences
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.tables import MISSING, Grid, number

_COLUMNS = (
    Column("cell", "Cell", "What was measured.", numeric=False),
    Column("change", "Speed against the baseline", "With the interval, in which the noise floor is allowed for."),
    Column("noise", "Two starts of one code", "How far they lie apart: the noise floor of this machine."),
    Column("smallest", "Smallest that fails", "The smallest slow-down that would have failed here."),
    Column("outcome", "Outcome", "Fails, and passes, only where the whole interval says so.", numeric=False),
    Column("reason", "Why", "In words.", numeric=False),
)
_ORDER = (GateOutcome.FAIL, GateOutcome.CANNOT_TELL, GateOutcome.PASS)


@dataclass(frozen=True, slots=True)
class GateSection:
    """The gate in a report; `grid` has no rows where nothing was gated."""

    grid: Grid
    sentences: tuple[str, ...]


def gate_section(rows: Sequence[GateRow]) -> GateSection:
    """Failures first, then what could not be told."""
    ordered = sorted(rows, key=lambda row: (_ORDER.index(row.outcome), row.cell))
    failed = [one_line(row.cell) for row in ordered if row.outcome is GateOutcome.FAIL]
    unsure = sum(row.outcome is GateOutcome.CANNOT_TELL for row in ordered)
    verdict = f"Slower than allowed: {', '.join(failed)}." if failed else "No cell is surely slower than allowed."
    more = f"Of {len(rows)} cells {unsure} could not be told." if unsure else ""
    sentences = (verdict, more, *gate_sentences(ordered)) if rows else ()
    return GateSection(Grid(_COLUMNS, tuple(map(_texts, ordered))), tuple(text for text in sentences if text))


def _texts(row: GateRow) -> tuple[str, ...]:
    noise = MISSING if row.noise is None else f"{number(100 * abs(row.noise - 1), 2)} %"
    smallest = MISSING if row.smallest is None else f"{number(100 * row.smallest, 2)} %"
    return (one_line(row.cell), change_text(row), noise, smallest, str(row.outcome), one_line(row.reason))
