"""The gate: is a cell slower than the same cell of another checkout (the baseline), by more than is allowed?

Both checkouts' backends run side by side in one campaign, so that the machine's drift cancels. Each is started twice: the
difference between two starts of the same code is this machine's noise floor (A/A), and no interval is narrower than that.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.analysis.cell_measurement import CellMeasurement
from bench.analysis.lane_speeds import LaneSpeeds
from bench.contract.errors import BadInput
from bench.contract.records import Record, Verdict
from bench.contract.rows import GateOutcome, GateRow, change_text, gate_sentences
from bench.contract.system import Role
from bench.statistics import BETWEEN_STARTS, Interval

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_MOST = 50.0


@dataclass(frozen=True, slots=True)
class Believed:
    """Whether the figures of one side (this checkout or the baseline) are credible, and if not, why not.

    `trouble`: it fails or answers wrongly. `doubt`: it answers rightly, but its speed is not that of serving (a cache).
    `bounded`: it is client-bound, which hides a part of any difference. Texts are empty if they do not apply.
    """

    trouble: str = ""
    doubt: str = ""
    bounded: bool = False


def threshold_of(text: str | None) -> float | None:
    """`5%` -> 0.05, None -> None; raises BadInput."""
    if text is None:
        return None
    percent = _PERCENT.fullmatch(text.strip())
    if percent is None or not 0 < float(percent.group(1)) <= _MOST:
        raise BadInput(f"--gate {text}: expected the slow-down that is allowed in per cent, above 0 and at most 50, like 5%")
    return float(percent.group(1)) / 100


def noise_floor(copies: Iterable[Interval | None], least: float) -> float:
    """The difference between two starts of one server on this machine, a fraction: the worst of the A/A pairs, or `least`."""
    differences = [math.expm1(abs(math.log(copy.value))) for copy in copies if copy is not None]
    return max([least, *differences])


@dataclass(frozen=True, slots=True)
class _Sides:
    """The starts of one cell, in this checkout (`head`) and in the baseline; each with its record."""

    head: list[tuple[CellMeasurement, Record]] = field(default_factory=list)
    baseline: list[tuple[CellMeasurement, Record]] = field(default_factory=list)

    def copies(self, speeds: LaneSpeeds) -> list[Interval | None]:
        """The speed of the second start over that of the first, for each checkout that has two."""
        return [
            speeds.ratio([side[1][0].measure], [side[0][0].measure]) for side in (self.head, self.baseline) if len(side) > 1
        ]


def gate_rows(
    measurements: Sequence[CellMeasurement], records: Sequence[Record], speeds: LaneSpeeds, threshold: float
) -> dict[str, GateRow]:
    """The gate's rows of the cells that the baseline has too, by cell id; `records[k]` belongs to `measurements[k]`.

    `threshold` is the allowed regression as a fraction.
    """
    cells: dict[tuple[str, str], _Sides] = {}
    for measurement, record in zip(measurements, records, strict=True):
        backend = measurement.cell.backend
        if backend.role in (Role.SERVER, Role.TWIN):
            sides = cells.setdefault((backend.copy_of or backend.name, measurement.cell.endpoint.name), _Sides())
            (sides.baseline if backend.baseline else sides.head).append((measurement, record))
    gated = [sides for sides in cells.values() if sides.head and sides.baseline]
    # The copies' ratios are without `between_starts`, since they are what measures it.
    floor = noise_floor([copy for sides in gated for copy in sides.copies(speeds)], BETWEEN_STARTS)
    return {sides.head[0][1].id: _gated(sides, speeds, threshold, floor) for sides in gated}


def _gated(sides: _Sides, speeds: LaneSpeeds, threshold: float, floor: float) -> GateRow:
    head, baseline = ([measurement.measure for measurement, _ in side] for side in (sides.head, sides.baseline))
    return gate_row(
        sides.head[0][1].id,
        threshold,
        speeds.ratio(head, baseline, between_starts=floor),
        sides.copies(speeds),
        _believed([record for _, record in sides.head]),
        _believed([record for _, record in sides.baseline]),
    )


def _believed(starts: Sequence[Record]) -> Believed:
    reason_of = {record.verdict: f"{record.verdict}: {record.reason}" for record in reversed(starts)}
    return Believed(
        trouble=reason_of.get(Verdict.FAILED) or reason_of.get(Verdict.WRONG_ANSWERS) or "",
        doubt=reason_of.get(Verdict.CACHED, ""),
        bounded=Verdict.CLIENT_BOUND in reason_of,
    )


def gate_row(
    cell: str,
    threshold: float,
    change: Interval | None,
    copies: Sequence[Interval | None],
    head: Believed,
    baseline: Believed,
) -> GateRow:
    """The row of a cell whose speed over its baseline's is `change`; that interval includes the noise floor already.

    `copies` compare two starts of the same code: this checkout's, the baseline's.

    By its speed it fails only if the whole interval lies beyond the threshold, and passes only if none of it does.
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
    """Lines for the terminal, within 100 columns: cell by cell, failures first, then how small a difference could be seen."""
    rows = sorted(rows, key=lambda row: (list(GateOutcome).index(row.outcome) != 1, row.outcome != GateOutcome.CANNOT_TELL))
    lines = []
    for row in rows:
        lines.append(f"{row.outcome.upper():<12} {row.cell[:60]:<40} {change_text(row)}")
        if row.outcome is not GateOutcome.PASS:
            lines += [f"{'':<12} {line[:86]}" for line in row.reason.splitlines()[:3]]
    lines += [f"{'':<12} {sentence}" for sentence in gate_sentences(rows)]
    return lines
