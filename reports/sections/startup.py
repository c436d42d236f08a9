"""Start-up in the reports: how long each backend takes, step by step, to reach its steady latency, and to stop."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

from bench.contract.backend_facts import BackendFacts
from bench.contract.rows import StartRow
from reports.charts.startup import ANSWER, LAUNCH, PORT, READY, WARM, Timeline, timeline_chart
from reports.sections.section import Items, Lean, Picture, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import ends, one_line
from reports.tables.columns import Column
from reports.tables.numbers import MISSING, seconds, size
from reports.tables.table import Table, text_table

NOTE = (
    "Seconds since the start was ordered: medians of fresh starts, the range in brackets. Images, environments and exports are "
    "made beforehand, the same backend runs already (its files are in the page cache), and all others are up and idle: the "
    "start of a further replica, not of the first one on a new machine. A server that has a word of its own for being ready "
    "gets its first request after it. Warm is where the latency has come down to 10 % above its steady state at most, to stay "
    "there (where that is itself more restless, within what it keeps); it is left out (–) where it did not settle in the "
    "second or so in which it was asked."
)
OWN_NOTE = (
    "Seconds from the order to the first right answer of every endpoint, when this run started the server: once, beside those "
    "before it. Images, environments and exports were made before, but files need not have been in the page cache. "
    "--starts=3 times three fresh starts of each, step by step."
)
_LONGEST_PROBLEM = 400
_FIELDS = {LAUNCH: "launch_s", PORT: "port_open_s", READY: "ready_s", ANSWER: "first_answer_s", WARM: "warm_s"}
_COLUMNS = (
    Column("backend", "Backend", "Who.", numeric=False),
    Column("starts", "Starts", "Those that came to a right answer, of all."),
    Column("launch", "Launched s", "Until the engine has started it."),
    Column("port", "Port open s", "Until its port takes a connection."),
    Column("ready", "Says ready s", "Until it says of itself that it is ready; – where it has no word for it."),
    Column("answer", "First answer s", "Until a real prediction was answered rightly."),
    Column("warm", "Warm s", "Until its latency stays within 10 % of its steady state."),
    Column("stop", "Stopped s", "How long stopping took, from the signal until nothing of it is left."),
    Column("size", "Size", "Of its image or its environment: what a new machine must fetch before."),
)


def section(stored: StoredRun) -> Section:
    """All starts of a run: backends by time of first answer, then those that gave none; empty if there were no starts."""
    rows = stored.run.startup
    if not rows:
        return Section("startup", "Start-up")
    lines = timelines(rows)
    problems = tuple(_problem(row) for row in rows if row.problem)
    fresh = any(row.repeat and row.launch_s is not None for row in rows)
    blocks = (
        Text(NOTE if fresh else OWN_NOTE, "intro", until=Lean.BACKGROUND),
        Picture("startup", "Start-up, step by step", partial(timeline_chart, tuple(lines.values()))),
        Tabular(start_table(rows, stored.run.backends)),
        *([Items(problems, shrinks=True)] if problems else []),
    )
    return Section("startup", "Start-up", blocks, finding=_finding(tuple(lines.values())))


def timelines(rows: Sequence[StartRow]) -> dict[str, Timeline]:
    """Timelines by backend, of those that gave an answer, fastest first."""
    lines = {name: line for name, starts in _by_backend(rows).items() if (line := _timeline(name, starts)) is not None}
    return dict(sorted(lines.items(), key=lambda item: (dict(item[1].ends)[ANSWER], item[0])))


def start_table(rows: Sequence[StartRow], backends: Mapping[str, BackendFacts]) -> Table:
    """A row for each backend; a step that is known of no backend has no column."""
    by_backend = _by_backend(rows)
    came = list(timelines(rows))
    order = [*came, *sorted(name for name in by_backend if name not in came)]
    texts = [_texts(name, by_backend[name], backends.get(name, BackendFacts())) for name in order]
    unknown = [column.key for place, column in enumerate(_COLUMNS) if all(row[place] == MISSING for row in texts)]
    return text_table("Start-up", _COLUMNS, texts).without(*unknown)


def _by_backend(rows: Sequence[StartRow]) -> dict[str, list[StartRow]]:
    starts: dict[str, list[StartRow]] = {}
    for row in rows:
        starts.setdefault(row.backend, []).append(row)
    return starts


def _problem(row: StartRow) -> str:
    which = "" if row.launch_s is None or not row.repeat else f", start {row.repeat}"
    return f"{one_line(row.backend)}{which}: {ends(row.problem, _LONGEST_PROBLEM)}"


def _known(rows: Sequence[StartRow], field: str) -> list[float]:
    return [value for row in rows if (value := getattr(row, field)) is not None]


def _timeline(name: str, rows: Sequence[StartRow]) -> Timeline | None:
    """Medians of a backend's starts that gave an answer, None without any; a step that not all of them reached is left out."""
    came = [row for row in rows if row.first_answer_s is not None]
    reached = {step: _known(came, field) for step, field in _FIELDS.items()}
    ends = [(step, median(values)) for step, values in reached.items() if values and len(values) == len(came)]
    return Timeline(one_line(name), tuple(ends)) if came else None


def _texts(name: str, rows: Sequence[StartRow], facts: BackendFacts) -> tuple[str, ...]:
    came, launched = len(_known(rows, "first_answer_s")), sum(row.launch_s is not None or not row.repeat for row in rows)
    steps = (_spread(_known(rows, field), launched) for field in (*_FIELDS.values(), "stop_s"))
    return (
        one_line(name),
        (str(came) if came == len(rows) else f"{came} of {len(rows)}") if launched else "not started",
        *steps,
        size(facts.size_bytes) if facts.size_bytes is not None else MISSING,
    )


def _spread(values: Sequence[float], of: int) -> str:
    """`0.712 (0.690–0.801)`: median, and range if its ends look different; with `, 2 of 3` if not all starts have a value."""
    if not values:
        return MISSING
    low, middle, high = (seconds(value) for value in (min(values), median(values), max(values)))
    text = middle if low == high else f"{middle} ({low}–{high})"
    return text if len(values) >= of else f"{text}, {len(values)} of {of}"


def _finding(lines: Sequence[Timeline]) -> str:
    """Which backend answers first, and which last."""
    if not lines:
        return "No server came to a right answer."
    first, last = lines[0], lines[-1]
    beside = f", {last.backend} last after {seconds(dict(last.ends)[ANSWER])} s" if len(lines) > 1 else ""
    return f"{first.backend} gives its first right answer {seconds(dict(first.ends)[ANSWER])} s after the order{beside}."
