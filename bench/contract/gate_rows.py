"""What the gate says of each cell, as plain frozen data, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


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
