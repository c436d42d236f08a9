"""What is fuzzed: functions of bytes that refuse in their own words or succeed. Whatever else they raise is a crash."""

import contextlib
import importlib
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import numpy as np

from bench.contract.errors import ErrorStatus, ExchangeError, MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint, Payload
from bench.transports import http2
from bench.transports.grpc import GrpcTransport
from bench.transports.http import HttpTransport
from bench.transports.http2 import frame
from tests.bench.transports.test_grpc import GOODBYE, METHOD, STARTED, good, grpc_serving
from tests.flat import flat_codec as codec

FIXTURES = Path(__file__).parents[2] / "fixtures"
PROTOCOLS = ("v1-json", "raw", "graphpipe", "v2-json", "v2-binary", "v2-grpc", "tfserving-grpc")
WIDTH, CLASSES = 4, 3
NEXT_ANSWER = b"\xff\xfe"
"""Between two answers on one connection."""


@dataclass(frozen=True, slots=True)
class Target:
    """`attempt` takes any bytes and raises only what is a bug; `seeds` are bytes that it takes gladly."""

    attempt: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def some(rows: int, columns: int) -> FloatArray:
    """Numbers that are the same each time."""
    return np.linspace(0.0, 1.0, rows * columns, dtype=np.float32).reshape(rows, columns)


def client_decoders() -> Iterator[tuple[str, Target]]:
    """What the measuring side reads from a server: scores, or MalformedAnswer."""
    for protocol in PROTOCOLS:
        chosen = codec(protocol)

        def attempt(data: bytes, decode: Callable[[bytes], FloatArray] = chosen.decode) -> None:
            try:
                scores = decode(data)
            except MalformedAnswer as error:
                words = str(error)
                scores = some(1, 1)
            else:
                words = ""
            assert len(words) < 1500, "a foreign text of any length"
            assert scores.ndim == 2
            assert scores.dtype == np.float32
            assert np.isfinite(scores).all()

        yield f"client {protocol}", Target(attempt, tuple(chosen.encode_answer(some(rows, CLASSES)) for rows in (1, 3)))


def module_beside(folder: Path, name: str) -> ModuleType:
    """A server's module, which expects its own folder in the path."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return importlib.import_module(name)


def null_server() -> Iterator[tuple[str, Target]]:
    """A whole conversation with null, in HTTP/1 or HTTP/2: it never raises, and it comes to an end."""
    http1 = module_beside(FIXTURES / "backends" / "null", "http1")
    http2 = module_beside(FIXTURES / "backends" / "null", "http2")
    canned = module_beside(FIXTURES / "backends" / "null", "canned")
    stored = {"/a": canned.canned(http1.response_head(200, 3), b"abc")}

    def attempt(data: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(data[:60_000])
            ours.shutdown(socket.SHUT_WR)
            theirs.settimeout(0.5)
            begun = http1.Connection(theirs, dict(stored), 0.5).serve()
            if begun is not None:
                http2.Connection(theirs, stored, 0.5, begun).serve()

    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2.frame(http2.SETTINGS, 0, 0)
    call = http2.frame(http2.HEADERS, 4, 1, b"\x04\x02/a") + http2.frame(http2.DATA, 1, 1, b"\0\0\0\0\0")
    requests = (b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", b"PUT /b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx")
    yield "server null", Target(attempt, (*requests, requests[0] * 2, preface + call))


class Answers:
    """A transport against a peer that greets and answers what it is told: a body or an ExchangeError, and an end to it."""

    def __init__(self, kind: type[HttpTransport] | type[GrpcTransport], greeting: bytes = b"") -> None:
        self._kind = kind
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = int(self._listener.getsockname()[1])
        self._endpoint = Endpoint(backend="fuzz", name="answers", protocol="p", host="127.0.0.1", port=port)

    def attempt(self, data: bytes) -> None:
        """`data` holds up to three answers; after the last the peer has no more to say."""
        answers = data[:200_000].split(NEXT_ANSWER, 2)
        transport = self._kind(self._endpoint, deadline_s=0.01 if not self._greeting else 0.1)
        peer = self._connected(transport)
        # Reset at its end: closed in the usual way, thousands of connections would soon have used up the ports.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request = transport.prepare(Payload(b"q", "text/plain", (0,)))
        try:
            for number, answer in enumerate(answers, 1):
                peer.sendall(answer)
                if number == len(answers):
                    peer.shutdown(socket.SHUT_WR)
                self._exchange(transport, request, sent=len(data))
                if transport.spent:
                    break
        finally:
            peer.close()
            transport.close()

    def _connected(self, transport: HttpTransport | GrpcTransport) -> socket.socket:
        """The peer's side; its greeting lies there before it has accepted, as the kernel keeps it."""
        if not self._greeting:
            transport.connect()
            return self._listener.accept()[0]
        accepted: list[socket.socket] = []

        def greet() -> None:
            accepted.append(self._listener.accept()[0])
            accepted[0].sendall(self._greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        transport.connect()
        thread.join()
        return accepted[0]

    def _exchange(self, transport: Any, request: Any, sent: int) -> None:
        try:
            body = transport.exchange(request)
        except ErrorStatus:
            return  # of gRPC's: the connection carries on
        except ExchangeError:
            assert transport.spent
        else:
            assert len(body) <= sent

    def close(self) -> None:
        """No more."""
        self._listener.close()

    @staticmethod
    def http_seeds() -> tuple[bytes, ...]:
        """Sized, chunked and unsized, alone and one after the other."""
        sized = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello"
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"
        unsized = b"HTTP/1.0 200 OK\r\n\r\nall of it"
        refused = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        return (sized, chunked, unsized, refused, interim + sized, NEXT_ANSWER.join((sized, sized, chunked)))


def grpc_seeds() -> tuple[bytes, ...]:
    """A whole answer on the first stream, one on each of the first two, one without a message, a goodbye."""
    return (good(1), NEXT_ANSWER.join((good(1), good(3, b"x" * 100))), frame(http2.Kind.HEADERS, 5, 1, STARTED), GOODBYE)


@contextlib.contextmanager
def grpc_answers() -> Iterator[tuple[str, Target]]:
    """A gRPC server that answers any bytes, or fails with a status that they choose, to the transport and both decoders."""
    said = [b""]

    def handle(_request: bytes, context: grpc.ServicerContext) -> bytes:
        data = said[0]
        if data[:1] == b"!":
            statuses = list(grpc.StatusCode)
            context.abort(statuses[1:][len(data) % (len(statuses) - 1)], data[1:].decode("latin-1"))
        return data

    with grpc_serving(handle) as endpoint:
        transport = GrpcTransport(endpoint, deadline_s=2.0)

        def attempt(data: bytes) -> None:
            said[0] = data
            transport.ensure_connected()
            try:
                answer = transport.exchange(transport.prepare(Payload(b"q", "application/grpc", (0,))))
            except ExchangeError:
                return
            assert answer == data
            for protocol in ("v2-grpc", "tfserving-grpc"):
                with contextlib.suppress(MalformedAnswer):
                    codec(protocol).decode(answer)

        seeds = tuple(codec(protocol).encode_answer(some(2, CLASSES)) for protocol in ("v2-grpc", "tfserving-grpc"))
        assert endpoint.path == METHOD
        try:
            yield "client grpc answers", Target(attempt, (*seeds, b"!no such model"))
        finally:
            transport.close()


@contextlib.contextmanager
def targets() -> Iterator[Mapping[str, Target]]:
    """All of them by name; those that need a peer have it as long as this lasts."""
    answers = Answers(HttpTransport)
    frames = Answers(GrpcTransport, http2.settings_frame({}) + frame(http2.Kind.SETTINGS, http2.ACK, 0))
    found: dict[str, Target] = {
        **dict(client_decoders()),
        "client http answers": Target(answers.attempt, answers.http_seeds()),
        "client grpc frames": Target(frames.attempt, grpc_seeds()),
        **dict(null_server()),
    }
    with contextlib.closing(answers), contextlib.closing(frames), grpc_answers() as (name, target):
        found[name] = target
        yield found
