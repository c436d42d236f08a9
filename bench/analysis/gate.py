"""The gate: is a cell slower than its twin of another checkout, by more than is allowed, as far as this machine can tell?

Both checkouts' backends run side by side in one campaign, so that the machine's drift cancels. Each is started twice: what two
starts of the same code differ by is this machine's noise floor (A/A), and no interval claims to know more than that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.contract.errors import BadInput
from bench.contract.gate_rows import GateOutcome, GateRow, change_text, gate_sentences
from bench.statistics import Interval

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MOST = 50.0


@dataclass(frozen=True, slots=True)
class Believed:
    """Whether a side's figures may be believed, and if not, in which words.

    `trouble`: it fails or answers wrongly. `doubt`: it answers rightly, but its speed is not that of serving (a cache).
    `bounded`: the client hides a part of the difference.
    """

    trouble: str = ""
    doubt: str = ""
    bounded: bool = False


def threshold_of(text: str | None) -> float | None:
    """`5%` -> 0.05; raises BadInput."""
    if text is None:
        return None
    found = _PERCENT.fullmatch(text.strip())
    if found is None or not 0 < float(found.group(1)) <= _MOST:
        raise BadInput(f"--gate {text}: expected the slow-down that is allowed in per cent, above 0 and at most 50, like 5%")
    return float(found.group(1)) / 100


def noise_floor(copies: Iterable[Interval | None], least: float) -> float:
    """What two starts of one server differ by on this machine, a fraction: the worst that the A/A pairs showed, or `least`."""
    seen = [math.expm1(abs(math.log(copy.value))) for copy in copies if copy is not None]
    return max([least, *seen])


def gate_row(
    cell: str,
    threshold: float,
    change: Interval | None,
    copies: Sequence[Interval | None],
    head: Believed,
    baseline: Believed,
) -> GateRow:
    """The row of a cell whose speed over its baseline's is `change`, with the noise floor in its interval already.

    `copies` compare two starts of the same code: this checkout's, the baseline's.

    Fails only where the whole interval lies beyond the threshold, and passes only where none of it does.
    """
    noise = max((copy.value for copy in copies if copy is not None), key=lambda value: abs(math.log(value)), default=None)
    if baseline.trouble or baseline.doubt:
        return GateRow(
            cell,
            threshold,
            GateOutcome.CANNOT_TELL,
            f"the baseline cannot be believed: {baseline.trouble or baseline.doubt}",
            noise=noise,
        )
    if head.trouble:
        return GateRow(cell, threshold, GateOutcome.FAIL, f"the baseline works, this does not: {head.trouble}", noise=noise)
    if head.doubt:
        return GateRow(cell, threshold, GateOutcome.CANNOT_TELL, f"this cannot be believed: {head.doubt}", noise=noise)
    if change is None or change.low is None or change.high is None or noise is None:
        missing = "only one start of each: the noise floor is not known" if change is not None and noise is None else ""
        reason = missing or "too few rounds for an interval; allow more time (--benchmark-max-time)"
        return GateRow(cell, threshold, GateOutcome.CANNOT_TELL, reason, noise=noise)
    allowed = 1 - threshold
    smallest = 1 - allowed * change.value / change.high
    outcome, reason = _judged(change.low, change.high, allowed, bounded=head.bounded or baseline.bounded)
    return GateRow(cell, threshold, outcome, reason, change.value, change.low, change.high, noise, smallest)


def _judged(low: float, high: float, allowed: float, *, bounded: bool) -> tuple[GateOutcome, str]:
    if high < allowed:
        return GateOutcome.FAIL, "the whole interval lies beyond what is allowed"
    if low < allowed:
        return GateOutcome.CANNOT_TELL, "what is allowed lies inside the interval; more time makes it narrower"
    if bounded:
        return GateOutcome.CANNOT_TELL, "client-bound: the client hides a part of any difference"
    return GateOutcome.PASS, "the whole interval lies within what is allowed"


def gate_lines(rows: Iterable[GateRow]) -> list[str]:
    """For the terminal, within 100 columns: a line a cell, failures first, then what this machine could tell."""
    rows = sorted(rows, key=lambda row: (list(GateOutcome).index(row.outcome) != 1, row.outcome != GateOutcome.CANNOT_TELL))
    lines = []
    for row in rows:
        lines.append(f"{row.outcome.upper():<12} {row.cell[:60]:<40} {change_text(row)}")
        if row.outcome is not GateOutcome.PASS:
            lines += [f"{'':<12} {line[:86]}" for line in row.reason.splitlines()[:3]]
    lines += [f"{'':<12} {sentence}" for sentence in gate_sentences(rows)]
    return lines
