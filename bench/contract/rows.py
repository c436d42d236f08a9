"""Results of a run that are not cells, as rows: the replay of 2018, starts, a soak, the gate; and the gate's sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class Row:
    """Base of frozen rows of plain values; `_words` has the enumeration of each field that holds a word of one."""

    _words: ClassVar[Mapping[str, type[StrEnum]]] = {}

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys, ValueError on an unknown word."""
        return cls(**{**values, **{name: enum(values[name]) for name, enum in cls._words.items() if name in values}})


class StudyStep(StrEnum):
    """How the replay of 2018 measures: first as the study did, then with one more of its flaws removed at each step."""

    AS_IN_2018 = "as-in-2018"
    KEPT_CONNECTION = "kept-connection"
    PREPARED = "prepared-payload"
    WARMED_UP = "warm-up"
    INTERLEAVED = "interleaved"


@dataclass(frozen=True, slots=True)
class StudyRow(Row):
    """One system of 2018 in one scenario at one step of the replay; `problem` says why if `images_per_s` is None.

    `client` is the client that sent the requests; the interval [images_per_s_low, images_per_s_high] does not include the
    host's drift between one system and the next, except at the last step. `agreement` is the fraction of the answers whose
    class is the reference's.
    """

    _words: ClassVar = {"step": StudyStep}

    backend: str
    endpoint: str
    protocol: str
    scenario: str
    batch_size: int
    engine: str
    step: StudyStep
    client: str
    images_per_s: float | None
    images_per_s_low: float | None
    images_per_s_high: float | None
    exchanges: int
    agreement: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StartRow(Row):
    """One start of one backend, prepared (image built, environment made) beforehand; None for a stage that was not reached.

    All but `stop_s` are seconds since the start was ordered: `launch_s` until the engine has started it, `port_open_s` until
    its port accepts a connection, `ready_s` until its status endpoint reports ready (None if it has none),
    `first_answer_s` until a real prediction was answered correctly, `warm_s` until its latency stays within 10 % of its
    steady state (None also if it did not settle while it was measured). `stop_s` is how long stopping it took. `problem`
    says what went wrong, if a value is missing for that. `repeat` counts fresh starts from 1; 0 is the one that the run needed
    anyway, for which only `first_answer_s` is known: until every endpoint had answered correctly.
    """

    backend: str
    engine: str
    repeat: int
    launch_s: float | None = None
    port_open_s: float | None = None
    ready_s: float | None = None
    first_answer_s: float | None = None
    warm_s: float | None = None
    stop_s: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SoakRow(Row):
    """What one holder (a backend, or the suite) held after one lap of a soak, `at_s` seconds after its start; None: unknown.

    The suite's row counts `belongings`, the containers or processes of the run, and all `exchanges` of the lap; a backend's
    row counts its own exchanges. `problem` is the first cell of the lap that was not measured, or not answered correctly.
    """

    lap: int
    at_s: float
    holder: str
    memory_bytes: int | None
    files: int | None
    processes: int
    threads: int
    belongings: int | None
    exchanges: int
    problem: str = ""


class GateOutcome(StrEnum):
    """The gate's decision on one cell."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class GateRow(Row):
    """The gate's result for one cell; `change` is its speed over its baseline's, below 1 if it became slower.

    `threshold` is the allowed regression, a fraction. `noise` is the speed of a second start over that of the first one of the
    same code, 1 without disturbance: of the two checkouts, the one farther from 1. `smallest` is the smallest regression,
    a fraction, that would have failed here.
    """

    _words: ClassVar = {"outcome": GateOutcome}

    cell: str
    threshold: float
    outcome: GateOutcome
    reason: str
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    noise: float | None = None
    smallest: float | None = None


def by_holder(rows: Iterable[SoakRow]) -> dict[str, list[SoakRow]]:
    """Each holder's rows, in the order measured."""
    holders: dict[str, list[SoakRow]] = {}
    for row in rows:
        holders.setdefault(row.holder, []).append(row)
    return holders


def readings(rows: Sequence[SoakRow], quantities: Iterable[str]) -> tuple[list[float], dict[str, list[int | None]]]:
    """One holder's laps as numbers: seconds since the soak's start [laps], and for each quantity what it held [laps]."""
    return [row.at_s for row in rows], {quantity: [getattr(row, quantity) for row in rows] for quantity in quantities}


def change_text(row: GateRow) -> str:
    """The change of speed against the baseline as text: `-9.1 % (-10.4 to -7.8)`."""
    if row.change is None or row.change_low is None or row.change_high is None:
        return "speed not compared"
    change, low, high = (100 * (value - 1) for value in (row.change, row.change_low, row.change_high))
    return f"{change:+.1f} % ({low:+.1f} to {high:+.1f})"


def gate_sentences(rows: Iterable[GateRow]) -> list[str]:
    """Sentences on the regression allowed, the noise of this machine, and the smallest regression it could detect."""
    rows = list(rows)
    if not rows:
        return []
    sentences = [f"Allowed: {100 * rows[0].threshold:g} % slower than the baseline."]
    noise = [abs(row.noise - 1) for row in rows if row.noise is not None]
    if noise:
        sentences.append(f"Noise floor: two starts of the same code differ by up to {100 * max(noise):.1f} %.")
    smallest = [row.smallest for row in rows if row.smallest is not None]
    if smallest:
        ends = dict.fromkeys(f"{100 * end:.1f}" for end in (min(smallest), max(smallest)))
        sentences.append(f"Smallest regression that fails here: {' to '.join(ends)} %.")
    return sentences
