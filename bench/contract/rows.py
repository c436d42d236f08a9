"""What stands beside the cells of a run, a row each: the replay of 2018, starts, a soak, the gate; the gate's words too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self


@dataclass(frozen=True, slots=True)
class Row:
    """A base of frozen rows of plain values, each with one word of an enumeration at the most."""

    _words: ClassVar[Mapping[str, type[StrEnum]]] = {}

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return {name: str(value) if isinstance(value, StrEnum) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys, ValueError on an unknown word."""
        return cls(**{**values, **{name: enum(values[name]) for name, enum in cls._words.items() if name in values}})


class StudyStep(StrEnum):
    """How the replay of 2018 measures: as the study did, then with one more of its flaws removed at each step."""

    AS_IN_2018 = "as-in-2018"
    KEPT_CONNECTION = "kept-connection"
    PREPARED = "prepared-payload"
    WARMED_UP = "warm-up"
    INTERLEAVED = "interleaved"


@dataclass(frozen=True, slots=True)
class StudyRow(Row):
    """One system of 2018 in one scenario at one step of the replay; `images_per_s` is None where `problem` says why.

    `client` is what asked; the interval [images_per_s_low, images_per_s_high] knows nothing of the host's drift between one
    system and the next, except at the last step. `agreement` is the part of the answers whose class is the reference's.
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
    """One start of one backend, prepared (image built, environment made) beforehand; None where it was not reached.

    All but `stop_s` are seconds since the start was ordered: `launch_s` until the engine has started it, `port_open_s` until
    its port takes a connection, `ready_s` until it says of itself that it is ready (None where it has no such word),
    `first_answer_s` until a real prediction was answered rightly, `warm_s` until its latency stays within 10 % of its
    steady state (None also where it did not settle while it was asked). `stop_s` is how long stopping it took. `problem`
    says what went wrong, so that something is missing. `repeat` counts fresh starts from 1; 0 is the one that the run needed
    anyway, of which `first_answer_s` alone is known: until every endpoint had answered rightly.
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
    """What one holder held after one lap of a soak, `at_s` seconds after its start; None where nobody tells.

    The suite itself holds too: its row counts `belongings`, the containers or processes of the run, and all `exchanges` of
    the lap; a backend's counts its own. `problem` is the first cell of the lap that was not measured, or not right.
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
    """What the gate says of one cell."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class GateRow(Row):
    """One cell before the gate; `change` is its speed over its baseline's, below 1 where it became slower.

    `threshold` is the regression that is allowed, a fraction. `noise` is the speed of a second start over the first one of
    the same code, 1 where nothing disturbs: the worse of both checkouts'. `smallest` is the smallest regression, a
    fraction, that would have failed here.
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
    """One holder's laps as numbers: seconds since the soak's start [laps], and by quantity what it held [laps]."""
    return [row.at_s for row in rows], {quantity: [getattr(row, quantity) for row in rows] for quantity in quantities}


def change_text(row: GateRow) -> str:
    """`-9.1 % (-10.4 to -7.8)`: its speed against the baseline's."""
    if row.change is None or row.change_low is None or row.change_high is None:
        return "speed not compared"
    change, low, high = (100 * (value - 1) for value in (row.change, row.change_low, row.change_high))
    return f"{change:+.1f} % ({low:+.1f} to {high:+.1f})"


def gate_sentences(rows: Iterable[GateRow]) -> list[str]:
    """What was allowed, how noisy this machine was, and what it could have told."""
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
