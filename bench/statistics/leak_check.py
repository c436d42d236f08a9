"""Detect leaks: whether the memory, files, processes or threads of one holder grow from lap to lap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

LEAST_LAPS = 8
_MIB = 2**20
ALLOWED_FRACTION = 0.05
ALLOWED: Mapping[str, int] = {"memory_bytes": 8 * _MIB, "files": 4, "processes": 2, "threads": 4, "belongings": 2}
"""By quantity, how much it may rise (a thread pool, a kept connection, an allocator's arena), or 5 % if that is more."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One quantity of one holder: medians of the second and of the last quarter of its laps, `span_s` seconds apart.

    The first quarter is left out: caches fill and allocators settle in it.
    """

    quantity: str
    early: float
    late: float
    span_s: float

    @property
    def allowed(self) -> float:
        """How far it may rise and still count as flat."""
        return max(float(ALLOWED[self.quantity]), ALLOWED_FRACTION * self.early)

    @property
    def is_flat(self) -> bool:
        """Whether it rose by no more than `allowed`."""
        return self.late - self.early <= self.allowed


def growths(at_s: Sequence[float], series: Mapping[str, Sequence[float | None]]) -> dict[str, Growth]:
    """By quantity, the growth of one holder's readings.

    `series[quantity]` [laps] was read `at_s` [laps] seconds after the start. Quantities are those of `ALLOWED`; for others
    `Growth.allowed` raises KeyError. Leaves out a quantity with a reading that is None in the second or last quarter; empty
    with fewer than `LEAST_LAPS` laps.
    """
    if len(at_s) < LEAST_LAPS:
        return {}
    quarter = len(at_s) // 4
    span_s = median(at_s[-quarter:]) - median(at_s[quarter : 2 * quarter])
    growth_of = {}
    for quantity, values in series.items():
        early, late = (
            [value for value in part if value is not None] for part in (values[quarter : 2 * quarter], values[-quarter:])
        )
        if len(early) == len(late) == quarter:
            growth_of[quantity] = Growth(quantity, median(early), median(late), span_s)
    return growth_of
