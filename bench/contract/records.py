"""The results of a run: one Record per cell, one Run per session, as plain frozen data with a versioned schema.

It is one module and a long one: each field of a record is described where it is declared, and nowhere else.

Schema history
    1  2026-11-22  first version
    2  2026-11-24  run.study, run.confusion, run.disagreements, run.gate; a run of version 1 is read as one without
    3  2026-11-25  run.startup, run.soak; cells under load (kind, concurrency, arrival, load, offered_per_s, ...) and cost
    4  2026-11-27  a cell has all that its scenario says: title, unit, rate_per_s; kind is any question's name
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
from bench.contract.rows import GateRow, SoakRow, StartRow, StudyRow
from bench.contract.scenarios import IMAGES_PER_S, Arrival

SCHEMA_VERSION = 4


class Tone(StrEnum):
    """How a verdict is coloured."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Policy:
    """How cells with a verdict are shown, compared and judged; each field is an attribute of `Verdict`."""

    meaning: str
    """The meaning in a sentence, for the reader of a report."""
    mark: str = ""
    """Sign beside the cell's figures if there is no room for the verdict itself."""
    instead: str = ""
    """Text in place of the cell's figures if these may not be shown."""
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
    """Its figures did not change while they were measured."""
    outcome: bool = False
    """For an open loop the verdict is itself the result, not a doubt about one."""
    fails_test: bool = False
    """The server is wrong or broken: its test fails."""


class Verdict(StrEnum):
    """Whether a cell may be believed, and if not, why not, best first; each member has the attributes of its `Policy`.

    A new verdict needs a member here, and a rule that decides it (bench/analysis/verdicts.py).
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
    NOT_VERIFIED = (
        "NOT_VERIFIED",
        Policy(
            "It answered, and nobody knows whether rightly: there was no model and no expected answers.", mark="?", ranked=True
        ),
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
        Policy(
            "The server wanted more CPU than it was given: its threads waited for each other, or for the client.",
            mark="‡",
            ranked=True,
        ),
    )
    DESYNCED = (
        "DESYNCED",
        Policy(
            "Its load agents' clocks could not be told apart well enough: nobody knows who asked together with whom.", mark="¶"
        ),
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
        """Make the member a string, its word in the results files, with the policy's fields as attributes."""
        member = str.__new__(cls, word)
        member._value_ = word
        for each in fields(policy):
            setattr(member, each.name, getattr(policy, each.name))
        return member

    @property
    def believed(self) -> bool:
        """Whether nothing speaks against the cell."""
        return self.tone is Tone.GOOD

    @property
    def absent(self) -> bool:
        """Whether there is nothing to judge: the cell was not measured, and the server is not to blame."""
        return not self.measured and not self.fails_test

    @property
    def answered(self) -> bool:
        """Whether the cell was measured and its answers were not found wrong."""
        return self.measured and not self.fails_test

    @property
    def doubt(self) -> str:
        """The verdict's word, to show beside a figure; empty if nothing speaks against the cell."""
        return "" if self.believed else str(self)

    @property
    def comparable(self) -> bool:
        """Whether the cell's speed may be compared, if only as a lower bound."""
        return self.ranked or self.lower_bound

    @property
    def severity(self) -> int:
        """Its place among all verdicts, 0 for the best; lists of problems begin with the worst."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Record:
    """One cell (backend endpoint x scenario) and all its results; the fields are the keys in results.json.

    SI units, named at the end of a field; None: not measured, or too few samples for the figure. The text below a field is
    also its row in docs/results.md and its description in schema.json; tests keep the three the same.
    """

    backend: str
    """Name of the backend: the folder under fixtures/backends, or the name of one of its variants."""
    endpoint: str
    """Name of the endpoint: one protocol of the backend."""
    protocol: str
    """What is spoken on the wire, e.g. v1-json, raw, in-process."""
    runtime: str
    """What computes the model, e.g. onnxruntime."""
    role: str
    """server: compared; twin: a further start of a server, of this checkout or of the baseline, for the gate; ceiling (null)
    and reference: instruments, measured alike, not ranked."""
    scenario: str
    """Traffic pattern: single, batch128 (and others by --batch-sizes), accuracy, and those under load: c01 to c32 (clients),
    poisson30 to poisson90, constant..., slo15ms; cpus01 to cpus08 (CPUs of the server),
    replicas01 to replicas04 (instances of it)."""
    batch_size: int
    """Images in one request."""
    engine: str | None
    """docker, process, ray, attached (it ran already) or in-process; null if the backend never ran."""
    verdict: Verdict
    """May this cell be believed; see Verdicts."""
    reason: str = ""
    """Why the verdict is not VALID, in full, with the log's tail where there is one; may have lines. Empty if VALID."""
    kind: str = "throughput"
    """Question that the scenario belongs to, and so the section that shows it: throughput (one client in a closed loop),
    accuracy (one pass over all images), clients (several clients in a closed loop), open-loop (requests on a schedule), slo
    (the highest rate under a limit of latency), scaling (several clients in a closed loop, by the CPUs of the server), replicas
    (the same, by its instances)."""
    title: str = ""
    """The scenario in words for people, e.g. Batches of 128, 8 clients; empty: it has none but its name."""
    unit: str = IMAGES_PER_S
    """Unit of the figure that the scenario is about: images/s, or share of images (accuracy). Figures of requests say so."""
    concurrency: int = 1
    """Connections: all in use in a closed loop, at most so many on a schedule."""
    arrival: Arrival = Arrival.CLOSED_LOOP
    """When the next request is sent: after the last answer, or on a schedule."""
    images_per_s: float | None = None
    """Images answered per second of exchange (throughput). Images/s."""
    images_per_s_low: float | None = None
    """Lower end of its 95 % interval; of a search, of its bracket. Images/s."""
    images_per_s_high: float | None = None
    """Upper end of its 95 % interval; of a search, of its bracket. Images/s."""
    ratio: float | None = None
    """Speed of this cell over that of ratio_to, from slices that were near in time."""
    ratio_low: float | None = None
    """Lower end of its 95 % interval."""
    ratio_high: float | None = None
    """Upper end of its 95 % interval."""
    ratio_to: str | None = None
    """Id of the cell that the ratio refers to."""
    rank: int | None = None
    """1 is fastest within the scenario; ties share a rank; null for instruments and for cells that may not be ranked."""
    leader: str | None = None
    """Id of the fastest ranked cell of the scenario; null for that cell itself and for those without a rank."""
    leader_ratio: float | None = None
    """Speed of the leader over that of this cell."""
    leader_ratio_low: float | None = None
    """Lower end of the leader's 95 % interval."""
    leader_ratio_high: float | None = None
    """Upper end of the leader's 95 % interval."""
    exchanges: int = 0
    """Timed exchanges that were answered: those that the percentiles are of. Of several clients and of an open loop
    images_per_s counts others: the answers that came within the windows."""
    errors: int = 0
    """Exchanges that went wrong; they are counted, never replaced."""
    reconnects: int = 0
    """Connections opened again, outside the clock."""
    outliers: int = 0
    """Exchanges far slower than the rest; they count in every number."""
    rounds: int = 0
    """Rounds of the campaign in which the cell had its slice."""
    measured_s: float = 0.0
    """Seconds inside the clock."""
    latency_mean_s: float | None = None
    """Mean time of one exchange (of a batch, the time of all of it). Seconds."""
    latency_p50_s: float | None = None
    """Median time of one exchange. Seconds."""
    latency_p90_s: float | None = None
    """90th percentile. Seconds."""
    latency_p95_s: float | None = None
    """95th percentile. Seconds."""
    latency_p99_s: float | None = None
    """99th percentile; null below 459 samples. Seconds."""
    latency_p999_s: float | None = None
    """99.9th percentile; null below 4,603 samples. Seconds."""
    latency_hdr: str | None = None
    """HDR histogram of the latencies in microseconds, three digits, in HdrHistogram's V2 compressed encoding (base64); of cells
    under load. It can be merged with others."""
    load: float | None = None
    """Open loop: the part (1 = all) of peak_per_s that was offered, of a search the highest that held its limit; null where a
    rate was given."""
    rate_per_s: float | None = None
    """Open loop: requests/s that were asked for, each of batch_size images; null where a part of the peak was."""
    peak_per_s: float | None = None
    """Open loop: requests/s that the server carried in a closed loop just before, on average; times batch_size, images/s."""
    offered_per_s: float | None = None
    """Open loop: requests/s that the schedule asked for, each of batch_size images. images_per_s says what was answered,
    latencies count from the scheduled send."""
    late_sends: int | None = None
    """Open loop: requests that the client sent more than 1 ms behind their schedule."""
    windows_repeated: int | None = None
    """Windows that were measured again, of which nothing counts: of an open loop since the client had sent more than 1 % of
    their requests late, of load agents also since one of them was lost; null where neither can be."""
    lag_p99_s: float | None = None
    """Open loop: 99th percentile of the client's own delay behind the schedule. Seconds."""
    slo_s: float | None = None
    """Limit that the 99th percentile of latency had to stay under. Seconds."""
    goodput_per_s: float | None = None
    """Images/s that were answered within slo_s, in the probes that held it."""
    cpus: int | None = None
    """CPUs that the server was started on for this cell, as its backend.toml says; null: those of the run (run.backends)."""
    replicas: int | None = None
    """Instances of the server that were started for this cell, on one CPU each, with the clients spread evenly over them; null:
    one, on the CPUs above."""
    cpu_efficiency: float | None = None
    """Speed for each CPU (of replicas: for each replica), over that of the same endpoint on the fewest that were measured: 1
    where each adds as much as those."""
    cpu_efficiency_low: float | None = None
    """Lower end of its 95 % interval."""
    cpu_efficiency_high: float | None = None
    """Upper end of its 95 % interval."""
    first_exchange_s: float | None = None
    """The very first exchange, before the warm-up. Seconds."""
    accuracy: float | None = None
    """Share (0 to 1) of verified answers whose best class is the label."""
    agreement: float | None = None
    """Share (0 to 1) of verified answers whose best class is that of the reference; of a model with one output, whose score is,
    within the tolerance."""
    max_abs_diff: float | None = None
    """Largest difference of any score from the reference's."""
    answers_verified: int = 0
    """Answers, one a request, that were decoded and compared with the reference."""
    ceiling_fraction: float | None = None
    """Speed as a share of what null reaches with the same protocol and batch."""
    client_share: float | None = None
    """Share of the time of its exchanges in which the client itself computed. Where the server is not on this machine it says
    in place of ceiling_fraction whether the client was the bottleneck."""
    agents: int | None = None
    """Load agents that asked it together (--agents), of those of its windows in which they were the fewest; null: the suite's
    own process did."""
    clock_uncertainty_s: float | None = None
    """By how much the borders of the agents' windows may have lain apart, at worst. No latency depends on it. Seconds."""
    same_sample_speedup: float | None = None
    """Speed with one request repeated over speed with changing ones."""
    same_sample_speedup_low: float | None = None
    """Lower end of its 95 % interval."""
    encode_s: float | None = None
    """Building one request's body, before the clock. Seconds."""
    decode_s: float | None = None
    """Reading one answer, after the clock. Seconds."""
    request_bytes: int | None = None
    """Size of one request's body. Bytes."""
    answer_bytes: int | None = None
    """Size of one answer's body. Bytes."""
    server_cpu_s_per_image: float | None = None
    """CPU time of the server's processes for one image. Seconds."""
    server_peak_memory_bytes: int | None = None
    """The most memory that the server's processes held at once so far in this run (cgroup, or the sum over its processes).
    Bytes."""
    energy_j_per_image: float | None = None
    """Energy that the machine's packages took while it was asked, for one image; null where there is no meter (RAPL) to read.
    Joules."""
    server_threads: int | None = None
    """Threads of the server's processes."""
    runnable_threads: float | None = None
    """Threads that ran, or waited to for no longer than they ran, while it was asked, on average."""
    again: str = ""
    """The command that measures this cell again."""
    taken_from: str | None = None
    """Id of the run that measured this cell, where it was taken over from that run (--resume); null: this run measured it."""

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>-<scenario>`."""
        return f"{self.backend}-{self.endpoint}-{self.scenario}"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values, keys in the schema's order."""
        return {**asdict(self), "verdict": str(self.verdict), "arrival": str(self.arrival)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Record:
        """The inverse of `as_dict`; raises TypeError on unknown or missing keys, ValueError on an unknown word."""
        words = {name: enum(values[name]) for name, enum in _ENUMS.items() if name in values}
        return cls(**{**values, **words})


_ENUMS: Mapping[str, type[StrEnum]] = {"verdict": Verdict, "arrival": Arrival}


@dataclass(frozen=True, slots=True)
class Samples:
    """The raw durations behind a record: `duration_s` [exchanges] in the order measured, `round_index` [exchanges]."""

    duration_s: npt.NDArray[np.float64]
    round_index: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """The session's machine, software, data and options, and the other results: everything but the cells in results.json."""

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
    """The run at `place` that is to be resumed: its records, and by cell id the samples of those that have some."""

    place: str
    run: Run
    records: Sequence[Record]
    samples: Mapping[str, Samples]
