"""Two runs side by side: how each cell's speed changed, and whether that is more than the machine's drift between the runs.

Runs of two sessions differ by more than their intervals say. The yardstick is null and the reference, which both runs measured
with the same code: a server's change counts only if it is larger than theirs. To compare two versions of a server, measure
them in one session: `--baseline`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.errors import BadInput
from bench.contract.records import Record, Run
from bench.contract.system import Role
from bench.statistics import BETWEEN_STARTS
from reports.sections.cells.speed import KINDS
from reports.store.store import StoredRun
from reports.tables.clean_text import listed, one_line
from reports.tables.columns import Column
from reports.tables.names import endpoint_name, of_kinds, scenarios_of, title_of
from reports.tables.numbers import MISSING, number, with_interval
from reports.tables.table import Table, text_table

BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"
_COLUMNS = (
    Column("cell", "Cell", "Backend and endpoint.", numeric=False),
    Column("before", "Before, images/s", "In the first run, with its 95 % interval."),
    Column("after", "After, images/s", "In the second run, with its 95 % interval."),
    Column("change", "Change", "Speed of the second run over the first, with the interval that the yardstick allows."),
    Column("verdict", "Verdict", "Better or worse only where the whole interval says so.", numeric=False),
    Column("why", "Note", "What else differs.", numeric=False),
)


@dataclass(frozen=True, slots=True)
class Yardstick:
    """How much null and the reference changed in a scenario: `spread` is the largest |log ratio|, None without any."""

    spread: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One cell's change: the second run's speed over the first's, with its interval, None if the runs cannot tell."""

    value: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """Better, worse or cannot tell."""
        if self.low is None or self.high is None:
            return CANNOT_TELL
        return BETTER if self.low > 1 else WORSE if self.high < 1 else CANNOT_TELL

    @property
    def text(self) -> str:
        """`+12.3 % (+8.1 to +16.7)`."""
        value = f"{100 * (self.value - 1):+.1f} %"
        if self.low is None or self.high is None:
            return value
        return f"{value} ({100 * (self.low - 1):+.1f} to {100 * (self.high - 1):+.1f})"


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """The table of one scenario, and a sentence on its yardstick."""

    title: str
    table: Table
    yardstick: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole comparison, as texts and tables."""

    title: str
    lead: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]
    tables: tuple[ComparisonTable, ...]


def compare(before: StoredRun, after: StoredRun) -> Comparison:
    """Compare two runs; raises BadInput if they measured different images or different models."""
    _require_same(before.run, after.run)
    old, new = (of_kinds(run.records, KINDS) for run in (before, after))
    pairs = _pairs(old, new)
    titles = {record.scenario: title_of(record) for record in (*old, *new)}
    tables, changed = [], []
    for scenario in scenarios_of([*old, *new]):
        here = {key: pair for key, pair in pairs.items() if key[2] == scenario}
        yardstick = yardstick_of([pair for pair in here.values() if pair[0] and pair[1]])
        servers = [pair for pair in here.values() if any(each and each.role == Role.SERVER for each in pair)]
        changes = [(pair, _change(pair, yardstick)) for pair in servers]
        changed += [(pair[1] or pair[0], change) for pair, change in changes]
        rows = [_texts(pair, change) for pair, change in changes]
        table = text_table(titles[scenario], _COLUMNS, rows, sortable=False)
        tables.append(ComparisonTable(titles[scenario], table, yardstick.text))
    return Comparison(
        title="Comparison of two runs",
        lead=f"{_named(before.run)}, then {_named(after.run)}",
        sentences=_sentences(changed),
        warnings=_warnings(before.run, after.run),
        tables=tuple(tables),
    )


def yardstick_of(pairs: Sequence[tuple[Record | None, Record | None]]) -> Yardstick:
    """The yardstick of one scenario, from the instruments' cells that are in both runs."""
    logs = {}
    for one, other in pairs:
        if one and other and one.role in (Role.CEILING, Role.REFERENCE) and one.images_per_s and other.images_per_s:
            logs[endpoint_name(one)] = math.log(other.images_per_s / one.images_per_s)
    if not logs:
        return Yardstick(None, "No instrument stands in both runs: what the machine did between them is not known.")
    low, high = (100 * math.expm1(end) for end in (min(logs.values()), max(logs.values())))
    changed = f"{low:+.1f} %" if len(logs) == 1 else f"{low:+.1f} to {high:+.1f} %"
    text = f"The yardstick, {listed(sorted(logs))}, changed by {changed}: a smaller change of a server may be the machine's."
    return Yardstick(max(abs(value) for value in logs.values()), text)


def _require_same(before: Run, after: Run) -> None:
    for what, one, other in (("images", before.dataset, after.dataset), ("model", before.model, after.model)):
        if one.get("sha256") != other.get("sha256"):
            seen = " and ".join(str(each.get("sha256"))[:12] for each in (one, other))
            raise BadInput(f"the two runs cannot be compared: expected the same {what}, seen {seen} (sha256). Measure again.")


def _pairs(
    before: Sequence[Record], after: Sequence[Record]
) -> Mapping[tuple[str, str, str], tuple[Record | None, Record | None]]:
    """Both runs' records by (backend, endpoint, scenario), in the second run's order; cells only in the first come last."""
    old = {(r.backend, r.endpoint, r.scenario): r for r in before}
    new = {(r.backend, r.endpoint, r.scenario): r for r in after}
    return {key: (old.get(key), new.get(key)) for key in [*new, *(key for key in old if key not in new)]}


def _change(pair: tuple[Record | None, Record | None], yardstick: Yardstick) -> Change | None:
    one, other = pair
    if one is None or other is None or not one.images_per_s or not other.images_per_s:
        return None
    if not (one.verdict.comparable and other.verdict.comparable):
        return None
    value = math.log(other.images_per_s / one.images_per_s)
    halves = [_half(record) for record in (one, other)]
    if yardstick.spread is None or None in halves or one.engine != other.engine:
        return Change(math.exp(value), None, None)
    # If the client was the bottleneck in either run, the server's gain or loss is hidden.
    if one.verdict.lower_bound or other.verdict.lower_bound:
        return Change(math.exp(value), None, None)
    width = math.hypot(*(half or 0.0 for half in halves), math.log1p(BETWEEN_STARTS)) + yardstick.spread
    return Change(math.exp(value), math.exp(value - width), math.exp(value + width))


def _half(record: Record) -> float | None:
    """Half the width of the speed's interval, as a logarithm: its larger side; None without an interval."""
    value, low, high = record.images_per_s, record.images_per_s_low, record.images_per_s_high
    if not value or not low or not high:
        return None
    return max(math.log(high / value), math.log(value / low))


def _texts(pair: tuple[Record | None, Record | None], change: Change | None) -> tuple[str, ...]:
    record = pair[1] or pair[0]
    if record is None:
        raise ValueError("a pair has one of the two")
    speeds = [
        MISSING if each is None else with_interval(each.images_per_s, each.images_per_s_low, each.images_per_s_high)
        for each in pair
    ]
    text, verdict = (MISSING, "not compared") if change is None else (change.text, change.verdict)
    return (endpoint_name(record), *speeds, text, verdict, _note(*pair))


def _note(one: Record | None, other: Record | None) -> str:
    if one is None or other is None:
        return "only in the second run" if one is None else "only in the first run"
    if one.verdict != other.verdict:
        return f"{one.verdict} before, {other.verdict} now"
    if one.engine != other.engine:
        return f"engine {one.engine} before, {other.engine} now"
    return one.verdict.doubt


def _sentences(found: Sequence[tuple[Record | None, Change | None]]) -> tuple[str, ...]:
    named: dict[str, list[str]] = {BETTER: [], WORSE: [], CANNOT_TELL: []}
    for record, change in found:
        if record is not None and change is not None:
            named[change.verdict].append(f"{endpoint_name(record)} ({title_of(record).lower()}, {change.text})")
    said = [f"{word.capitalize()}: {listed(named[word], 6)}." for word in (WORSE, BETTER) if named[word]]
    if not said:
        said = ["No cell changed by more than these two runs can tell."]
    apart = sum(change is None for _, change in found)
    counted = f"{len(named[CANNOT_TELL])} cells cannot be told apart" + (f", {apart} are not in both runs." if apart else ".")
    return (*said, counted)


def _warnings(before: Run, after: Run) -> tuple[str, ...]:
    """Differences between the runs that should not be: in machine, software, engine or options."""
    warnings = []
    for what, keys in (
        ("machine", ("host", "cpu", "kernel", "governor", "server_cpus", "client_cpu", "client_priority")),
        ("software", ("packages",)),
    ):
        for key in keys:
            one, other = before.environment.get(key), after.environment.get(key)
            if one != other:
                warnings.append(f"The {what} differs ({key}): {_short(one)} before, {_short(other)} now.")
    if before.engine != after.engine:
        warnings.append(f"The engine differs: {before.engine} before, {after.engine} now.")
    for key in sorted(before.options.keys() & after.options.keys() - {"seed"}):
        one, other = before.options.get(key), after.options.get(key)
        if one != other:
            warnings.append(f"The option {key} differs: {_short(one)} before, {_short(other)} now.")
    return tuple(warnings)


def _short(value: object) -> str:
    return one_line(number(value, 4) if isinstance(value, float) else str(value))[:120]


def _named(run: Run) -> str:
    commit = run.environment.get("commit")
    return one_line(f"{run.id} ({run.started_utc.replace('T', ' ')[:16]} UTC{f', commit {commit}' if commit else ''})")
