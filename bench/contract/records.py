"""What a run leaves behind: one Record a cell, one Run a session, as plain frozen data with a versioned schema.

Schema history
    1  2026-11-22  first version
    2  2026-11-24  run.study, run.confusion, run.disagreements, run.gate; a run of version 1 is read as one without
    3  2026-11-25  run.startup, run.soak; cells under load (kind, concurrency, arrival, load, offered_per_s, ...) and cost
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contract.backend_facts import BackendFacts
from bench.contract.confusion import Confusion, Disagreement
from bench.contract.gate_rows import GateRow
from bench.contract.scenarios import Arrival, Kind

SCHEMA_VERSION = 3


class Verdict(StrEnum):
    """May this cell be believed, and if not, why not; the worst that holds is the one shown."""

    VALID = "VALID"
    UNSTABLE = "UNSTABLE"
    SATURATED = "SATURATED"
    CLIENT_BOUND = "CLIENT_BOUND"
    OVERSUBSCRIBED = "OVERSUBSCRIBED"
    CACHED = "CACHED"
    WRONG_ANSWERS = "WRONG_ANSWERS"
    FAILED = "FAILED"
    NOT_MEASURED = "NOT_MEASURED"


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
