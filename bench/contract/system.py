"""The measuring side's view of what was prepared: backends, running servers, the fleet, dataset and model.

`fixtures` implements the protocols here; tests implement them with scripted servers. It is one module, and long because of
its interfaces: there is little else in it.
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
    how fast the client is. `reference`: the model run in this process, which gives the correct answers.
    """

    SERVER = "server"
    TWIN = "twin"
    CEILING = "ceiling"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Backend:
    """What is known of a backend before anything starts; read from its backend.toml.

    `runtime`: what computes, such as `onnxruntime`. `endpoints`: without host and port. `sets`: the sets of `--backend` that
    it is in. `copy_of`: the server of which this is a further start, for the gate; `baseline`: it comes from another checkout.
    `variant_of`: the backend of which this is a variant; `differs`: what differs, in words. Texts are empty if they do not
    apply. `attached`: a server that was already running and is not ours: it gets requests, but is neither started nor
    inspected. `given_as`: how --backend names it, if not by its name.
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
    """The name of a backend's separate start on `cpus` CPUs, beside the one on the run's CPUs."""
    return f"{backend}-{cpus}cpus"


def in_replicas(backend: str, replicas: int) -> str:
    """The name of a backend's separate start as `replicas` instances, each on a CPU of its own."""
    return f"{backend}-{replicas}replicas"


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of a backend's whole process tree since it started; only differences of two readings have a meaning.

    `cpu_s`: seconds on a CPU. `wait_s`: seconds runnable but waiting for a CPU, for each thread at most as long as it ran
    between two readings; None if the kernel does not tell. `throttled`: periods in which a cgroup's quota stopped it.
    `threads`: alive now.
    """

    cpu_s: float
    wait_s: float | None
    throttled: int
    threads: int


class SystemUnderTest(Protocol):
    """A started backend, as the measuring side sees it. Nothing here sends a request."""

    @property
    def backend(self) -> Backend:
        """The backend that it is a start of."""
        ...

    @property
    def engine(self) -> str:
        """`docker`, `process`, `ray`, `attached` or `in-process`."""
        ...

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """By name, its endpoints with host and port; without them for a model in this process."""
        ...

    @property
    def predictor(self) -> Predictor | None:
        """The model itself if it runs in this process, else None."""
        ...

    @property
    def facts(self) -> BackendFacts:
        """What its engine and the fleet know of it by now; they grow until the backend is ready."""
        ...

    def usage(self) -> Usage | None:
        """Counters now; None if they cannot be read (a remote engine, a server that is not ours).

        Cheap: read around every slice.
        """
        ...

    def peak_memory_bytes(self) -> int | None:
        """The most memory, in bytes, that its processes used at once so far; None if its engine cannot tell.

        Expensive: call it between campaigns, not around a slice.
        """
        ...

    def resource_usage(self) -> ResourceUsage | None:
        """Memory, files and threads of its processes now; None if they are not on this machine. Expensive."""
        ...

    def is_alive(self) -> bool:
        """Whether its first process still runs."""
        ...

    def log_tail(self) -> str:
        """The last lines of its log, at most 40; empty if it logged nothing."""
        ...

    def pause(self) -> None:
        """Suspend all its processes; connections stay open. Raises BackendFailed if they run on."""
        ...

    def resume(self) -> None:
        """Let them run again; no-op if they are not paused or have ended; raises BackendFailed if they stay stopped."""
        ...


Probe = Callable[[SystemUnderTest], None]
"""Requests one real prediction from every endpoint and checks the answer; raises ExchangeError until the backend is ready."""


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
        """Whether it ended because another program took its port, so that another launch may succeed."""
        ...

    def stop(self) -> None:
        """Stop it and remove everything it owns; no-op if it was not launched; never raises."""
        ...


class Fleet(Protocol):
    """Starts, keeps and stops the selected backends; the failure of one affects only its own row."""

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
        """The CPUs of this machine that backends without CPUs of their own are pinned to, ascending."""
        ...

    def owned_count(self) -> int:
        """How many containers or processes of this run exist now; 0 if the engine cannot tell."""
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
    """The most replicas of a server that fit, on one CPU each, and `where` they do, in words."""

    most: int
    where: str


def cpus_beside_client(system: SystemUnderTest, fleet: Fleet) -> tuple[int, ...]:
    """The CPUs of the client's machine that a server runs on, ascending; empty if it runs elsewhere."""
    here = system.facts.cpus_here
    return fleet.server_cpus if here is None else here


@dataclass(frozen=True, slots=True)
class Dataset:
    """The data sent to all backends: all `inputs` of the model, read-only; each batched one has `items` items.

    `labels` [items] int64 are the items' classes, None if unknown. `side_px`: each item is a square picture with sides of that
    many pixels, values 0 to 1; 0 if it is no picture. `synthetic`: the data replace a real dataset; `random`: they are noise.
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
        """The word for one of its items: `image` or `item`."""
        return "image" if self.side_px else "item"

    def __len__(self) -> int:
        return self.items


class Truth(StrEnum):
    """What answers are compared with: the model, expected answers from the user, or (`nobody`) a server's first answers."""

    MODEL = "model"
    EXPECTED = "expected answers"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Model:
    """The model that all backends serve; `predictor` is the reference (ONNX Runtime, one thread, in process).

    If `truth` is not the model, there is no model here, and `answers` are the outputs that the answers for all items of the
    run's dataset are compared with, in their order; for truth `nobody`, `first` is the id of the endpoint that gave them.

    `path` is the ONNX file, `sha256` the hash of it and of its external data files. `signature` has the lengths of the run's
    dataset for axes that the file leaves free. `batch_dependent`: an item's answer depends on the others in its request.
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
