"""What a run leaves behind: one Record a cell, one Run a session, as plain frozen data with a versioned schema.

Schema history
    1  2026-11-22  first version
    2  2026-11-24  run.study, run.confusion, run.disagreements, run.gate; a run of version 1 is read as one without
    3  2026-11-25  run.startup, run.soak; cells under load (kind, concurrency, arrival, load, offered_per_s, ...) and cost
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contract.backend_facts import BackendFacts
from bench.contract.confusion import Confusion, Disagreement
from bench.contract.gate_rows import GateRow
from bench.contract.scenarios import Arrival, Kind

SCHEMA_VERSION = 3


class Tone(StrEnum):
    """How a verdict is coloured."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Policy:
    """What follows from a verdict; each field is an attribute of `Verdict`."""

    meaning: str
    """In a sentence, for who reads a report."""
    mark: str = ""
    """Stands beside the cell's figures where the verdict itself has no room."""
    instead: str = ""
    """Stands in place of the cell's figures where these may not be shown."""
    tone: Tone = Tone.WARN
    measured: bool = True
    """The cell was measured: it need not be measured again when a run is resumed."""
    shown: bool = True
    """Its figures may be shown as the server's."""
    ranked: bool = False
    """Its speed may be compared with others' and ranked."""
    lower_bound: bool = False
    """The server may be faster than its figures say."""
    steady: bool = True
    """Its figures held while they were measured."""
    outcome: bool = False
    """Of an open loop it is the result, and no doubt about one."""
    fails_test: bool = False
    """The server is wrong or broken: its test fails."""


class Verdict(StrEnum):
    """May this cell be believed, and if not, why not, best first; each member has the attributes of its `Policy`.

    A new verdict is a member here, and the place that decides it (bench/analysis/verdicts.py).
    """

    meaning: str
    mark: str
    instead: str
    tone: Tone
    measured: bool
    shown: bool
    ranked: bool
    lower_bound: bool
    steady: bool
    outcome: bool
    fails_test: bool

    VALID = "VALID", Policy("Nothing speaks against the number.", tone=Tone.GOOD, ranked=True)
    UNSTABLE = (
        "UNSTABLE",
        Policy("It changed while it was measured, by more than the machine's own drift.", mark="~", ranked=True, steady=False),
    )
    SATURATED = (
        "SATURATED",
        Policy(
            "The server fell behind what was offered, so the queue grew: the latencies tell how long the run was.",
            instead="fell behind",
            shown=False,
            outcome=True,
        ),
    )
    CLIENT_BOUND = (
        "CLIENT_BOUND",
        Policy("The client was the bottleneck: the server may be faster than shown.", mark="†", lower_bound=True),
    )
    OVERSUBSCRIBED = (
        "OVERSUBSCRIBED",
        Policy("The server wanted more CPU than it was given: its threads waited for each other.", mark="‡", ranked=True),
    )
    CACHED = (
        "CACHED",
        Policy(
            "It answers a repeated image faster than a new one: it remembers instead of computing.", mark="§", tone=Tone.BAD
        ),
    )
    WRONG_ANSWERS = (
        "WRONG_ANSWERS",
        Policy(
            "Some answers were not those of the model. Speed of wrong answers is worth nothing.",
            instead="wrong",
            tone=Tone.BAD,
            shown=False,
            fails_test=True,
        ),
    )
    FAILED = (
        "FAILED",
        Policy(
            "It was started, but did not answer as it must.",
            instead="failed",
            tone=Tone.BAD,
            measured=False,
            shown=False,
            fails_test=True,
        ),
    )
    NOT_MEASURED = (
        "NOT_MEASURED",
        Policy(
            "It could not be had on this machine, or the run ended or had too few requests before there was a figure; "
            "the reason is given.",
            instead="–",
            measured=False,
            shown=False,
        ),
    )

    def __new__(cls, word: str, policy: Policy) -> Verdict:
        """The member is its word, as it stands in the results files."""
        member = str.__new__(cls, word)
        member._value_ = word
        for each in fields(policy):
            setattr(member, each.name, getattr(policy, each.name))
        return member

    @property
    def believed(self) -> bool:
        """Nothing speaks against the cell."""
        return self.tone is Tone.GOOD

    @property
    def absent(self) -> bool:
        """There is nothing to judge: it was not measured, and the server is not to blame."""
        return not self.measured and not self.fails_test

    @property
    def answered(self) -> bool:
        """It was measured, and every answer was right."""
        return self.measured and not self.fails_test

    @property
    def doubt(self) -> str:
        """The verdict's word, to stand beside a figure; empty where nothing speaks against it."""
        return "" if self.believed else str(self)

    @property
    def comparable(self) -> bool:
        """Its speed may be compared, if need be as a lower bound."""
        return self.ranked or self.lower_bound

    @property
    def severity(self) -> int:
        """Its place among all verdicts, 0 for the best: the worst stands first in a list of problems."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Record:
    """One cell (backend endpoint x scenario) and all that is said of it; None means not measured or not supported by n.

    Units are in the names; `ratio` is this cell's speed over that of `ratio_to`, from paired slices; `leader_ratio` the
    speed of `leader`, the fastest ranked cell of the scenario, over this one's; `rank` is shared by
    ties within the scenario and None for instruments (null, reference) and for cells that may not be ranked. `taken_from` is
    the run that measured it, where that was not this one.
    """

    backend: str
    endpoint: str
    protocol: str
    runtime: str
    role: str
    scenario: str
    batch_size: int
    engine: str | None
    verdict: Verdict
    reason: str = ""
    kind: Kind = Kind.THROUGHPUT
    title: str = ""
    unit: str = "images/s"
    concurrency: int = 1
    arrival: Arrival = Arrival.CLOSED_LOOP
    images_per_s: float | None = None
    images_per_s_low: float | None = None
    images_per_s_high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    ratio_to: str | None = None
    rank: int | None = None
    leader: str | None = None
    leader_ratio: float | None = None
    leader_ratio_low: float | None = None
    leader_ratio_high: float | None = None
    exchanges: int = 0
    errors: int = 0
    reconnects: int = 0
    outliers: int = 0
    rounds: int = 0
    measured_s: float = 0.0
    latency_mean_s: float | None = None
    latency_p50_s: float | None = None
    latency_p90_s: float | None = None
    latency_p95_s: float | None = None
    latency_p99_s: float | None = None
    latency_p999_s: float | None = None
    latency_hdr: str | None = None
    load: float | None = None
    rate_per_s: float | None = None
    peak_per_s: float | None = None
    offered_per_s: float | None = None
    late_sends: int | None = None
    lag_p99_s: float | None = None
    slo_s: float | None = None
    goodput_per_s: float | None = None
    first_exchange_s: float | None = None
    accuracy: float | None = None
    agreement: float | None = None
    max_abs_diff: float | None = None
    answers_verified: int = 0
    ceiling_fraction: float | None = None
    same_sample_speedup: float | None = None
    same_sample_speedup_low: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    request_bytes: int | None = None
    answer_bytes: int | None = None
    server_cpu_s_per_image: float | None = None
    server_peak_memory_bytes: int | None = None
    energy_j_per_image: float | None = None
    server_threads: int | None = None
    runnable_threads: float | None = None
    again: str = ""
    taken_from: str | None = None

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>-<scenario>`."""
        return f"{self.backend}-{self.endpoint}-{self.scenario}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return {**asdict(self), "verdict": str(self.verdict), "kind": str(self.kind), "arrival": str(self.arrival)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Record:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys, ValueError on an unknown word."""
        known = {name: kind(values[name]) for name, kind in _ENUMS.items() if name in values}
        return cls(**{**values, **known})


_ENUMS: Mapping[str, type[StrEnum]] = {"verdict": Verdict, "kind": Kind, "arrival": Arrival}


@dataclass(frozen=True, slots=True)
class Samples:
    """The raw durations behind a record: `duration_s` [exchanges] in the order measured, `round_index` [exchanges]."""

    duration_s: npt.NDArray[np.float64]
    round_index: npt.NDArray[np.int64]


class StudyStep(StrEnum):
    """How the replay of 2018 measures: as the study did, then with one more of its flaws removed at each step."""

    AS_IN_2018 = "as-in-2018"
    KEPT_CONNECTION = "kept-connection"
    PREPARED = "prepared-payload"
    WARMED_UP = "warm-up"
    INTERLEAVED = "interleaved"


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One system of 2018 in one scenario at one step of the replay; `images_per_s` is None where `problem` says why.

    `client` is what asked; the interval [images_per_s_low, images_per_s_high] knows nothing of the host's drift between one
    system and the next, except at the last step. `agreement` is the part of the answers whose class is the reference's.
    """

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

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return {**asdict(self), "step": str(self.step)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudyRow:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys, ValueError on an unknown step."""
        return cls(**{**values, "step": StudyStep(values["step"])})


@dataclass(frozen=True, slots=True)
class StartRow:
    """One start of one backend, prepared (image built, environment made) beforehand; None where it was not reached.

    All but `stop_s` are seconds since the start was ordered: `launch_s` until the engine has started it, `port_open_s` until
    its port takes a connection, `ready_s` until it says of itself that it is ready (None where it has no such word),
    `first_answer_s` until a real prediction was answered rightly, `warm_s` until its latency stays within 10 % of its
    steady state (None also where it did not settle while it was asked). `stop_s` is how long stopping it took. `problem`
    says what went wrong, so that something is missing.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StartRow:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class SoakRow:
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

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SoakRow:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys."""
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Run:
    """What a session measured on: everything that stands beside the cells in results.json."""

    id: str
    started_utc: str
    command: str
    engine: str
    environment: Mapping[str, Any]
    dataset: Mapping[str, Any]
    model: Mapping[str, Any]
    options: Mapping[str, Any]
    backends: Mapping[str, BackendFacts] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    study: tuple[StudyRow, ...] = ()
    confusion: Confusion | None = None
    disagreements: tuple[Disagreement, ...] = ()
    gate: tuple[GateRow, ...] = ()
    startup: tuple[StartRow, ...] = ()
    soak: tuple[SoakRow, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values."""
        return {
            **asdict(replace(self, backends={})),
            "backends": {name: facts.as_dict() for name, facts in self.backends.items()},
            "warnings": list(self.warnings),
            "study": [row.as_dict() for row in self.study],
            "gate": [row.as_dict() for row in self.gate],
            "startup": [row.as_dict() for row in self.startup],
            "soak": [row.as_dict() for row in self.soak],
        }


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run that lies at `place` and is to be resumed: its records, and the samples of those that have some, by cell id."""

    place: str
    run: Run
    records: Sequence[Record]
    samples: Mapping[str, Samples]
