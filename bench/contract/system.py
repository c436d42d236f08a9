"""The seams between measuring, preparing and explaining: what each side may know of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod
from typing import Protocol

from bench.contract.backend_facts import BackendFacts
from bench.contract.resource_usage import Holdings
from bench.contract.tensors import FloatArray, IntArray, Predictor
from bench.contract.wire import Endpoint


class Role(StrEnum):
    """What a backend is there for: compared, a further start of one for the gate, the client's ceiling, or the truth."""

    SERVER = "server"
    TWIN = "twin"
    CEILING = "ceiling"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Backend:
    """What is known of a backend before anything starts; read from its backend.toml.

    `twin_of` names the server that this is a further start of, for the gate; `baseline` says that it is another checkout's.
    `variant_of` names the backend that this is another setting of; `differs` says in words what differs.
    """

    name: str
    summary: str
    runtime: str
    endpoints: tuple[Endpoint, ...]
    role: Role = Role.SERVER
    sets: frozenset[str] = frozenset()
    twin_of: str = ""
    baseline: bool = False
    variant_of: str = ""
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of a backend's whole process tree since it started; differences of two readings are what counts.

    `cpu_s` seconds on a CPU, `wait_s` seconds runnable but waiting for one (None where the kernel does not tell),
    `throttled` periods in which a cgroup's quota stopped it, `threads` alive now.
    """

    cpu_s: float
    wait_s: float | None
    throttled: int
    threads: int


class SystemUnderTest(Protocol):
    """A started backend, as the measuring side sees it."""

    @property
    def backend(self) -> Backend:
        """What it is."""
        ...

    @property
    def engine(self) -> str:
        """`docker`, `process` or `in-process`."""
        ...

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """Its endpoints by name, located."""
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
        """Counters now, or None where they cannot be read (a remote engine)."""
        ...

    def peak_memory_bytes(self) -> int | None:
        """The most memory that its processes held at once so far, as far as its engine knows; None where nobody does.

        Too dear to frame a slice with: to be asked between campaigns.
        """
        ...

    def holdings(self) -> Holdings | None:
        """What its processes hold now, or None where they are no processes of this machine; dear, like the peak."""
        ...

    def is_alive(self) -> bool:
        """Whether its first process still runs."""
        ...

    def log_tail(self) -> str:
        """The last lines that it logged."""
        ...

    def pause(self) -> None:
        """Stop all its processes where they are, connections open; raises BackendFailed if they run on."""
        ...

    def resume(self) -> None:
        """Let them go on; nothing where they are not paused or died; raises BackendFailed if they stay as they are."""
        ...


Probe = Callable[[SystemUnderTest], None]
"""Asks every endpoint of a backend for one real prediction and checks it; raises ExchangeError while not ready."""


def log_end(system: SystemUnderTest) -> str:
    """The last lines of its log as they stand below what went wrong: indented, under a line that says what they are."""
    lines = (system.log_tail().strip() or "(nothing)").splitlines()
    return "\n    ".join(["  log's end:", *lines])


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a selected backend does not run: `failed` if it was had but did not work, else it could not be had."""

    reason: str
    failed: bool = False


class Instance(Protocol):
    """One more instance of a prepared backend, so that its start can be timed; nothing runs before `launch`."""

    @property
    def ready_timeout_s(self) -> float:
        """How long its start may take."""
        ...

    @property
    def tells_ready(self) -> bool:
        """Whether it has a word of its own for being ready."""
        ...

    def launch(self) -> SystemUnderTest:
        """Order its start; returns as soon as the engine has started it. Raises BackendFailed."""
        ...

    def check_ready(self) -> None:
        """Ask it once for its own word; raises ExchangeError while it does not say that it is ready."""
        ...

    def lost_its_port(self) -> bool:
        """Whether it ended because another program took its port first: then another launch may help."""
        ...

    def stop(self) -> None:
        """End it with all that belongs to it, if it was launched; never raises."""
        ...


class Fleet(Protocol):
    """Starts, keeps and stops the selected backends; one backend's failure is its own row."""

    def start(self, names: Collection[str], probe: Probe) -> None:
        """Start those of `names` that neither run nor are known to be absent; each is ready when `probe` returns."""
        ...

    def another(self, name: str) -> AbstractContextManager[Instance]:
        """One more instance of a backend that runs, beside it and of no concern to it; stopped when the context ends."""
        ...

    @property
    def engine(self) -> str:
        """`docker` or `process`."""
        ...

    @property
    def server_cpus(self) -> tuple[int, ...]:
        """The CPUs that every backend is held to."""
        ...

    def belongings(self) -> int:
        """How many containers or processes there are of this run; 0 where the engine does not tell."""
        ...

    @property
    def running(self) -> Mapping[str, SystemUnderTest]:
        """By name, those that run."""
        ...

    @property
    def absent(self) -> Mapping[str, Absence]:
        """By name, those that could not be started, and why."""
        ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """What all backends are asked about: `images` [n, width] float32 and, where known, `labels` [n] int64, both read-only.

    `side_px`: each row is a picture of that many pixels squared, 0 to 1; 0 where rows are no such pictures.
    """

    name: str
    images: FloatArray
    labels: IntArray | None
    class_names: tuple[str, ...]
    sha256: str
    synthetic: bool
    source: str
    side_px: int = 0

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Model:
    """The model that all backends serve; `predictor` is the reference (ONNX Runtime, one thread, in process).

    `path` and `sha256` are those of the file that is served: one input [N, width], one output [N, classes]. Where it was
    derived from a file of other shapes, `given_sha256` is that one's; `input_shape` is of one item, as the given file has it.
    """

    name: str
    path: str
    sha256: str
    input_shape: tuple[int, ...]
    classes: int
    predictor: Predictor
    metrics: Mapping[str, object] = field(default_factory=dict)
    given_sha256: str = ""

    @property
    def input_width(self) -> int:
        """Values of one item, which goes over every wire as a flat row."""
        return prod(self.input_shape)
