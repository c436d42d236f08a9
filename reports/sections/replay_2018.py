"""The replay of 2018, as tables and two sentences: the effect of the study's method on its figures, flaw by flaw."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, log
from statistics import fmean

from bench.contract.rows import StudyRow, StudyStep
from bench.contract.scenarios import BATCH_128, SINGLE
from reports.sections.published_2018 import PUBLISHED
from reports.sections.section import Heading, Items, Lean, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.names import batch_title
from reports.tables.numbers import MISSING, number, with_interval
from reports.tables.table import Row, Table

NOTE = (
    "The study's client opened a connection for each request, encoded and decoded inside the clock (GraphPipe by its own "
    "client), did not warm up, and asked one server after the other. The first row of today repeats that; each row below it "
    "removes one more flaw. Its loop ran past the end of its data and then sent empty batches; here the images wrap around and "
    "every answer is verified. Down to the last row the intervals know nothing of the machine's drift between two systems; and "
    "the servers had answered before (readiness, accuracy), so the row without a warm-up is warmer than 2018 was."
)

_TITLE = "2018 replayed, flaw by flaw"
_STEPS = {
    StudyStep.AS_IN_2018: "today, measured as in 2018",
    StudyStep.KEPT_CONNECTION: "+ one kept connection",
    StudyStep.PREPARED: "+ payload prepared, answer decoded later",
    StudyStep.WARMED_UP: "+ warm-up",
    StudyStep.INTERLEAVED: "+ interleaved in short slices",
}
_CHANGES = {
    StudyStep.KEPT_CONNECTION: "keeping the connection",
    StudyStep.PREPARED: "taking encoding and decoding out of the clock",
    StudyStep.WARMED_UP: "warming up",
    StudyStep.INTERLEAVED: "interleaving",
}


def section(stored: StoredRun) -> Section:
    """Two sentences, and a table for each scenario; empty if the run had no replay."""
    rows = stored.run.study
    tables = replay_tables(rows)
    if not tables:
        return Section("replay", _TITLE)
    problems = tuple(_problem(row) for row in rows if row.problem)
    blocks = (
        *map(Text, sentences(rows)),
        *(block for title, table in tables for block in (Heading(title), Tabular(table))),
        *([Items(problems)] if problems else []),
        Text(NOTE, "note"),
    )
    finding = " ".join(sentences(rows)[:1])
    return Section("replay", _TITLE, tuple(replace(block, until=Lean.REPLAY) for block in blocks), finding=finding)


def replay_tables(rows: Sequence[StudyRow]) -> list[tuple[str, Table]]:
    """Title and table of each scenario."""
    return [
        (batch_title(scenario.batch_size), _table(scenario.name, mine))
        for scenario in (SINGLE, BATCH_128)
        if (mine := [row for row in rows if row.scenario == scenario.name])
    ]


def _problem(row: StudyRow) -> str:
    return f"{_system(row)}, {batch_title(row.batch_size).lower()}, {_STEPS[row.step]}: {one_line(row.problem)}"


def _system(row: StudyRow) -> str:
    return one_line(f"{row.backend}-{row.endpoint}")


def _table(scenario: str, rows: Sequence[StudyRow]) -> Table:
    """A row for each step, a column for each system, and one for which system led by how much."""
    systems = list(dict.fromkeys(_system(row) for row in rows))
    columns = (
        Column("step", "Method", "What of the study's method is left.", numeric=False),
        *(Column(name, f"{name}, images/s", "Images answered a second.") for name in systems),
        Column("lead", "First against last", "The fastest system's speed over the slowest one's."),
    )
    lines = [Row(_published(scenario, systems, rows), past=True)]
    for step in StudyStep:
        of_step = {_system(row): row for row in rows if row.step is step}
        if of_step:
            speeds = [_speed(of_step.get(name)) for name in systems]
            lines.append(Row((_STEPS[step], *speeds, _lead_text(list(of_step.values())))))
    title = f"2018 replayed, {batch_title(rows[0].batch_size)}"
    return Table(scenario, title, columns, tuple(lines), sortable=False)


def _published(scenario: str, systems: Sequence[str], rows: Sequence[StudyRow]) -> tuple[str, ...]:
    """The row of figures that the study printed for systems of the same kind."""
    figures: dict[str, float] = {}
    for name in systems:
        backend = next(row.backend for row in rows if _system(row) == name)
        for published in PUBLISHED:
            if backend.startswith(published.prefixes):
                figures[name] = published.single_per_s if scenario == SINGLE.name else published.batch128_per_s
    ends = sorted(set(figures.values()))
    lead = f"{number(ends[-1] / ends[0])} times" if len(ends) > 1 else MISSING
    return ("published in 2018", *(number(figures.get(name), 4) for name in systems), lead)


def _speed(row: StudyRow | None) -> str:
    if row is None:
        return MISSING
    if row.images_per_s is None:
        return "failed" if row.problem else MISSING
    return with_interval(row.images_per_s, row.images_per_s_low, row.images_per_s_high)


def _ordered(rows: Sequence[StudyRow]) -> list[tuple[float, str]]:
    return sorted(((row.images_per_s, _system(row)) for row in rows if row.images_per_s), reverse=True)


def _lead_text(rows: Sequence[StudyRow]) -> str:
    order = _ordered(rows)
    return f"{order[0][1]}, {number(order[0][0] / order[-1][0])} times" if len(order) > 1 else MISSING


def sentences(rows: Sequence[StudyRow]) -> tuple[str, ...]:
    """Two sentences: which system led before and after, and which flaw had most effect; none if too little was measured."""
    moves = [text for name in (SINGLE.name, BATCH_128.name) if (text := _move([row for row in rows if row.scenario == name]))]
    weights = _weights(rows)
    if not moves or not weights:
        return ()
    change, factor = max(weights.items(), key=lambda item: abs(log(item[1])))
    rest = [f"{_CHANGES[step]} by {number(value)}" for step, value in weights.items() if step is not change]
    weighed = f"{_capital(_CHANGES[change])} moved the figures most, by {number(factor)} on average"
    others = f"; {', '.join(rest)}" if rest else ""
    return (
        f"{_capital('; '.join(moves))}.",
        f"{weighed}{others}: 1 is no change, and the machine's own drift is in all of them.",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _move(rows: Sequence[StudyRow]) -> str:
    """How the fastest led the slowest, with all flaws and with none; empty if fewer than two were measured."""
    steps = (StudyStep.AS_IN_2018, StudyStep.INTERLEAVED)
    before, after = (_ordered([row for row in rows if row.step is step]) for step in steps)
    if len(before) < 2 or len(after) < 2:
        return ""
    pairs = [(order[0][1], order[-1][1], number(order[0][0] / order[-1][0])) for order in (before, after)]
    then, now = (f"{first} led {last} {lead} times" for first, last, lead in pairs)
    if pairs[0][:2] == pairs[1][:2]:
        now = f"{pairs[1][2]} times"
    return f"for {batch_title(rows[0].batch_size).lower()} {then} with the study's method and {now} without its flaws"


def _weights(rows: Sequence[StudyRow]) -> dict[StudyStep, float]:
    """The factor by which removing each flaw changed throughput, as the geometric mean over systems and scenarios."""
    speeds = {(row.backend, row.endpoint, row.scenario, row.step): row.images_per_s for row in rows if row.images_per_s}
    steps, weights = list(StudyStep), {}
    for earlier, later in pairwise(steps):
        factors = [
            speeds[backend, endpoint, scenario, later] / value
            for (backend, endpoint, scenario, step), value in speeds.items()
            if step is earlier and (backend, endpoint, scenario, later) in speeds
        ]
        if factors:
            weights[later] = exp(fmean(log(factor) for factor in factors))
    return weights
