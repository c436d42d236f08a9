"""Records to table rows: the only place that converts units and rounds, so that all reports show the same numbers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.contract.records import Record, Verdict
from bench.contract.scenarios import ACCURACY, SINGLE
from bench.contract.system import Role
from reports.tables.clean_text import one_line
from reports.tables.columns import ACCURACY_KEYS, COLUMNS, LOAD_METHOD_KEYS, METHOD_KEYS, SPEED_KEYS, Column

MISSING = "–"
TITLES = {"single": "Single images", "batch128": "Batches of 128", ACCURACY.name: "Accuracy"}

_LOAD_TITLES = (
    ("c0*1", "1 client"),
    (r"c(\d+)", "{} clients"),
    (r"(poisson|constant)(\d+(?:p\d+)?)", "{} arrivals, {} % of its peak"),
    (r"(poisson|constant)-(\d+(?:p\d+)?)rps", "{} arrivals, {}/s"),
    (r"slo(\d+(?:p\d+)?)ms", "Highest rate with p99 under {} ms"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One cell: its record and the text of each column."""

    record: Record
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One scenario: `rows` are compared, `instruments` (null, reference) are not."""

    scenario: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    instruments: tuple[Row, ...]
    note: str = ""

    def select(self, keys: Sequence[str]) -> Table:
        """The same table with only these columns, in this order."""
        places = [n for key in keys for n, column in enumerate(self.columns) if column.key == key]
        rows, instruments = (
            tuple(Row(row.record, tuple(row.texts[n] for n in places)) for row in part)
            for part in (self.rows, self.instruments)
        )
        return Table(self.scenario, self.title, tuple(self.columns[n] for n in places), rows, instruments, self.note)


def number(value: float | None, digits: int = 3, half_width: float | None = None) -> str:
    """`digits` significant digits, whole part always complete; up to two more if the interval's half width supports them."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    decimals = digits - 1 - exponent
    if half_width:
        decimals = max(decimals, min(decimals + 2, math.ceil(-math.log10(half_width / 2))))
    return f"{value:,.{max(0, decimals)}f}"


def milliseconds(seconds: float | None) -> str:
    """A duration of an exchange."""
    return number(None if seconds is None else seconds * 1e3)


def seconds(value: float | None) -> str:
    """A time that a person waits: three digits, but nothing below a millisecond."""
    return number(value) if value is None or value >= 0.1 else f"{value:.3f}"


def kilobytes(size_bytes: int | None) -> str:
    """A size of a body; kB is 1000 bytes."""
    return number(None if size_bytes is None else size_bytes / 1e3)


def percent(share: float | None) -> str:
    """Two decimals; only what is whole shows as 100 %."""
    if share is None:
        return MISSING
    shown = round(100 * share, 2)
    return f"{min(shown, 99.99) if share < 1 else shown:.2f} %"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """`1,234 ± 1.2 %`: the larger side of the interval, relative."""
    if value is None or low is None or high is None or value <= 0:
        return number(value)
    half_width = max(high - value, value - low, 0.0)
    return f"{number(value, half_width=half_width)} ± {number(100 * half_width / value, digits=2)} %"


def ratio(value: float | None, low: float | None, high: float | None) -> str:
    """`0.71 [0.69, 0.73]`."""
    if value is None:
        return MISSING
    decimals = _ratio_decimals(value, low, high)
    text = f"{value:.{decimals}f}"
    return text if low is None or high is None else f"{text} [{low:.{decimals}f}, {high:.{decimals}f}]"


def times(value: float, low: float | None = None, high: float | None = None) -> str:
    """`1.40 times (1.35 to 1.45)`; without an interval it is `about 1.40 times`."""
    decimals = _ratio_decimals(value, low, high)
    if low is None or high is None:
        return f"about {value:.{decimals}f} times"
    return f"{value:.{decimals}f} times ({low:.{decimals}f} to {high:.{decimals}f})"


def _ratio_decimals(*values: float | None) -> int:
    """Three significant digits of the smallest, one decimal at least; more where something that is not 1 would look like 1."""
    known = [value for value in values if value is not None]
    smallest = min(abs(value) for value in known)
    decimals = min(4, max(1, 2 - math.floor(math.log10(smallest)))) if smallest else 2
    while decimals < 4 and any(value != 1 and f"{value:.{decimals}f}" == f"{1:.{decimals}f}" for value in known):
        decimals += 1
    return decimals


def size(size_bytes: float) -> str:
    """`16.5 GB`: in the unit that keeps the number short; powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{number(size_bytes)} {unit}"
        size_bytes /= 1000
    return f"{number(size_bytes)} GB"


def endpoint_name(record: Record) -> str:
    """`<backend>-<endpoint>`: a cell's name within its scenario."""
    return one_line(f"{record.backend}-{record.endpoint}")


def title_of(scenario: str) -> str:
    """The scenario in words."""
    for pattern, title in _LOAD_TITLES:
        if found := re.fullmatch(pattern, scenario):
            return title.format(*map(_title_part, found.groups()))
    size = batch_of(scenario)
    return TITLES.get(scenario) or (f"Batches of {size}" if size else one_line(scenario))


def batch_of(scenario: str) -> int | None:
    """The images of one request in a throughput scenario, as its name says it: 1 for `single`, 8 for `batch8`."""
    size = scenario.removeprefix("batch")
    if scenario == SINGLE.name:
        return SINGLE.batch_size
    return int(size) if size != scenario and size.isascii() and size.isdigit() and len(size) < 6 else None


def _title_part(text: str) -> str:
    """`08` -> `8`, `2p5` -> `2.5` (a scenario's name holds no dot), `poisson` -> `Poisson`."""
    return f"{float(text.replace('p', '.')):g}" if text[0].isdigit() else text.capitalize()


def of_one_client(records: Sequence[Record]) -> list[Record]:
    """Cells of one client in a closed loop, the accuracy pass included; those under load have a section of their own."""
    return [record for record in records if record.kind in ("throughput", "accuracy")]


def scenarios_of(records: Sequence[Record]) -> list[str]:
    """The scenarios of one client that have a cell: throughput by batch size, accuracy, then the others by name."""
    present = {record.scenario for record in of_one_client(records)}
    sizes = {size: name for name in present if (size := batch_of(name)) is not None}
    known = [*(sizes[size] for size in sorted(sizes)), ACCURACY.name]
    return [name for name in known if name in present] + sorted(present - set(known))


def scenario_table(scenario: str, records: Sequence[Record]) -> Table:
    """The cells of one scenario: best rank first, then what may not be ranked, then what was not measured."""
    cells = sorted((record for record in records if record.scenario == scenario), key=_order)
    keys: tuple[str, ...] = ACCURACY_KEYS if scenario == ACCURACY.name else SPEED_KEYS
    if not any(record.errors for record in cells):
        keys = tuple(key for key in keys if key != "errors")
    ties = Counter(record.rank for record in cells if record.rank is not None)
    bases = {record.ratio_to for record in cells if record.ratio_to}
    note = f"Ratio: speed relative to {base_name(bases.pop(), scenario)}." if len(bases) == 1 else ""
    return _table(scenario, keys, cells, note, lambda record: _texts(record, ties, named=len(bases) > 1))


def method_table(scenario: str, records: Sequence[Record]) -> Table:
    """How each cell of one scenario was measured: counts, sizes, threads."""
    cells = sorted((record for record in records if record.scenario == scenario), key=_order)
    no_ties: Counter[int] = Counter()
    return _table(scenario, METHOD_KEYS, cells, "", lambda record: _texts(record, no_ties, named=False))


def load_table(title: str, records: Sequence[Record]) -> Table:
    """How each of these cells under load was measured, in the order given."""
    no_ties: Counter[int] = Counter()
    return _table(title, LOAD_METHOD_KEYS, list(records), "", lambda record: _texts(record, no_ties, named=False))


def base_name(ratio_to: str, scenario: str) -> str:
    """Whom a ratio refers to, as it stands in the table of its scenario."""
    return one_line(ratio_to.removesuffix(f"-{scenario}"))


def _table(
    scenario: str, keys: Sequence[str], cells: list[Record], note: str, texts: Callable[[Record], dict[str, str]]
) -> Table:
    rows = []
    for record in cells:
        by_key = texts(record)
        rows.append(Row(record, tuple(by_key[key] for key in keys)))
    compared = tuple(row for row in rows if row.record.role == Role.SERVER)
    instruments = tuple(row for row in rows if row.record.role != Role.SERVER)
    columns = tuple(COLUMNS[key] for key in keys)
    return Table(scenario, title_of(scenario), columns, compared, instruments, note)


def _ratio_text(record: Record, *, named: bool) -> str:
    if record.ratio is not None and record.ratio_to == record.id:
        return "1"
    text = ratio(record.ratio, record.ratio_low, record.ratio_high)
    return (
        f"{text} to {base_name(record.ratio_to, record.scenario)}"
        if named and record.ratio is not None and record.ratio_to
        else text
    )


def _difference(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.1e}" if value else "0"


def _order(record: Record) -> tuple[bool, int, bool, float, int, str]:
    speed = record.images_per_s
    unranked = record.rank is None
    return (unranked, record.rank or 0, speed is None, -(speed or 0.0), list(Verdict).index(record.verdict), record.id)


def _texts(record: Record, ties: Counter[int], *, named: bool) -> dict[str, str]:
    measured = record.exchanges > 0 or record.errors > 0
    share = record.ceiling_fraction
    return {
        "rank": MISSING if record.rank is None else f"{record.rank}{'=' if ties[record.rank] > 1 else ''}",
        "cell": endpoint_name(record),
        "protocol": one_line(record.protocol) or MISSING,
        "runtime": one_line(record.runtime) or MISSING,
        "images_per_s": with_interval(record.images_per_s, record.images_per_s_low, record.images_per_s_high),
        "ratio": _ratio_text(record, named=named),
        "p50": milliseconds(record.latency_p50_s),
        "p90": milliseconds(record.latency_p90_s),
        "p95": milliseconds(record.latency_p95_s),
        "p99": milliseconds(record.latency_p99_s),
        "p999": milliseconds(record.latency_p999_s),
        "mean": milliseconds(record.latency_mean_s),
        "first": milliseconds(record.first_exchange_s),
        "encode": milliseconds(record.encode_s),
        "decode": milliseconds(record.decode_s),
        "accuracy": percent(record.accuracy),
        "agreement": percent(record.agreement),
        "max_abs_diff": _difference(record.max_abs_diff),
        "answers": f"{record.answers_verified:,}" if measured or record.answers_verified else MISSING,
        "ceiling": MISSING if share is None else f"{number(100 * share, digits=2)} %",
        "cpu": milliseconds(record.server_cpu_s_per_image),
        "errors": f"{record.errors:,}" if measured else MISSING,
        "exchanges": f"{record.exchanges:,}" if measured else MISSING,
        "rounds": f"{record.rounds:,}" if measured else MISSING,
        "measured": number(record.measured_s) if measured else MISSING,
        "reconnects": f"{record.reconnects:,}" if measured else MISSING,
        "outliers": f"{record.outliers:,}" if measured else MISSING,
        "request": kilobytes(record.request_bytes),
        "answer": kilobytes(record.answer_bytes),
        "same": number(record.same_sample_speedup),
        "threads": MISSING if record.server_threads is None else f"{record.server_threads:,}",
        "runnable": number(record.runnable_threads, digits=2),
        "scenario": title_of(record.scenario),
        "offered": number(record.offered_per_s),
        "answered": number(record.images_per_s),
        "late": MISSING if record.late_sends is None else f"{record.late_sends:,}",
        "lag": milliseconds(record.lag_p99_s),
        "verdict": str(record.verdict),
    }


@dataclass(frozen=True, slots=True)
class Grid:
    """A plain table of texts."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
