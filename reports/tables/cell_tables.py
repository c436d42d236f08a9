"""Makes the tables that have a row for each cell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from bench.contract.records import Record
from bench.contract.system import Role
from reports.tables.clean_text import one_line
from reports.tables.columns import (
    ACCURACY_KEYS,
    ACCURACY_TERMINAL_KEYS,
    COLUMNS,
    CORE_KEYS,
    LOAD_METHOD_KEYS,
    METHOD_KEYS,
    SPEED_KEYS,
    SPEED_TERMINAL_KEYS,
)
from reports.tables.names import base_name, endpoint_name, scenarios_of, title_of
from reports.tables.numbers import MISSING, kilobytes, milliseconds, number, percent, ratio, with_interval
from reports.tables.table import Row, Table

_NO_TIES: Mapping[int, int] = MappingProxyType({})


def speed_tables(records: Sequence[Record]) -> tuple[Table, ...]:
    """A table for each scenario of these records."""
    return tuple(speed_table([r for r in records if r.scenario == name]) for name in scenarios_of(records))


def speed_table(records: Sequence[Record]) -> Table:
    """The table of one scenario's cells: best rank first, then those that may not be ranked, then those not measured."""
    return replace(_compared(SPEED_KEYS, records), terminal=SPEED_TERMINAL_KEYS)


def accuracy_table(records: Sequence[Record]) -> Table:
    """The table of the accuracy pass, in the same order."""
    return replace(_compared(ACCURACY_KEYS, records), terminal=ACCURACY_TERMINAL_KEYS)


def method_table(records: Sequence[Record]) -> Table:
    """How each cell of one scenario was measured: counts, sizes, threads."""
    cells = sorted(records, key=_order)
    return _table(cells[0].scenario, _method_title(title_of(cells[0])), METHOD_KEYS, cells)


def load_method_table(title: str, records: Sequence[Record]) -> Table:
    """How each of these cells under load was measured, in the order given."""
    return _table(title, _method_title(title), LOAD_METHOD_KEYS, records)


def _method_title(title: str) -> str:
    return f"{title}, how each cell was measured"


def _compared(keys: Sequence[str], records: Sequence[Record]) -> Table:
    cells = sorted(records, key=_order)
    if not any(record.errors for record in cells):
        keys = tuple(key for key in keys if key != "errors")
    ties = Counter(record.rank for record in cells if record.rank is not None)
    bases = {record.ratio_to for record in cells if record.ratio_to}
    scenario, named = cells[0].scenario, len(bases) > 1
    note = f"Ratio: speed relative to {base_name(bases.pop(), scenario)}." if len(bases) == 1 else ""
    return replace(_table(scenario, title_of(cells[0]), keys, cells, ties, named=named), note=note, core=CORE_KEYS)


def _table(
    key: str,
    title: str,
    keys: Sequence[str],
    cells: Sequence[Record],
    ties: Mapping[int, int] = _NO_TIES,
    *,
    named: bool = False,
) -> Table:
    """A table of these cells; `ties` is how many share each rank; if `named`, each ratio says which cell it refers to."""
    rows = []
    for record in cells:
        by_key = _texts(record, ties, named=named)
        rows.append(Row(tuple(by_key[each] for each in keys), (record,)))
    compared = tuple(row for row in rows if row.record.role == Role.SERVER)
    instruments = tuple(row for row in rows if row.record.role != Role.SERVER)
    return Table(key, title, tuple(COLUMNS[each] for each in keys), compared, instruments, rows_are="cell")


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
    return (unranked, record.rank or 0, speed is None, -(speed or 0.0), record.verdict.severity, record.id)


def _texts(record: Record, ties: Mapping[int, int], *, named: bool) -> dict[str, str]:
    measured = record.exchanges > 0 or record.errors > 0
    share = record.ceiling_fraction
    return {
        "rank": MISSING if record.rank is None else f"{record.rank}{'=' if ties.get(record.rank, 1) > 1 else ''}",
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
        "scenario": title_of(record),
        "offered": number(record.offered_per_s),
        "answered": number(record.images_per_s),
        "late": MISSING if record.late_sends is None else f"{record.late_sends:,}",
        "repeated": MISSING if record.windows_repeated is None else f"{record.windows_repeated:,}",
        "lag": milliseconds(record.lag_p99_s),
        "verdict": str(record.verdict),
    }
