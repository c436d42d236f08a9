"""The gate: is a cell slower than its twin of another checkout, by more than is allowed, as far as this machine can tell?

Both checkouts' backends run side by side in one campaign, so that the machine's drift cancels. Each is started twice: what two
starts of the same code differ by is this machine's noise floor (A/A), and no interval claims to know more than that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from bench.contract import BadInput
from bench.statistics import Interval

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MOST = 50.0


class GateOutcome(StrEnum):
    """What the gate says of one cell."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class GateRow:
    """One cell before the gate; `change` is its speed over its baseline's, below 1 where it became slower.

    `threshold` is the regression that is allowed, a fraction. `noise` is the speed of a second start over the first one of
    the same code, 1 where nothing disturbs: the worse of both checkouts'. `smallest` is the smallest regression, a
    fraction, that would have failed here.
    """

    cell: str
    threshold: float
    outcome: GateOutcome
    reason: str
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    noise: float | None = None
    smallest: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return {**asdict(self), "outcome": str(self.outcome)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GateRow:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys, ValueError on an unknown outcome."""
        return cls(**{**values, "outcome": GateOutcome(values["outcome"])})


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


def change_text(row: GateRow) -> str:
    """`-9.1 % (-10.4 to -7.8)`: its speed against the baseline's."""
    if row.change is None or row.change_low is None or row.change_high is None:
        return "speed not compared"
    change, low, high = (100 * (value - 1) for value in (row.change, row.change_low, row.change_high))
    return f"{change:+.1f} % ({low:+.1f} to {high:+.1f})"


def gate_sentences(rows: Iterable[GateRow]) -> list[str]:
    """What was allowed, how noisy this machine was, and what it could have told."""
    rows = list(rows)
    if not rows:
        return []
    found = [f"Allowed: {100 * rows[0].threshold:g} % slower than the baseline."]
    noise = [abs(row.noise - 1) for row in rows if row.noise is not None]
    if noise:
        found.append(f"Noise floor: two starts of the same code differ by up to {100 * max(noise):.1f} %.")
    smallest = [row.smallest for row in rows if row.smallest is not None]
    if smallest:
        ends = dict.fromkeys(f"{100 * end:.1f}" for end in (min(smallest), max(smallest)))
        found.append(f"Smallest regression that fails here: {' to '.join(ends)} %.")
    return found
