"""The gate in a report: a table of the cells that were compared with another checkout's, and the result."""

from collections.abc import Sequence

from bench.contract.rows import GateOutcome, GateRow, change_text, gate_sentences
from reports.sections.section import Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.numbers import MISSING, number
from reports.tables.table import text_table

_COLUMNS = (
    Column("cell", "Cell", "What was measured.", numeric=False),
    Column("change", "Speed against the baseline", "With the interval, in which the noise floor is allowed for."),
    Column("noise", "Two starts of one code", "How far they lie apart: the noise floor of this machine."),
    Column("smallest", "Smallest that fails", "The smallest slow-down that would have failed here."),
    Column("outcome", "Outcome", "Fails, and passes, only where the whole interval says so.", numeric=False),
    Column("reason", "Why", "In words.", numeric=False),
)
_ORDER = (GateOutcome.FAIL, GateOutcome.CANNOT_TELL, GateOutcome.PASS)


def section(stored: StoredRun) -> Section:
    """The gated cells: failures first, then those that could not be told; empty if there are none."""
    rows = sorted(stored.run.gate, key=lambda row: (_ORDER.index(row.outcome), row.cell))
    if not rows:
        return Section("gate", "Gate")
    table = text_table("Gate", _COLUMNS, tuple(map(_texts, rows)))
    return Section("gate", "Gate", (*map(Text, gate_words(rows)), Tabular(table)), finding=gate_words(rows)[0], folded=False)


def gate_words(rows: Sequence[GateRow]) -> list[str]:
    """Sentences on which cells failed, how many could not be told, and what the gate allows."""
    failed = [one_line(row.cell) for row in rows if row.outcome is GateOutcome.FAIL]
    unsure = sum(row.outcome is GateOutcome.CANNOT_TELL for row in rows)
    told = f"Slower than allowed: {', '.join(failed)}." if failed else "No cell is surely slower than allowed."
    more = [f"Of {len(rows)} cells {unsure} could not be told."] if unsure else []
    return [told, *more, *gate_sentences(rows)]


def _texts(row: GateRow) -> tuple[str, ...]:
    noise = MISSING if row.noise is None else f"{number(100 * abs(row.noise - 1), 2)} %"
    smallest = MISSING if row.smallest is None else f"{number(100 * row.smallest, 2)} %"
    return (one_line(row.cell), change_text(row), noise, smallest, str(row.outcome), one_line(row.reason))
