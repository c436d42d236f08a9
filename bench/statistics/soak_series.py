"""The rows of a soak as series of numbers: what each holder held, lap after lap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.records import SoakRow

QUANTITIES = ("memory_bytes", "files", "processes", "threads", "belongings")
"""The fields of a SoakRow that say how much a holder held."""


@dataclass(frozen=True, slots=True)
class SoakSeries:
    """One holder's laps in the order measured: seconds since the soak's start, and readings by quantity (None: unreadable)."""

    at_s: tuple[float, ...]
    values: dict[str, tuple[int | None, ...]]


def by_holder(rows: Sequence[SoakRow]) -> dict[str, list[SoakRow]]:
    """Each holder's rows, in the order measured."""
    holders: dict[str, list[SoakRow]] = {}
    for row in rows:
        holders.setdefault(row.holder, []).append(row)
    return holders


def series_of(rows: Sequence[SoakRow]) -> SoakSeries:
    """The series of one holder's rows."""
    return SoakSeries(
        at_s=tuple(row.at_s for row in rows),
        values={quantity: tuple(getattr(row, quantity) for row in rows) for quantity in QUANTITIES},
    )
