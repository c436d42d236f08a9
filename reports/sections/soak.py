"""The soak in the reports: memory, files and so on held by the suite and each server over time, and whether any grew."""

from collections.abc import Sequence
from functools import partial

from bench.contract.rows import SoakRow, by_holder, readings
from bench.statistics.leak_check import ALLOWED, ALLOWED_FRACTION, LEAST_LAPS, Growth, growths
from reports.charts.soak import Course, files_chart, memory_chart
from reports.sections.section import Items, Lean, Picture, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import cut, one_line
from reports.tables.columns import Column
from reports.tables.numbers import MISSING, number
from reports.tables.table import Table, text_table

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


def section(stored: StoredRun) -> Section:
    """All laps of a run, the suite first, then the backends in the order started; empty if the run was no soak."""
    rows = stored.run.soak
    if not rows:
        return Section("soak", "Soak")
    problems = tuple(dict.fromkeys(f"Lap {row.lap}: {cut(row.problem, _LONGEST_PROBLEM)}" for row in rows if row.problem))
    memory, files = courses(rows, "memory_bytes", _MIB), courses(rows, "files", 1)
    blocks = (
        Text(NOTE, "intro", until=Lean.BACKGROUND),
        *map(Text, sentences(rows)),
        Picture("soak-memory", "Memory held, lap after lap", partial(memory_chart, memory)),
        Picture("soak-files", "Open files, lap after lap", partial(files_chart, files)),
        Tabular(soak_table(rows)),
        *([Items(problems, shrinks=True)] if problems else []),
    )
    return Section("soak", "Soak", blocks, finding=sentences(rows)[1])


def sentences(rows: Sequence[SoakRow]) -> tuple[str, str]:
    """How long the soak was, and whether anything grew."""
    holders = by_holder(rows)
    laps = max(len(mine) for mine in holders.values())
    grown = {holder: _growth(mine) for holder, mine in holders.items()}
    return _length(rows, laps, next(iter(holders.values()))), _verdict(grown, laps)


def soak_table(rows: Sequence[SoakRow]) -> Table:
    """A row for each holder."""
    return text_table("Soak", _COLUMNS, [_texts(holder, mine, _growth(mine)) for holder, mine in by_holder(rows).items()])


def _growth(rows: Sequence[SoakRow]) -> dict[str, Growth]:
    return growths(*readings(rows, ALLOWED))


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
    """`85.2 → 85.6`: early and late median; one figure if both are the same, the last reading if there are too few laps."""
    unit, digits = (_MIB, 1) if quantity == "memory_bytes" else (1, 0)
    each = growth.get(quantity)
    if each is None:
        last = getattr(rows[-1], quantity)
        return MISSING if last is None else f"{last / unit:,.{digits}f}"
    early, late = (f"{value / unit:,.{digits}f}" for value in (each.early, each.late))
    return early if early == late else f"{early} → {late}"


def courses(rows: Sequence[SoakRow], quantity: str, unit: int) -> tuple[Course, ...]:
    """What each holder held of a quantity over time, divided by `unit`."""
    shown = []
    for holder, mine in by_holder(rows).items():
        points = [(row.at_s / 60, value / unit) for row in mine if (value := getattr(row, quantity))]
        if points:
            minutes, values = zip(*points, strict=True)
            shown.append(Course(one_line(holder), minutes, values))
    return tuple(shown)
