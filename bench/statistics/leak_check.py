"""Does something grow? Judges what a soak read of one holder, lap after lap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contract.records import SoakRow

LEAST_LAPS = 8
_MIB = 2**20
ALLOWED_FRACTION = 0.05
ALLOWED: Mapping[str, int] = {"memory_bytes": 8 * _MIB, "files": 4, "processes": 2, "threads": 4, "belongings": 2}
"""What may come and go by quantity (a thread pool, a kept connection, an allocator's arena), or 5 %, whichever is more."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One quantity of one holder: medians of the second and of the last quarter of its laps, `span_s` from one to the other.

    The first quarter is left out: caches fill and allocators settle in it.
    """

    quantity: str
    early: float
    late: float
    span_s: float

    @property
    def allowed(self) -> float:
        """How far it may rise and count as flat."""
        return max(float(ALLOWED[self.quantity]), ALLOWED_FRACTION * self.early)

    @property
    def is_flat(self) -> bool:
        """Whether it did not rise by more than what comes and goes."""
        return self.late - self.early <= self.allowed


def growths(rows: Sequence[SoakRow]) -> dict[str, Growth]:
    """By quantity, of one holder's rows in the order measured; nothing of what was not told in each, or in too few laps."""
    if len(rows) < LEAST_LAPS:
        return {}
    quarter = len(rows) // 4
    early, late = rows[quarter : 2 * quarter], rows[-quarter:]
    span_s = median(row.at_s for row in late) - median(row.at_s for row in early)
    found = {}
    for quantity in ALLOWED:
        told = [[value for row in part if (value := getattr(row, quantity)) is not None] for part in (early, late)]
        if all(len(values) == quarter for values in told):
            found[quantity] = Growth(quantity, median(told[0]), median(told[1]), span_s)
    return found


def by_holder(rows: Sequence[SoakRow]) -> dict[str, list[SoakRow]]:
    """Each holder's rows, in the order measured."""
    found: dict[str, list[SoakRow]] = {}
    for row in rows:
        found.setdefault(row.holder, []).append(row)
    return found
