"""Start-up in the reports: how long each backend takes until it serves as it will serve, in steps, and to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import StartRow
from reports.tables.clean_text import cut, one_line
from reports.tables.columns import Column
from reports.tables.tables import MISSING, Grid, seconds, size

NOTE = (
    "Seconds since the start was ordered: medians of fresh starts, the range in brackets. Images, environments and exports are "
    "made beforehand, the same backend runs already (its files are in the page cache), and all others are up and idle: the "
    "start of a further replica, not of the first one on a new machine. A server that has a word of its own for being ready "
    "gets its first request after it. Warm is where the latency has come down to 10 % above its steady state at most, to stay "
    "there (where that is itself more restless, within what it keeps); it is left out (–) where it did not settle in the "
    "second or so in which it was asked."
)
_LONGEST_PROBLEM = 400
LAUNCH, PORT, READY, ANSWER, WARM = "launched", "port open", "says ready", "first answer", "warm"
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


@dataclass(frozen=True, slots=True)
class Timeline:
    """One backend: the median ends of its steps in the order in which they pass, in seconds since the order."""

    backend: str
    ends: tuple[tuple[str, float], ...]

    @property
    def text(self) -> str:
        """`0.712 s, warm 0.745 s`."""
        ends = dict(self.ends)
        warm = f", warm {seconds(ends[WARM])} s" if WARM in ends else ""
        return f"{seconds(ends[ANSWER])} s{warm}"

    @property
    def steps(self) -> tuple[tuple[str, float], ...]:
        """What each step took beyond the one before it."""
        found, reached_s = [], 0.0
        for step, end_s in self.ends:
            found.append((step, max(0.0, end_s - reached_s)))
            reached_s = max(reached_s, end_s)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class StartSection:
    """Start-up in a report; nothing where the run had none."""

    grid: Grid
    timelines: tuple[Timeline, ...] = ()
    problems: tuple[str, ...] = ()


def start_section(rows: Sequence[StartRow], backends: Mapping[str, BackendFacts]) -> StartSection:
    """Of all starts of a run: first answers first, then those that never came to one."""
    by_backend: dict[str, list[StartRow]] = {}
    for row in rows:
        by_backend.setdefault(row.backend, []).append(row)
    timelines = {name: line for name, starts in by_backend.items() if (line := _timeline(name, starts)) is not None}
    order = sorted(
        by_backend, key=lambda name: (dict(timelines[name].ends)[ANSWER] if name in timelines else float("inf"), name)
    )
    return StartSection(
        Grid(_COLUMNS, tuple(_texts(name, by_backend[name], backends.get(name, BackendFacts())) for name in order)),
        tuple(timelines[name] for name in order if name in timelines),
        tuple(_problem(row) for row in rows if row.problem),
    )


def _problem(row: StartRow) -> str:
    which = "" if row.launch_s is None else f", start {row.repeat}"
    return f"{one_line(row.backend)}{which}: {cut(row.problem, _LONGEST_PROBLEM)}"


def _known(rows: Sequence[StartRow], field: str) -> list[float]:
    return [value for row in rows if (value := getattr(row, field)) is not None]


def _timeline(name: str, rows: Sequence[StartRow]) -> Timeline | None:
    """None where no start came to an answer; a step that not all of those reached has no end."""
    came = [row for row in rows if row.first_answer_s is not None]
    reached = {step: _known(came, field) for step, field in _FIELDS.items()}
    ends = [(step, median(values)) for step, values in reached.items() if values and len(values) == len(came)]
    return Timeline(one_line(name), tuple(ends)) if came else None


def _texts(name: str, rows: Sequence[StartRow], facts: BackendFacts) -> tuple[str, ...]:
    came, launched = (len(_known(rows, field)) for field in ("first_answer_s", "launch_s"))
    steps = (_spread(_known(rows, field), launched) for field in (*_FIELDS.values(), "stop_s"))
    return (
        one_line(name),
        (str(came) if came == len(rows) else f"{came} of {len(rows)}") if launched else "not started",
        *steps,
        size(facts.size_bytes) if facts.size_bytes is not None else MISSING,
    )


def _spread(values: Sequence[float], of: int) -> str:
    """`0.712 (0.690–0.801)`: median and range, where the two differ in what is shown; `, 2 of 3` where a start has no value."""
    if not values:
        return MISSING
    low, middle, high = (seconds(value) for value in (min(values), median(values), max(values)))
    text = middle if low == high else f"{middle} ({low}–{high})"
    return text if len(values) >= of else f"{text}, {len(values)} of {of}"
