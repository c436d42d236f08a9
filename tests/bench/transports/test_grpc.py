"""The gRPC transport against grpc's own server, and against a peer that sends what a test tells it, frame by frame."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import numpy as np
import pytest

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout, MalformedAnswer
from bench.contract.wire import Endpoint, Payload
from bench.transports.grpc import GrpcTransport
from bench.transports.grpc_conversation import GrpcRequest
from bench.transports.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    PADDED,
    PREFACE,
    PRIORITISED,
    Kind,
    Setting,
    frame,
    settings_frame,
)

METHOD = "/little.Service/Predict"


@contextlib.contextmanager
def grpc_serving(handle: Callable[[bytes, grpc.ServicerContext], bytes]) -> Iterator[Endpoint]:
    class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
            return grpc.unary_unary_rpc_method_handler(handle) if details.method == METHOD else None

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()], options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Endpoint(backend="scripted", name="grpc", protocol="p", path=METHOD, host="127.0.0.1", port=port)
    finally:
        server.stop(grace=None)


def exchange(endpoint: Endpoint, deadline_s: float = 5.0) -> bytes:
    with contextlib.closing(GrpcTransport(endpoint, deadline_s=deadline_s)) as transport:
        transport.connect()
        return transport.exchange(transport.prepare(Payload(b"question", "application/grpc", (0,))))


def test_bytes_go_and_come_unchanged() -> None:
    """The prepared message arrives as it is, and the answer comes back as raw bytes."""
    with grpc_serving(lambda request, _: b"answer to " + request) as endpoint:
        assert exchange(endpoint) == b"answer to question"


def test_status_codes_are_told_apart() -> None:
    """An error of the service is an ErrorStatus with its code and words."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong width")

    with grpc_serving(refuse) as endpoint, pytest.raises(ErrorStatus, match="INVALID_ARGUMENT: wrong width"):
        exchange(endpoint)


def test_slow_answers_end_at_the_deadline() -> None:
    """No answer in time is a time-out, not an error of the service."""

    def dawdle(request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(1.0)
        return b""

    with grpc_serving(dawdle) as endpoint, pytest.raises(ExchangeTimeout, match="scripted-grpc"):
        exchange(endpoint, deadline_s=0.2)


def test_a_server_that_went_away_is_a_lost_connection_and_can_be_reopened() -> None:
    """After the loss the transport is spent; nothing listens any more, so connecting fails with the address."""
    with grpc_serving(lambda request, _: request) as endpoint:
        transport = GrpcTransport(endpoint, deadline_s=0.5)
        transport.connect()
        assert not transport.spent
        assert not transport.ensure_connected()
    with pytest.raises((ConnectionLost, ExchangeTimeout)):
        transport.exchange(transport.prepare(Payload(b"question", "application/grpc", (0,))))
    transport.close()
    assert transport.spent
    with pytest.raises(ConnectionLost, match="cannot connect"):
        transport.ensure_connected()


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_530, 65_536, 1_000_003, 40_000_000])
def test_messages_of_any_size_go_through_the_peers_windows(size: int) -> None:
    """Around a frame, a first window and far beyond both, in both directions, blocking and by an event loop."""
    message = np.random.default_rng(size).bytes(size)
    with grpc_serving(lambda request, _: request[::-1]) as endpoint, contextlib.closing(GrpcTransport(endpoint)) as transport:
        transport.connect()
        request = transport.prepare(Payload(message, "application/grpc", (0,)))
        for _ in range(2):
            assert transport.exchange(request) == message[::-1]
            assert advanced(transport, request) == message[::-1]


def advanced(transport: GrpcTransport, request: GrpcRequest) -> bytes:
    """The exchange as an event loop drives it."""
    transport.start(request)
    while (answer := transport.advance()) is None:
        select.select([transport], [transport] if transport.unsent else [], [], 5.0)
    return answer


@dataclass
class Peer:
    """The server's side of one connection; it reads what comes, and sends what it is told."""

    sock: socket.socket

    def frames(self, *payloads: bytes) -> None:
        self.sock.sendall(b"".join(payloads))

    def call(self) -> int:
        """Read until a request has ended; its stream."""
        while True:
            head = self.sock.recv(FRAME_HEAD.size, socket.MSG_WAITALL)
            high, low, kind, flags, stream = FRAME_HEAD.unpack(head)
            if size := high << 16 | low:
                self.sock.recv(size, socket.MSG_WAITALL)
            if kind == Kind.DATA and flags & END_STREAM:
                return int(stream)


STARTED = b"\x88" + b"\x0f\x10\x10application/grpc"
SUCCEEDED = b"\x00\x0bgrpc-status\x010"


def message(body: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(body)) + body


def good(stream: int, body: bytes = b"answer") -> bytes:
    """A whole answer."""
    return (
        frame(Kind.HEADERS, END_HEADERS, stream, STARTED)
        + frame(Kind.DATA, 0, stream, message(body))
        + frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, SUCCEEDED)
    )


@contextlib.contextmanager
def answering(*scripts: Callable[[Peer, int], None]) -> Iterator[GrpcTransport]:
    """A transport that is connected to a peer which answers its first call by the first script, and so on."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            listener.close()
            with sock:
                sock.recv(len(PREFACE), socket.MSG_WAITALL)
                peer = Peer(sock)
                peer.frames(settings_frame({}), frame(Kind.SETTINGS, ACK, 0))
                for script in scripts:
                    script(peer, peer.call())
                sock.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    transport = GrpcTransport(Endpoint("scripted", "grpc", "p", METHOD, port, "127.0.0.1"), deadline_s=5.0)
    try:
        transport.connect()
        yield transport
    finally:
        transport.close()
        listener.close()
        thread.join(5.0)


def ask(transport: GrpcTransport) -> bytes:
    return transport.exchange(transport.prepare(Payload(b"question", "application/grpc", (0,))))


def test_what_comes_between_the_frames_of_an_answer_is_heard() -> None:
    """Pings, settings, windows, unknown types, an interim answer and empty data: the answer is still whole."""

    def chatty(peer: Peer, stream: int) -> None:
        peer.frames(
            frame(Kind.PING, 0, 0, b"12345678"),
            settings_frame({Setting.INITIAL_WINDOW_SIZE: 1_000_000}),
            frame(99, 0, stream, b"unknown"),
            frame(Kind.HEADERS, END_HEADERS, stream, b"\x08\x03103"),
            frame(Kind.HEADERS, END_HEADERS, stream, STARTED),
            frame(Kind.DATA, 0, stream, message(b"answer")[:7]),
            frame(Kind.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
            frame(Kind.DATA, 0, stream),
            frame(Kind.DATA, PADDED, stream, b"\x03" + message(b"answer")[7:] + b"\0\0\0"),
            frame(Kind.HEADERS, PADDED | PRIORITISED | END_STREAM, stream, b"\x01" + b"\0\0\0\0\0" + SUCCEEDED[:5] + b"\0"),
            frame(Kind.CONTINUATION, END_HEADERS, stream, SUCCEEDED[5:]),
        )

    with answering(chatty, lambda peer, stream: peer.frames(good(stream))) as transport:
        assert ask(transport) == b"answer"
        assert not transport.ensure_connected()
        assert ask(transport) == b"answer"


def test_an_answer_in_single_bytes_is_the_same_answer() -> None:
    """Wherever the network cuts it."""

    def drip(peer: Peer, stream: int) -> None:
        for byte in good(stream):
            peer.frames(bytes([byte]))

    with answering(drip, drip) as transport:
        assert ask(transport) == b"answer"
        assert advanced(transport, transport.prepare(Payload(b"q", "application/grpc", (0,)))) == b"answer"


def trailers_only(code: bytes, words: bytes) -> Callable[[Peer, int], None]:
    block = STARTED + b"\x00\x0bgrpc-status" + bytes([len(code)]) + code
    block += b"\x00\x0cgrpc-message" + bytes([len(words)]) + words
    return lambda peer, stream: peer.frames(frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, block))


def block_then_end(block: bytes, data: bytes = b"") -> Callable[[Peer, int], None]:
    return lambda peer, stream: peer.frames(
        frame(Kind.HEADERS, END_HEADERS, stream, block),
        frame(Kind.DATA, 0, stream, data),
        frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, SUCCEEDED),
    )


GOODBYE = struct.pack(">II", 0, 11) + b"too_many_pings"


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        (trailers_only(b"3", b"wrong%20width"), ErrorStatus, "INVALID_ARGUMENT: wrong width"),
        (trailers_only(b"4", b"late"), ExchangeTimeout, "DEADLINE_EXCEEDED: late"),
        (trailers_only(b"14", b"gone"), ConnectionLost, "UNAVAILABLE: gone"),
        (trailers_only(b"99", b""), MalformedAnswer, "status 99"),
        (block_then_end(STARTED, message(b"x", compressed=1)), MalformedAnswer, "a compressed answer"),
        (block_then_end(STARTED + b"\x00\x0dgrpc-encoding\x04gzip"), MalformedAnswer, r"compressed answer \(gzip\)"),
        (block_then_end(STARTED, b"\0\0"), MalformedAnswer, "2 bytes, expected a message"),
        (block_then_end(STARTED, message(b"abc")[:-1]), MalformedAnswer, "a message of 3 bytes in 2"),
        (block_then_end(b"\x8d"), ErrorStatus, "HTTP status 404"),
        (block_then_end(b"\xff\xff\xff"), MalformedAnswer, "header block of HTTP/2 that cannot be read"),
        (lambda peer, stream: peer.frames(frame(Kind.RST_STREAM, 0, stream, b"\0\0\0\7")), ErrorStatus, "REFUSED_STREAM"),
        (
            lambda peer, stream: peer.frames(frame(Kind.GOAWAY, 0, 0, GOODBYE)),
            ConnectionLost,
            "YOUR_CALM too_many_pings",
        ),
        (lambda peer, stream: peer.frames(frame(Kind.PUSH_PROMISE, END_HEADERS, stream, b"\0\0\0\2")), MalformedAnswer, "push"),
        (lambda peer, stream: peer.frames(frame(Kind.DATA, END_STREAM, stream, b"")), MalformedAnswer, "without a status"),
        (lambda peer, stream: peer.frames(frame(Kind.DATA, PADDED, stream, b"\x09")), MalformedAnswer, "padding"),
        (lambda peer, stream: peer.sock.close(), ConnectionLost, "connection closed|lost"),
    ],
)
def test_what_goes_wrong_is_told_by_name(script: Callable[[Peer, int], None], error: type[Exception], words: str) -> None:
    """Errors by status, and answers that are none."""
    with answering(script) as transport, pytest.raises(error, match=words):
        ask(transport)


def test_a_failed_call_leaves_the_connection() -> None:
    """A status of gRPC's ends the call alone: the next one needs no new connection."""
    with answering(trailers_only(b"3", b"no"), lambda peer, stream: peer.frames(good(stream))) as transport:
        with pytest.raises(ErrorStatus):
            ask(transport)
        assert not transport.ensure_connected()
        assert ask(transport) == b"answer"


def test_a_goodbye_lets_the_call_finish_and_the_next_one_reconnect() -> None:
    """GOAWAY that covers the call: its answer counts, and the connection is spent outside of the clock."""

    def leave(peer: Peer, stream: int) -> None:
        peer.frames(frame(Kind.GOAWAY, 0, 0, struct.pack(">II", stream, 0)), good(stream))

    with answering(leave) as transport:
        assert ask(transport) == b"answer"
        assert transport.spent


def test_an_idle_goodbye_is_noticed_before_the_next_call() -> None:
    """What comes between two calls is looked at when the connection is needed again."""
    answered = threading.Event()

    def leave(peer: Peer, stream: int) -> None:
        peer.frames(good(stream))
        answered.wait(5.0)
        peer.frames(frame(Kind.GOAWAY, 0, 0, struct.pack(">II", stream, 0)))

    with answering(leave) as transport:
        assert ask(transport) == b"answer"
        answered.set()
        select.select([transport], [], [], 5.0)
        with pytest.raises(ConnectionLost, match="cannot connect"):
            transport.ensure_connected()


def test_a_peer_that_speaks_something_else_is_told_at_the_connect() -> None:
    """HTTP/1 on a port of gRPC, say."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        transport = GrpcTransport(Endpoint("b", "grpc", "p", METHOD, listener.getsockname()[1], "127.0.0.1"), deadline_s=2.0)
        with pytest.raises(ConnectionLost, match="spoke no HTTP/2"):
            transport.connect()
        thread.join()
