"""The seams between measuring, preparing and explaining: what each side may know of the others, and the errors.

The exception tree:

    ServebenchError
    ├── BadInput               what a person gave is wrong: an option, a file, a backend.toml; ends the session with exit code 4
    ├── BackendUnavailable     a backend cannot be had here (no engine, no image, build failed): its cells are NOT_MEASURED
    ├── BackendFailed          a backend was had, but did not start, become ready or stay alive: its cells are FAILED
    └── ExchangeError          one exchange went wrong; counted, never invented
        ├── ConnectionLost     the connection could not be opened, or ended before the answer did
        ├── ExchangeTimeout    no complete answer within the deadline
        ├── ErrorStatus        an answer that says that it is an error
        └── MalformedAnswer    bytes that are not the protocol's
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import prod
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from bench.holdings import Holdings

FloatArray = npt.NDArray[np.float32]
"""Images [n, width], each a flat row of values, or scores [n, classes]; float32, C order."""

IntArray = npt.NDArray[np.int64]

Request = TypeVar("Request")
"""What a transport sends: a bytes object, an array; only the transport itself looks into it."""


class ServebenchError(Exception):
    """Base of all errors of this project: its text is a complete message for a person."""


class BadInput(ServebenchError):
    """What a person gave is wrong; the message names the thing, the expected, the seen and the remedy."""


class BackendUnavailable(ServebenchError):
    """A backend cannot be had on this machine; the message is the reason shown in its row."""


class BackendFailed(ServebenchError):
    """A backend did not start, did not become ready in time, or died; the message carries its log's tail."""


class ExchangeError(ServebenchError):
    """One exchange went wrong."""


class ConnectionLost(ExchangeError):
    """The connection could not be opened, or ended before the answer was complete."""


class ExchangeTimeout(ExchangeError):
    """No complete answer within the deadline."""


class ErrorStatus(ExchangeError):
    """The answer says that it is an error (HTTP status, gRPC code)."""


class MalformedAnswer(ExchangeError):
    """The answer's bytes are not what the protocol prescribes."""


class Role(StrEnum):
    """What a backend is there for: compared, a further start of one for the gate, the client's ceiling, or the truth."""

    SERVER = "server"
    TWIN = "twin"
    CEILING = "ceiling"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One protocol of one backend; `host` and the real `port` are known once the backend runs."""

    backend: str
    name: str
    protocol: str
    path: str = "/"
    port: int = 0
    host: str | None = None

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>`, as it stands in test names and tables."""
        return f"{self.backend}-{self.name}"

    def located(self, host: str, port: int) -> Endpoint:
        """The same endpoint of a running backend."""
        return replace(self, host=host, port=port)


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
class Payload:
    """One request's body as it goes over the wire, built before the clock.

    `indices` [batch] are the rows of the dataset that it carries, in order.
    """

    body: bytes
    content_type: str
    indices: tuple[int, ...]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def batch_size(self) -> int:
        """Images in this payload."""
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class Answer:
    """The raw bytes that answered one payload, kept for verification after the clock."""

    payload_index: int
    body: bytes


class Codec(Protocol):
    """One wire protocol: pure functions between arrays and bytes; knows no connection."""

    @property
    def name(self) -> str:
        """As it stands in backend.toml."""
        ...

    @property
    def transport(self) -> str:
        """`http`, `grpc` or `in-process`: which transport carries it."""
        ...

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """Images [n, width] float32 -> (body, content type, further request headers)."""
        ...

    def decode(self, body: bytes) -> FloatArray:
        """An answer's bytes -> scores [n, classes] float32, all finite; raises MalformedAnswer."""
        ...

    def encode_answer(self, scores: FloatArray) -> bytes:
        """Scores [n, classes] -> the bytes with which a server of this protocol would answer (null, stand-ins, tests)."""
        ...


class Transport(Protocol[Request]):
    """One kept connection to one endpoint. Only `exchange` runs inside the clock.

    `spent`: the connection cannot carry another exchange before `ensure_connected`; a plain attribute, read between exchanges.
    """

    spent: bool

    def prepare(self, payload: Payload) -> Request:
        """All that can be done before the clock: the very object that `exchange` sends."""
        ...

    def connect(self) -> None:
        """Open the connection; raises ConnectionLost."""
        ...

    def ensure_connected(self) -> bool:
        """Reopen the connection if the server closed it meanwhile; True if it did. Called outside the clock."""
        ...

    def exchange(self, request: Request) -> bytes:
        """First byte out to last byte in; the answer's body. Raises ExchangeError."""
        ...

    def close(self) -> None:
        """Close the connection; never raises."""
        ...


class MultiplexedTransport(Transport[Request], Protocol[Request]):
    """A connection that an event loop can drive beside others: an exchange is started, then advanced until it is whole.

    `unsent`: it waits for room to send, not only for the answer. `slow_to_connect`: `connect` takes as long as many
    exchanges, so whoever keeps a schedule opens all connections before it.
    """

    @property
    def slow_to_connect(self) -> bool:
        """The same for all transports of a kind."""
        ...

    @property
    def unsent(self) -> bool:
        """Whether `advance` should be called as soon as the descriptor can be written."""
        ...

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to advance; may change with each connect."""
        ...

    def start(self, request: Request) -> None:
        """First byte out, without waiting; raises ExchangeError."""
        ...

    def advance(self) -> bytes | None:
        """What can be done without waiting; the answer's body once its last byte is in. Raises ExchangeError."""
        ...


Predictor = Callable[[FloatArray], FloatArray]
"""The model run in this process: images [n, width] float32 -> scores [n, classes] float32."""


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
    def facts(self) -> Mapping[str, object]:
        """What the report says of it: image digest or venv, size in bytes, start-up seconds, versions."""
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
