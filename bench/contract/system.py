"""What the measuring side sees of what was prepared: backends, running servers, the fleet, dataset and model.

`fixtures` implements the protocols here; tests implement them with scripted servers. It is one module and a long one
for its contracts: there is little else in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bench.contract.backend_facts import BackendFacts
from bench.contract.resource_usage import ResourceUsage
from bench.contract.tensors import IntArray, Predictor, Signature, Tensors
from bench.contract.wire import Endpoint


class Role(StrEnum):
    """Why a backend is in a run.

    `server`: compared. `twin`: another start of a server, for the gate. `ceiling`: a server that computes nothing, which shows
    how fast the client is. `reference`: the model run in this process, which says what is right.
    """

    SERVER = "server"
    TWIN = "twin"
    CEILING = "ceiling"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Backend:
    """What is known of a backend before anything starts; read from its backend.toml.

    `runtime`: what computes, such as `onnxruntime`. `endpoints`: not located. `sets`: the sets of `--backend` that it is in.
    `copy_of`: the server that this is a further start of, for the gate; `baseline`: it is another checkout's. `variant_of`: the
    backend that this is another setting of; `differs`: what differs, in words. Texts are empty where they do not apply.
    `attached`: it runs already and is not ours: it is asked, and neither started nor looked into. `given_as`: how --backend
    names it, where that is not its name.
    """

    name: str
    summary: str
    runtime: str
    endpoints: tuple[Endpoint, ...]
    role: Role = Role.SERVER
    sets: frozenset[str] = frozenset()
    copy_of: str = ""
    baseline: bool = False
    variant_of: str = ""
    differs: str = ""
    attached: bool = False
    given_as: str = ""


def on_cpus(backend: str, cpus: int) -> str:
    """The name of a backend's start on so many CPUs, beside the one that has those of the run."""
    return f"{backend}-{cpus}cpus"


def in_replicas(backend: str, replicas: int) -> str:
    """The name of a backend's start in so many instances, each on a CPU of its own."""
    return f"{backend}-{replicas}replicas"


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of a backend's whole process tree since it started; differences of two readings are what counts.

    `cpu_s` seconds on a CPU, `wait_s` seconds runnable but waiting for one, of each thread at most as long as it ran between
    two readings (None where the kernel does not tell), `throttled` periods in which a cgroup's quota stopped it, `threads`
    alive now.
    """

    cpu_s: float
    wait_s: float | None
    throttled: int
    threads: int


class SystemUnderTest(Protocol):
    """A started backend, as the measuring side sees it. Nothing here sends a request."""

    @property
    def backend(self) -> Backend:
        """What it is."""
        ...

    @property
    def engine(self) -> str:
        """`docker`, `process`, `ray`, `attached` or `in-process`."""
        ...

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """By name, its endpoints with host and port; of a model in this process without."""
        ...

    @property
    def predictor(self) -> Predictor | None:
        """The model itself where it runs in this process, else None."""
        ...

    @property
    def facts(self) -> BackendFacts:
        """What its engine and the fleet know of it by now; it grows until the backend is ready."""
        ...

    def usage(self) -> Usage | None:
        """Counters now; None where they cannot be read (a remote engine, a server that is not ours).

        Cheap: read around every slice.
        """
        ...

    def peak_memory_bytes(self) -> int | None:
        """The most memory, in bytes, that its processes used at once so far; None where its engine cannot tell.

        Expensive: ask between campaigns, not around a slice.
        """
        ...

    def resource_usage(self) -> ResourceUsage | None:
        """Memory, files and threads of its processes now; None where they are not on this machine. Expensive."""
        ...

    def is_alive(self) -> bool:
        """Whether its first process still runs."""
        ...

    def log_tail(self) -> str:
        """The last lines of its log, at most 40; empty if it logged nothing."""
        ...

    def pause(self) -> None:
        """Stop all its processes, connections stay open; raises BackendFailed if they run on."""
        ...

    def resume(self) -> None:
        """Let them run again; no-op if they are not paused or have ended; raises BackendFailed if they stay stopped."""
        ...


Probe = Callable[[SystemUnderTest], None]
"""Asks every endpoint for one real prediction and checks the answer; raises ExchangeError until the backend is ready."""


def log_end(system: SystemUnderTest) -> str:
    """The last lines of its log for an error message: indented, under a heading."""
    lines = (system.log_tail().strip() or "(nothing)").splitlines()
    return "\n    ".join(["  log's end:", *lines])


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a selected backend does not run. `failed`: it was installed but did not work; else it could not be installed."""

    reason: str
    failed: bool = False


class Instance(Protocol):
    """A further instance of a prepared backend, so that its start can be timed; nothing runs before `launch`."""

    @property
    def ready_timeout_s(self) -> float:
        """Seconds that its start may take."""
        ...

    @property
    def tells_ready(self) -> bool:
        """Whether it has a status endpoint."""
        ...

    def launch(self) -> SystemUnderTest:
        """Start it; returns when the engine has started the process, not when it is ready. Raises BackendFailed."""
        ...

    def check_ready(self) -> None:
        """Query the status endpoint once; raises ExchangeError until ready."""
        ...

    def lost_its_port(self) -> bool:
        """Whether it ended because another program took its port: then another launch may succeed."""
        ...

    def stop(self) -> None:
        """Stop it and remove everything it owns; no-op if it was not launched; never raises."""
        ...


class Fleet(Protocol):
    """Starts, keeps and stops the selected backends; one backend's failure is its own row."""

    def start(self, names: Collection[str], probe: Probe) -> None:
        """Start those of `names` that are not in `running` or `absent`, and wait until `probe` returns for each.

        A backend that cannot be installed, started or made ready goes to `absent`.
        """
        ...

    def another(self, name: str) -> AbstractContextManager[Instance]:
        """A further instance of a running backend, beside it; stopped when the context ends.

        Raises BackendFailed or BackendUnavailable.
        """
        ...

    @property
    def engine(self) -> str:
        """`docker`, `process` or `ray`."""
        ...

    @property
    def server_cpus(self) -> tuple[int, ...]:
        """The CPUs of this machine that all backends are pinned to that have none of their own, ascending."""
        ...

    def owned_count(self) -> int:
        """How many containers or processes of this run exist now; 0 where the engine cannot tell."""
        ...

    @property
    def running(self) -> Mapping[str, SystemUnderTest]:
        """By name, the backends that run."""
        ...

    @property
    def absent(self) -> Mapping[str, Absence]:
        """By name, the backends that could not be started, and why."""
        ...


@dataclass(frozen=True, slots=True)
class Room:
    """How many replicas of a server fit, on a CPU each, and `where`, in words."""

    most: int
    where: str


def cpus_beside_client(system: SystemUnderTest, fleet: Fleet) -> tuple[int, ...]:
    """The CPUs of the client's machine that a server runs on, ascending; none of one that runs elsewhere."""
    here = system.facts.cpus_here
    return fleet.server_cpus if here is None else here


@dataclass(frozen=True, slots=True)
class Dataset:
    """What all backends are asked about: all `inputs` of the model, read-only, those that are batched of `items` items each.

    `labels` [items] int64 are the items' classes, where they are known. `side_px`: an item is a picture of that many pixels
    squared, 0 to 1; 0 where it is none. `synthetic`: they stand in for others; `random`: they mean nothing.
    """

    name: str
    inputs: Tensors
    items: int
    labels: IntArray | None
    class_names: tuple[str, ...]
    sha256: str
    synthetic: bool
    source: str
    side_px: int = 0
    random: bool = False

    @property
    def noun(self) -> str:
        """What people call one of them."""
        return "image" if self.side_px else "item"

    def __len__(self) -> int:
        return self.items


class Truth(StrEnum):
    """What answers are held against: the model itself, expected answers that a person gave, or what a server answered first."""

    MODEL = "model"
    EXPECTED = "expected answers"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Model:
    """The model that all backends serve; `predictor` is the reference (ONNX Runtime, one thread, in process).

    Where `truth` is not the model, nobody has it here, and `answers` are the outputs that all items of the run's dataset are
    held against, in their order; `first` is the endpoint's id that gave them where nobody knows better.

    `path` is the ONNX file, `sha256` its hash and that of what it keeps beside it. `signature` has the lengths of the run's
    dataset where the file leaves them free. `batch_dependent`: an item's answer depends on what it is asked together with.
    """

    name: str
    path: str
    sha256: str
    signature: Signature
    predictor: Predictor
    metrics: Mapping[str, object] = field(default_factory=dict)
    batch_dependent: bool = False
    truth: Truth = Truth.MODEL
    answers: Tensors | None = None
    first: str = ""
