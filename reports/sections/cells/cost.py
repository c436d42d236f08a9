"""What serving costs: CPU time, energy and memory of each backend, beside its speed."""

from collections.abc import Sequence

from bench.contract.records import Record
from bench.contract.scenarios import THROUGHPUT_SCENARIOS
from bench.contract.system import Role
from reports.sections.cells.attached import ENGINE, NOT_OURS
from reports.sections.section import Lean, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.columns import Column
from reports.tables.names import batch_title, endpoint_name, of_kinds
from reports.tables.numbers import number, size
from reports.tables.table import Table, text_table

NOTE = (
    "CPU time is that of the server's processes alone. Energy is that of the machine's packages by their own meters (RAPL), "
    "the client and idling included; most virtual machines have none. Peak memory belongs to the whole backend, whoever of its "
    "endpoints was asked: of a container it is its cgroup's high-water mark, the page cache charged to it included; of "
    "processes the most that was seen after a campaign, what they share counted once. Compare it within an engine."
)
NOT_MEASURED = "not measured"
KINDS = ("throughput",)
_IMAGES = 1000


def section(stored: StoredRun) -> Section:
    """The table of costs; empty if no cost is known of any endpoint."""
    table = cost_table(of_kinds(stored.records, KINDS), stored.records)
    blocks = (Text(NOTE, "intro", until=Lean.BACKGROUND), Tabular(table, until=Lean.COLUMNS)) if table.rows else ()
    return Section("cost", "Cost", blocks, finding=_finding(table))


def cost_table(cells: Sequence[Record], records: Sequence[Record]) -> Table:
    """A row for each endpoint that answered, cheapest first; no rows if no cost is known of any."""
    names = [scenario.name for scenario in THROUGHPUT_SCENARIOS]
    by_name: dict[str, dict[str, Record]] = {}
    for record in cells:
        if record.role == Role.SERVER and record.scenario in names and record.exchanges:
            by_name.setdefault(endpoint_name(record), {})[record.scenario] = record
    if not any(_figures(record) for of_endpoint in by_name.values() for record in of_endpoint.values()):
        return text_table("Cost", _columns(), ())
    order = sorted(by_name, key=lambda name: (_cheapness([by_name[name].get(scenario) for scenario in names]), name))
    return text_table("Cost", _columns(), [_texts(name, by_name[name], names, records) for name in order])


def _figures(record: Record) -> bool:
    costs = (record.server_cpu_s_per_image, record.energy_j_per_image, record.server_peak_memory_bytes)
    return any(value is not None for value in costs)


def _cheapness(of_endpoint: Sequence[Record | None]) -> float:
    cpu_s = [record.server_cpu_s_per_image for record in of_endpoint if record is not None and not record.verdict.fails_test]
    return next((value for value in cpu_s if value is not None), float("inf"))


def _columns() -> tuple[Column, ...]:
    titles = [batch_title(scenario.batch_size).lower() for scenario in THROUGHPUT_SCENARIOS]
    return (
        Column("endpoint", "Endpoint", "One protocol of one backend.", numeric=False),
        *(Column(f"cpu-{t}", f"CPU s/1000, {t}", f"CPU seconds of the server for {_IMAGES} images, {t}.") for t in titles),
        *(Column(f"joule-{t}", f"J/1000, {t}", f"Joules of the machine's packages for {_IMAGES} images, {t}.") for t in titles),
        Column(
            "memory", "Peak memory", "The most that the backend's processes held at once in this run, as far as it was seen."
        ),
    )


def _texts(name: str, cells: dict[str, Record], scenarios: Sequence[str], records: Sequence[Record]) -> tuple[str, ...]:
    of_name = [cells.get(scenario) for scenario in scenarios]
    backend = next(iter(cells.values())).backend
    peaks = [r.server_peak_memory_bytes for r in records if r.backend == backend and r.server_peak_memory_bytes is not None]
    return (
        name,
        *(_for_many(record, record.server_cpu_s_per_image if record is not None else None) for record in of_name),
        *(_for_many(record, record.energy_j_per_image if record is not None else None) for record in of_name),
        size(max(peaks)) if peaks else _unknown(next(iter(cells.values()))),
    )


def _for_many(record: Record | None, per_image: float | None) -> str:
    """The cost of `_IMAGES` images; for a cell that fails its test, a text in its place."""
    if record is not None and record.verdict.fails_test:
        return record.verdict.instead
    return _unknown(record) if per_image is None else number(per_image * _IMAGES)


def _unknown(record: Record | None) -> str:
    return NOT_OURS if record is not None and record.engine == ENGINE else NOT_MEASURED


def _finding(table: Table) -> str:
    """Which endpoint takes least CPU time: the first of the table; empty if that was not measured."""
    first = next(iter(table.rows), None)
    if first is None or first.texts[1] in (NOT_MEASURED, NOT_OURS):
        return ""
    return f"{first.texts[0]} takes least CPU time: {first.texts[1]} s for {_IMAGES:,} images, one at a time."
