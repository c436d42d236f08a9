"""What the 2018 study published, and today's cells to show beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.records import Record
from bench.contract.scenarios import ACCURACY, BATCH_128, SINGLE
from bench.contract.system import Role
from reports.sections.section import Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.names import endpoint_name
from reports.tables.numbers import MISSING, number, percent, with_interval
from reports.tables.table import Row, Table

NOTE = (
    "The 2018 figures come from another machine (Docker for Mac) and another method: a new connection for each request, "
    "encoding and decoding inside the clock, no warm-up, one server after the other, answers unchecked, another model. "
    "They stand here for orientation; a ratio of 2018 to today says nothing about a server."
)

_TITLE = "2018 and today"


@dataclass(frozen=True, slots=True)
class Published:
    """One system of the study: images/s one at a time and in batches of 128; `prefixes` are today's backends of its kind."""

    system: str
    prefixes: tuple[str, ...]
    single_per_s: float
    batch128_per_s: float
    accuracy: float


PUBLISHED = (
    Published(
        "TensorFlow Serving",
        ("tensorflow-serving", "tensorflow_serving", "tf-serving", "tfserving", "tfs"),
        207.7,
        2158.9,
        0.776,
    ),
    Published("GraphPipe", ("graphpipe",), 147.3, 6126.9, 0.776),
    Published("Flask", ("flask",), 125.0, 1371.7, 0.776),
)

_COLUMNS = (
    Column("when", "Year", "When it was measured.", numeric=False),
    Column("system", "System", "What served.", numeric=False, names_row=True),
    Column("protocol", "Protocol", "What is spoken on the wire.", numeric=False),
    Column("single", "Single images, images/s", "One image a request."),
    Column("batch128", "Batches of 128, images/s", "128 images a request."),
    Column("accuracy", "Accuracy", "On the same 1000 images; the models differ."),
)


def section(stored: StoredRun) -> Section:
    """The table; empty for a model of the user's own, since the study's figures say nothing about another model's speed."""
    if stored.run.dataset.get("own"):
        return Section("published", _TITLE)
    table = then_and_now(stored.records, stored.run.started_utc[:4])
    return Section(
        "published",
        _TITLE,
        (Text(NOTE, "intro"), Tabular(table)),
        finding="What the study printed, beside this run's cells of the same kind.",
    )


def then_and_now(records: Sequence[Record], year: str) -> Table:
    """Each published system, followed by today's cells of its kind."""
    rows: list[Row] = []
    for published in PUBLISHED:
        protocol = "flatbuffers" if published.system == "GraphPipe" else "JSON"
        figures = (number(published.single_per_s, 4), number(published.batch128_per_s, 5), percent(published.accuracy))
        rows.append(Row(("2018", published.system, protocol, *figures), past=True))
        rows += [Row(texts) for texts in _today(published, records, year)]
    return Table("published", _TITLE, _COLUMNS, tuple(rows), sortable=False)


def _today(published: Published, records: Sequence[Record], year: str) -> list[tuple[str, ...]]:
    mine = [r for r in records if r.role == Role.SERVER and r.backend.lower().startswith(published.prefixes)]
    if not mine:
        return [(year, f"{published.system}: not in this run", MISSING, MISSING, MISSING, MISSING)]
    endpoints = list(dict.fromkeys((record.backend, record.endpoint) for record in mine))
    return [_row([r for r in mine if (r.backend, r.endpoint) == endpoint], year) for endpoint in endpoints]


def _row(cells: Sequence[Record], year: str) -> tuple[str, ...]:
    by_scenario = {record.scenario: record for record in cells}
    accuracies = [by_scenario[name].accuracy for name in (ACCURACY.name, SINGLE.name, BATCH_128.name) if name in by_scenario]
    measured = [accuracy for accuracy in accuracies if accuracy is not None]
    speeds = (_speed(by_scenario.get(scenario.name)) for scenario in (SINGLE, BATCH_128))
    return (year, endpoint_name(cells[0]), one_line(cells[0].protocol), *speeds, percent(measured[0] if measured else None))


def _speed(record: Record | None) -> str:
    if record is None:
        return MISSING
    if record.images_per_s is None:
        return str(record.verdict)
    return with_interval(record.images_per_s, record.images_per_s_low, record.images_per_s_high)
