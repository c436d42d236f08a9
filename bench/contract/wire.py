"""What is sent to servers, and how: endpoints, payloads, answers, protocols, connections."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from bench.contract.tensors import Tensors

Request = TypeVar("Request")
"""What a transport sends: a bytes object, an array; only the transport itself knows its content."""


SERVED_AS = "emnist"
"""The name of the model in our servers' paths, whichever model it is."""

HIDDEN = "[hidden]"
"""Replaces a secret in texts."""

_LEAST_SECRET = 4  # characters; a shorter text is no secret, and replacing it would garble other words
_LEAST_PIECE = 8  # characters; shorter pieces of a truncated secret are not hidden


@dataclass(frozen=True, slots=True)
class Access:
    """What is needed to reach an endpoint besides its address; for a server started here it is `Access()`.

    `ca`: a file of certificates that are trusted in addition to the system's. `headers` are sent with every request; their
    values are secret, and not in the repr.
    """

    tls: bool = False
    ca: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def redacted(self, text: str) -> str:
        """Text from a server with its secrets replaced by HIDDEN: a header's value or a word of it, truncated or not."""
        secrets = {part for _, value in self.headers for part in (value, *value.split()) if len(part) >= _LEAST_SECRET}
        pieces = {secret[:size] for secret in secrets for size in range(min(len(secret), _LEAST_PIECE), len(secret) + 1)}
        for piece in sorted(pieces, key=len, reverse=True):
            text = text.replace(piece, HIDDEN)
        return text


UNKNOWN = "unknown"
"""Runtime, endpoint and protocol of a backend whose files cannot be read: it has its row, but gets no requests."""

DEADLINE_S = 10.0
"""Seconds for one whole exchange, and for connecting, unless the model is slow: a frozen server must not delay others long."""

MOST_ANSWER_BYTES = 2**28
"""Bytes of an answer after which a client gives up, unless the model's answers are larger; usual ones are much smaller."""


WIDE_INT64 = "int64 beyond int32"
"""What a server lacks if it accepts int64 but computes in 32 bits."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One protocol of one backend; `host` and the real `port` are known once the backend runs.

    `model` is the server's name for the model, for requests that name it in their body. `url` is the URL that the user gave
    for it if its backend was already running; else empty. `lacks` are dtypes, or WIDE_INT64, that its server does not support.
    `one_cpu` is why it cannot use more than one CPU; empty if it can. `further` are host and port of more instances that serve
    the same. `deadline_s` limits one whole exchange, `most_answer_bytes` the body of its answer.
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
        """Whether its host is a loopback address or `localhost`; any other name that resolves to one does not count."""
        try:
            return ipaddress.ip_address(self.host or "").is_loopback
        except ValueError:
            return (self.host or "localhost").lower() == "localhost"

    @property
    def authority(self) -> str:
        """Host and port as a request names them: an IPv6 address in brackets, no port if it is the scheme's default."""
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{host}" if self.port == (443 if self.access.tls else 80) else f"{host}:{self.port}"

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>`, as used in test names and tables."""
        return f"{self.backend}-{self.name}"

    @property
    def instances(self) -> tuple[Endpoint, ...]:
        """One endpoint for each instance that serves it, itself first; connections are spread over them in turn."""
        others = (replace(self, host=host, port=port, further=()) for host, port in self.further)
        return (replace(self, further=()), *others)

    def located(self, host: str, port: int) -> Endpoint:
        """The same endpoint with host and port of a running backend."""
        return replace(self, host=host, port=port)


@dataclass(frozen=True, slots=True)
class Payload:
    """One request's body as it goes over the wire, built before the clock starts.

    `indices` [batch] are the items of the dataset in it, in order.
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
    """The raw bytes that answered one payload, kept for verification after the clock stops."""

    payload_index: int
    body: bytes


class Codec(Protocol):
    """One wire protocol for one model: pure functions between arrays and bytes; knows no connection.

    Arrays have the names, dtypes and shapes of the model's signature.
    """

    @property
    def name(self) -> str:
        """The protocol's name, as in backend.toml."""
        ...

    @property
    def transport(self) -> str:
        """The transport that carries it: `http`, `grpc` or `in-process`."""
        ...

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """All inputs -> (body, content type, further request headers); raises ValueError if they do not fit the signature."""
        ...

    def decode(self, body: bytes) -> Tensors:
        """An answer's bytes -> all outputs, without NaN or infinity; raises MalformedAnswer."""
        ...

    def encode_answer(self, outputs: Tensors) -> bytes:
        """All outputs -> the bytes that a server of this protocol would answer with (for null, stand-ins, tests)."""
        ...


class Transport(Protocol[Request]):
    """One kept-alive connection to one endpoint. Only `exchange` is timed.

    `spent`: the connection cannot carry another exchange before `ensure_connected`; a plain attribute, read between exchanges.
    """

    spent: bool

    def prepare(self, payload: Payload) -> Request:
        """Do all that can be done before the clock starts; returns the very object that `exchange` sends."""
        ...

    def connect(self) -> None:
        """Open the connection; raises ConnectionLost."""
        ...

    def ensure_connected(self) -> bool:
        """Reopen the connection if the server closed it meanwhile; True if it was reopened. Not timed."""
        ...

    def exchange(self, request: Request) -> bytes:
        """Send the request and receive the answer, first byte out to last byte in; returns its body. Raises ExchangeError."""
        ...

    def close(self) -> None:
        """Close the connection; never raises."""
        ...


class MultiplexedTransport(Transport[Request], Protocol[Request]):
    """A connection that an event loop can drive beside others: an exchange is started, then advanced until it is complete.

    `unsent`: part of the request is not sent yet, so it waits for the socket to be writable too.
    """

    @property
    def unsent(self) -> bool:
        """Whether `advance` should be called as soon as the descriptor is writable."""
        ...

    def fileno(self) -> int:
        """The file descriptor that becomes readable when `advance` has something to do; may change with each connect."""
        ...

    def start(self, request: Request) -> None:
        """Begin to send the request, without waiting; raises ExchangeError."""
        ...

    def advance(self) -> bytes | None:
        """Send and receive what is possible without waiting; returns the answer's body once complete, else None.

        Raises ExchangeError.
        """
        ...
