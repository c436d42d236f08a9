"""The soak in the reports: what the suite and each server held over the time, and whether anything grew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.records import SoakRow
from bench.statistics.leak_check import ALLOWED, ALLOWED_FRACTION, LEAST_LAPS, Growth, growths
from bench.statistics.soak_series import by_holder, series_of
from reports.tables.clean_text import cut, one_line
from reports.tables.columns import Column
from reports.tables.tables import MISSING, Grid, number

NOTE = (
    "The same servers are measured lap after lap, each time as the main job does, with fresh connections; after each lap the "
    "suite and every server are looked at. Memory is the sum of proportional set sizes (of the suite without what its "
    "allocator keeps in reserve), files are open descriptors, sockets among them. Each cell shows the medians of the second "
    "and of the last quarter of the laps: in the first caches fill. "
    f"Flat is what rose by no more than what comes and goes: {ALLOWED_FRACTION:.0%}, or {ALLOWED['memory_bytes'] >> 20} MiB, "
    f"{ALLOWED['files']} files, {ALLOWED['processes']} processes, {ALLOWED['threads']} threads."
)
_LONGEST_PROBLEM = 400
_MIB = 2**20
_NAMES = {**{quantity: quantity for quantity in ALLOWED}, "memory_bytes": "memory", "belongings": "of the run"}
_COLUMNS = (
    Column("holder", "Who", "The suite itself, or a backend.", numeric=False),
    Column("exchanges", "Exchanges", "Timed requests that were answered, in all laps."),
    Column("memory_bytes", "Memory MiB", "Sum of the proportional set sizes of its processes."),
    Column("files", "Files", "Open descriptors, sockets among them."),
    Column("processes", "Processes", "That belong to it."),
    Column("threads", "Threads", "Of these processes."),
    Column("belongings", "Of the run", "Containers, or processes on the process engine, that bear the mark of the run."),
    Column("growth", "Growth", "What rose by more than what comes and goes.", numeric=False),
)


@dataclass(frozen=True, slots=True)
class Course:
    """What one holder held: minutes since the start, and the quantity, of the laps in which it is known."""

    holder: str
    minutes: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SoakSection:
    """The soak in a report; nothing where the run was none."""

    grid: Grid
    sentences: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    memory_mib: tuple[Course, ...] = ()
    files: tuple[Course, ...] = ()


def soak_section(rows: Sequence[SoakRow]) -> SoakSection:
    """Of all laps of a run; the suite first, then the backends as they were started."""
    if not rows:
        return SoakSection(Grid((), ()))
    holders = by_holder(rows)
    series = {holder: series_of(mine) for holder, mine in holders.items()}
    found = {holder: growths(each.at_s, each.values) for holder, each in series.items()}
    laps = max(len(mine) for mine in holders.values())
    return SoakSection(
        grid=Grid(_COLUMNS, tuple(_texts(holder, mine, found[holder]) for holder, mine in holders.items())),
        sentences=(_length(rows, laps, next(iter(holders.values()))), _verdict(found, laps)),
        problems=tuple(dict.fromkeys(f"Lap {row.lap}: {cut(row.problem, _LONGEST_PROBLEM)}" for row in rows if row.problem)),
        memory_mib=_courses(holders, "memory_bytes", _MIB),
        files=_courses(holders, "files", 1),
    )


def _length(rows: Sequence[SoakRow], laps: int, suite: Sequence[SoakRow]) -> str:
    minutes, exchanges = max(row.at_s for row in rows) / 60, sum(row.exchanges for row in suite)
    return f"{number(minutes)} minutes, {laps:,} laps, {exchanges:,} timed exchanges."


def _verdict(found: dict[str, dict[str, Growth]], laps: int) -> str:
    if laps < LEAST_LAPS:
        return f"Too short to tell what grows: that takes {LEAST_LAPS} laps."
    grown = {holder: names for holder, growth in found.items() if (names := _grown(growth))}
    if not grown:
        return "All lines are flat: nobody's memory, files, processes or threads grew."
    return f"Grew: {'; '.join(f'{one_line(holder)} ({names})' for holder, names in grown.items())}."


def _grown(growth: dict[str, Growth]) -> str:
    return ", ".join(_NAMES[quantity] for quantity, each in growth.items() if not each.is_flat)


def _texts(holder: str, rows: Sequence[SoakRow], growth: dict[str, Growth]) -> tuple[str, ...]:
    verdict = (_grown(growth) or "flat") if growth else MISSING
    held = (_early_and_late(quantity, rows, growth) for quantity in ALLOWED)
    return (one_line(holder), f"{sum(row.exchanges for row in rows):,}", *held, verdict)


def _early_and_late(quantity: str, rows: Sequence[SoakRow], growth: dict[str, Growth]) -> str:
    """`85.2 → 85.6`; one figure where both are the same, the last reading where there are too few."""
    unit, digits = (_MIB, 1) if quantity == "memory_bytes" else (1, 0)
    each = growth.get(quantity)
    if each is None:
        last = getattr(rows[-1], quantity)
        return MISSING if last is None else f"{last / unit:,.{digits}f}"
    early, late = (f"{value / unit:,.{digits}f}" for value in (each.early, each.late))
    return early if early == late else f"{early} → {late}"


def _courses(holders: dict[str, list[SoakRow]], quantity: str, unit: int) -> tuple[Course, ...]:
    found = []
    for holder, rows in holders.items():
        known = [(row.at_s / 60, value / unit) for row in rows if (value := getattr(row, quantity))]
        if known:
            minutes, values = zip(*known, strict=True)
            found.append(Course(one_line(holder), minutes, values))
    return tuple(found)
