"""What goes over a wire, and what carries it: endpoints, payloads, answers, protocols, connections."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from bench.contract.tensors import Tensors

Request = TypeVar("Request")
"""What a transport sends: a bytes object, an array; only the transport itself looks into it."""


SERVED_AS = "emnist"
"""What our servers call the model, whichever it is: it stands in their paths."""

HIDDEN = "[hidden]"
"""Stands where a secret stood."""

_LEAST_SECRET = 4  # characters; less hides nothing, and would tear other words apart
_LEAST_PIECE = 8  # of a secret that was cut off


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to reach an endpoint beside its address; that of a server started here is `Access()`.

    `ca`: a file of certificates that are trusted beside the system's. `headers` go with every request; their values are
    secret, and shown in no repr.
    """

    tls: bool = False
    ca: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """Foreign words without the secrets, should a server send them back: a value or a word of it, cut off or not."""
        secrets = {part for _, value in self.headers for part in (value, *value.split()) if len(part) >= _LEAST_SECRET}
        pieces = {secret[:size] for secret in secrets for size in range(min(len(secret), _LEAST_PIECE), len(secret) + 1)}
        for piece in sorted(pieces, key=len, reverse=True):
            text = text.replace(piece, HIDDEN)
        return text


UNKNOWN = "unknown"
"""Runtime, endpoint and protocol of a backend whose files cannot be read: it has its row, and is never asked."""

DEADLINE_S = 10.0
"""For one whole exchange, and for connecting, unless the model is slow: a frozen server may not hold up the others long."""

MOST_ANSWER_BYTES = 2**28
"""More than any usual answer: what a client takes of a server before it gives up, unless the model answers with more."""


WIDE_INT64 = "int64 beyond int32"
"""What a server has not that takes int64 and computes in 32 bits."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One protocol of one backend; `host` and the real `port` are known once the backend runs.

    `model` is what the server calls the model where a request names it in its body. `url` is what a person gave for it, of a
    backend that runs already; else empty. `lacks` are dtypes, or WIDE_INT64, that its server has not. `one_cpu` is why it
    cannot use more than one CPU; empty where it can. `further` are host and port of more instances that serve the same.
    `deadline_s` is for one whole exchange, `most_answer_bytes` for its answer's body.
    """

    backend: str
    name: str
    protocol: str
    path: str = "/"
    port: int = 0
    host: str | None = None
    model: str = SERVED_AS
    url: str = ""
    access: Access = field(default_factory=Access)
    lacks: tuple[str, ...] = ()
    one_cpu: str = ""
    further: tuple[tuple[str, int], ...] = ()
    deadline_s: float = DEADLINE_S
    most_answer_bytes: int = MOST_ANSWER_BYTES

    @property
    def is_near(self) -> bool:
        """Whether its host is this machine's loopback; a name that only resolves to it is not."""
        try:
            return ipaddress.ip_address(self.host or "").is_loopback
        except ValueError:
            return (self.host or "localhost").lower() == "localhost"

    @property
    def authority(self) -> str:
        """Host and port as a request names them: an IPv6 address in brackets, no port where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{host}" if self.port == (443 if self.access.tls else 80) else f"{host}:{self.port}"

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>`, as it stands in test names and tables."""
        return f"{self.backend}-{self.name}"

    @property
    def instances(self) -> tuple[Endpoint, ...]:
        """One for each instance that serves it, itself the first: connections are spread over them in turn."""
        others = (replace(self, host=host, port=port, further=()) for host, port in self.further)
        return (replace(self, further=()), *others)

    def located(self, host: str, port: int) -> Endpoint:
        """The same endpoint of a running backend."""
        return replace(self, host=host, port=port)


@dataclass(frozen=True, slots=True)
class Payload:
    """One request's body as it goes over the wire, built before the clock.

    `indices` [batch] are the items of the dataset that it carries, in order.
    """

    body: bytes
    content_type: str
    indices: tuple[int, ...]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def batch_size(self) -> int:
        """Items in this payload."""
        return len(self.indices)


@dataclass(frozen=True, slots=True)
class Answer:
    """The raw bytes that answered one payload, kept for verification after the clock."""

    payload_index: int
    body: bytes


class Codec(Protocol):
    """One wire protocol for one model: pure functions between arrays and bytes; knows no connection.

    Arrays come and go by the names of the model's signature, with its dtypes and shapes.
    """

    @property
    def name(self) -> str:
        """As it stands in backend.toml."""
        ...

    @property
    def transport(self) -> str:
        """`http`, `grpc` or `in-process`: which transport carries it."""
        ...

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """All inputs -> (body, content type, further request headers); ValueError where they are not the signature's."""
        ...

    def decode(self, body: bytes) -> Tensors:
        """An answer's bytes -> all outputs, with no NaN or infinity in them; raises MalformedAnswer."""
        ...

    def encode_answer(self, outputs: Tensors) -> bytes:
        """All outputs -> the bytes with which a server of this protocol would answer (null, stand-ins, tests)."""
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

    `unsent`: it waits for room to send, not only for the answer.
    """

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
