"""The null backend over gRPC: canned messages to a real channel, and HTTP/2 by hand where a real one behaves too well."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from bench.contract.errors import ErrorStatus
from bench.contract.wire import Endpoint, Payload
from bench.transports.grpc import GrpcTransport
from tests.backends.launch import Server, exchange, running, some_images, tiny_model
from tests.flat import flat_codec as codec

pytestmark = pytest.mark.integration

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGE = 256 * 1024 * 1024


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The null backend with a short deadline for half-sent requests."""
    folder = tmp_path_factory.mktemp("null")
    with running("null", folder, tiny_model(folder / "model.onnx"), "--request-timeout-s", "0.5") as server:
        yield server


def put(null: Server, path: str, answer: bytes) -> None:
    connection = null.connect()
    assert exchange(connection, "PUT", path, answer).status == 204
    connection.close()


@contextlib.contextmanager
def transport(null: Server, path: str) -> Iterator[GrpcTransport]:
    """The measuring side's own connection to one method."""
    opened = GrpcTransport(Endpoint("null", "grpc", "p", path, null.port, "127.0.0.1"), deadline_s=10.0)
    opened.connect()
    try:
        yield opened
    finally:
        opened.close()


def ask(opened: GrpcTransport, message: bytes, batch_size: int = 1) -> bytes:
    return opened.exchange(opened.prepare(Payload(message, "application/grpc", tuple(range(batch_size)))))


@contextlib.contextmanager
def channel(null: Server) -> Iterator[grpc.Channel]:
    sizes = [("grpc.max_send_message_length", LARGE), ("grpc.max_receive_message_length", LARGE)]
    with grpc.insecure_channel(f"127.0.0.1:{null.port}", options=[*sizes, ("grpc.use_local_subchannel_pool", 1)]) as opened:
        yield opened


@pytest.mark.parametrize("protocol", ["tfserving-grpc", "v2-grpc"])
def test_what_was_put_is_what_a_call_gets(null: Server, protocol: str) -> None:
    """Each protocol's real request of each batch size is read whole and answered with the message stored for that size."""
    path = null.path(protocol)
    for batch_size in (1, 128):
        put(null, path.format(batch_size=batch_size), codec(protocol).encode_answer(some_images(batch_size, width=62)))
    for batch_size in (1, 128):
        with transport(null, path) as opened:
            request, _, _ = codec(protocol).encode(some_images(batch_size))
            for _ in range(20):
                scores = codec(protocol).decode(ask(opened, request, batch_size))
                np.testing.assert_array_equal(scores, some_images(batch_size, width=62))


def test_an_answer_that_was_put_again_is_the_new_one(null: Server) -> None:
    """The next call on a connection that is already open gets what is stored now."""
    put(null, "/again/1", b"old")
    with transport(null, "/again/1") as opened:
        assert ask(opened, b"?") == b"old"
        put(null, "/again/1", b"new")
        assert ask(opened, b"?") == b"new"


@pytest.mark.parametrize("size", [0, 1, 16_379, 65_535, 3_000_001, 70_000_000])
def test_messages_of_any_size_pass_whole(null: Server, size: int) -> None:
    """Small enough for a frame or larger than any window, there and back."""
    answer = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    put(null, "/sized/1", answer)
    with transport(null, "/sized/1") as opened:
        assert ask(opened, answer) == answer
        assert ask(opened, b"") == answer


def test_many_calls_at_once_on_one_channel(null: Server) -> None:
    """Calls whose frames are interleaved on one connection each get their whole answer."""
    answer = b"y" * 100_000
    put(null, "/many/1", answer)
    with channel(null) as opened:
        call = opened.unary_unary("/many/1", request_serializer=None, response_deserializer=None)
        under_way = [call.future(b"z" * 70_000, timeout=20) for _ in range(200)]
        assert all(future.result() == answer for future in under_way)


def test_channels_do_not_get_each_others_answers(null: Server) -> None:
    """Two channels with a method each, in turn; one method's path begins with the other's."""
    put(null, "/turn/1", b"one")
    put(null, "/turn/12", b"twelve")
    with transport(null, "/turn/1") as one, transport(null, "/turn/12") as twelve:
        for _ in range(50):
            assert ask(one, b"?") == b"one"
            assert ask(twelve, b"?") == b"twelve"


def test_a_call_before_its_put_fails_in_words(null: Server) -> None:
    """An unknown path is an error of the call, not of the connection: it works once the answer is stored."""
    with transport(null, "/late/1") as opened:
        with pytest.raises(ErrorStatus, match="FAILED_PRECONDITION: no answer is stored for /late/1: PUT it first"):
            ask(opened, b"?" * 1000)
        put(null, "/late/1", b"at last")
        assert ask(opened, b"?") == b"at last"


def test_a_second_method_on_a_connection_is_refused(null: Server) -> None:
    """Header blocks are not decoded, so a client that mixes methods is sent away rather than given the wrong answer."""
    put(null, "/mix/1", b"one")
    put(null, "/mix/2", b"two")
    with channel(null) as opened:
        first, second = (
            opened.unary_unary(f"/mix/{number}", request_serializer=None, response_deserializer=None) for number in (1, 2)
        )
        assert first(b"?", timeout=10) == b"one"
        with pytest.raises(grpc.RpcError) as refused:
            second(b"?", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    with transport(null, "/mix/2") as alone:
        assert ask(alone, b"?") == b"two"


def test_an_idle_channel_is_kept(null: Server) -> None:
    """Between two calls a channel may wait longer than a half-sent request may: a backend waits for its turn."""
    put(null, "/idle/1", b"here")
    with transport(null, "/idle/1") as opened:
        assert ask(opened, b"?") == b"here"
        time.sleep(1.2)
        assert ask(opened, b"?") == b"here"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    names = {"initial_window_size": 4, "max_frame_size": 5}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def header_block(path: str) -> bytes:
    """A path as a literal with the name's number in HPACK's static table."""
    return b"\x83\x86\x44" + bytes([len(path)]) + path.encode()


def call(stream: int, path: str, message: bytes = b"\0\0\0\0\1?") -> bytes:
    return frame(HEADERS, END_HEADERS, stream, header_block(path)) + frame(DATA, END_STREAM, stream, message)


class Wire:
    """A connection on which every frame is written by hand; what arrives is read frame by frame."""

    def __init__(self, null: Server, first: bytes = PREFACE + frame(SETTINGS)) -> None:
        self._socket = socket.create_connection(("127.0.0.1", null.port), timeout=10)
        self._file = self._socket.makefile("rb")
        self.send(first)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, *frames: bytes) -> None:
        self._socket.sendall(b"".join(frames))

    def next(self) -> tuple[int, int, int, bytes] | None:
        """Type, flags, stream and payload; None at the end."""
        head = self._file.read(9)
        if not head:
            return None
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream, self._file.read(int.from_bytes(head[:3], "big"))

    def until(self, kind: int, flags: int = 0) -> list[tuple[int, int, int, bytes]]:
        """All frames up to one of that type with these flags."""
        seen = []
        while (received := self.next()) is not None:
            seen.append(received)
            if received[0] == kind and received[1] & flags == flags:
                return seen
        raise AssertionError(f"the connection ended before a frame of type {kind}: {seen}")

    def is_silent(self) -> bool:
        """Whether nothing comes although the peer has had its chance: it answers a ping, and nothing before it."""
        self.send(frame(PING, payload=b"anything"))
        return self.until(PING, ACK) == [(PING, ACK, 0, b"anything")]


def test_it_greets_and_acknowledges(null: Server) -> None:
    """Settings first, an acknowledgement of the client's, pings sent back; acknowledgements themselves are not answered."""
    with Wire(null) as wire:
        greeting = wire.until(SETTINGS, ACK)
        assert [received[:3] for received in greeting] == [(SETTINGS, 0, 0), (WINDOW_UPDATE, 0, 0), (SETTINGS, ACK, 0)]
        wire.send(frame(SETTINGS, ACK), frame(PING, ACK, payload=b"12345678"))
        assert wire.is_silent()


def test_the_clients_windows_and_frame_sizes_are_respected(null: Server) -> None:
    """Not a byte more than a stream's window or the connection's, and the rest as soon as there is room."""
    put(null, "/window/1", b"a" * 95)  # 100 bytes with the message's prefix
    with Wire(null, PREFACE + settings(initial_window_size=60)) as wire:
        wire.send(call(1, "/window/1"))
        *_, headers, data = wire.until(DATA)
        assert headers == (HEADERS, END_HEADERS, 1, b"\x88\x0f\x10\x10application/grpc")
        assert data == (DATA, 0, 1, b"\0\0\0\0\x5f" + b"a" * 55)
        wire.send(frame(WINDOW_UPDATE, stream=1, payload=struct.pack(">I", 30)))
        assert wire.next() == (DATA, 0, 1, b"a" * 30)
        assert wire.is_silent()
        wire.send(settings(initial_window_size=70))  # open streams gain the difference
        assert wire.until(DATA)[-1] == (DATA, 0, 1, b"a" * 10)
        assert wire.until(HEADERS)[-1] == (HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x0bgrpc-status\x010")


def test_the_connections_window_is_shared(null: Server) -> None:
    """Two answers of 40 kB: the second stops where the 65,535 bytes of the whole connection end."""
    put(null, "/shared/1", b"a" * 39_995)
    with Wire(null) as wire:
        wire.send(call(1, "/shared/1"), call(3, "/shared/1"))
        frames = wire.until(HEADERS, END_STREAM)  # of the first answer
        while sum(len(payload) for kind, _, _, payload in frames if kind == DATA) < 65_535:
            frames += wire.until(DATA)
        assert wire.is_silent()
        assert max(len(payload) for _, _, _, payload in frames) == 16_384
        wire.send(frame(WINDOW_UPDATE, payload=struct.pack(">I", 1_000_000)))
        frames += wire.until(HEADERS, END_STREAM)
        for stream in (1, 3):
            assert b"".join(payload for kind, _, of, payload in frames if (kind, of) == (DATA, stream))[5:] == b"a" * 39_995


def test_larger_frames_are_used_where_the_client_takes_them(null: Server) -> None:
    """SETTINGS_MAX_FRAME_SIZE of the client decides."""
    put(null, "/frames/1", b"a" * 39_995)
    with Wire(null, PREFACE + settings(max_frame_size=30_000)) as wire:
        wire.send(call(1, "/frames/1"))
        sizes = [len(payload) for kind, _, _, payload in wire.until(HEADERS, END_STREAM) if kind == DATA]
        assert sizes == [30_000, 10_000]


def test_the_connections_window_is_given_back(null: Server) -> None:
    """What was received is given back in large pieces, so that a client that sends for hours never waits."""
    put(null, "/endless/1", b"ok")
    mebibyte = bytes(2**20)
    with Wire(null) as wire:
        wire.until(SETTINGS, ACK)
        for stream in (1, 3):
            wire.send(frame(HEADERS, END_HEADERS, stream, header_block("/endless/1")))
            for _ in range(32):
                wire.send(frame(DATA, stream=stream, payload=mebibyte))
            wire.send(frame(DATA, END_STREAM, stream))
        assert wire.until(WINDOW_UPDATE)[-1] == (WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**26))
        assert wire.until(HEADERS, END_STREAM)[-1][2] == 3


def test_a_header_block_may_come_in_pieces(null: Server) -> None:
    """CONTINUATION frames are one block with what they continue, wherever it was cut; further calls may refer back to it."""
    put(null, "/pieces/1", b"whole")
    block = header_block("/pieces/1")
    with Wire(null) as wire:
        wire.send(frame(HEADERS, END_STREAM, 1, block[:7]), frame(CONTINUATION, 0, 1), frame(CONTINUATION, 4, 1, block[7:]))
        assert (DATA, 0, 1, b"\0\0\0\0\5whole") in wire.until(HEADERS, END_STREAM)
        wire.send(frame(PRIORITY, stream=3, payload=bytes(5)), frame(99, 255, 3, b"unknown"))
        wire.send(
            frame(HEADERS, END_HEADERS, 3, b"\x83\x86\xbe"), frame(DATA, 0, 3, b"half"), frame(RST_STREAM, 0, 3, bytes(4))
        )
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 5, b"\x83\x86\xbe"))
        assert wire.until(DATA)[-1] == (DATA, 0, 5, b"\0\0\0\0\5whole")


def test_a_path_that_is_not_in_plain_is_refused(null: Server) -> None:
    """A client that compresses its headers gets an error of the call that says what is expected."""
    with Wire(null) as wire:
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x83\x86\x44\x84\x60\xd5\x48\x5f"))
        kind, flags, stream, block = wire.until(HEADERS)[-1]
        assert (kind, flags, stream) == (HEADERS, END_HEADERS | END_STREAM, 1)
        assert b"\x00\x0bgrpc-status\x0212" in block
        assert b"expected the method's path in plain" in block


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(SETTINGS), 1),
        (PREFACE + frame(PING, payload=bytes(8)), 1),
        (PREFACE + b"\xff" * 100, 6),
        (PREFACE + settings() + frame(PING, payload=b"short"), 6),
        (PREFACE + settings() + frame(SETTINGS, payload=bytes(5)), 6),
        (PREFACE + settings() + frame(SETTINGS, stream=1), 1),
        (PREFACE + settings(initial_window_size=2**31), 3),
        (PREFACE + settings(max_frame_size=100), 1),
        (PREFACE + settings() + frame(DATA, 0, 1, b"no call"), 5),
        (PREFACE + settings() + call(2, "/x/1"), 1),
        (PREFACE + settings() + call(3, "/x/1") + call(1, "/x/1"), 1),
        (PREFACE + settings() + frame(HEADERS, 0, 1, b"half") + frame(PING, payload=bytes(8)), 1),
        (PREFACE + settings() + frame(HEADERS, 0, 1, b"half") + frame(CONTINUATION, 4, 3), 1),
        (PREFACE + settings() + frame(CONTINUATION, 4, 1), 1),
        (PREFACE + settings() + frame(PUSH_PROMISE, 4, 1, bytes(8)), 1),
        (PREFACE + settings() + frame(WINDOW_UPDATE, payload=bytes(4)), 3),
        (PREFACE + settings() + frame(WINDOW_UPDATE, payload=b"\x7f\xff\xff\xff"), 3),
        (PREFACE + settings() + frame(HEADERS, 0, 1, bytes(70_000)), 11),
        (PREFACE + settings() + frame(HEADERS, 0, 1, bytes(40_000)) + frame(CONTINUATION, 0, 1, bytes(40_000)), 11),
        (PREFACE + settings() + b"".join(frame(HEADERS, 4, stream, b"\x83") for stream in range(1, 259, 2)), 11),
    ],
)
def test_a_broken_client_loses_its_connection_and_nothing_else(null: Server, sent: bytes, code: int) -> None:
    """Each violation ends in a GOAWAY with its code and the end of this connection; the server lives on."""
    with Wire(null, sent) as wire:
        goaway = wire.until(GOAWAY)[-1]
        assert struct.unpack(">I", goaway[3][4:8]) == (code,)
        assert wire.next() is None
    assert null.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize(
    "sent",
    [
        PREFACE[:20],
        PREFACE + b"\0\0",
        PREFACE + settings() + frame(HEADERS, END_HEADERS, 1, header_block("/x/1")),
        PREFACE + settings() + frame(HEADERS, END_HEADERS, 1, header_block("/x/1")) + frame(DATA, 0, 1, b"half")[:-1],
    ],
)
def test_half_a_request_is_not_waited_for_without_end(null: Server, sent: bytes) -> None:
    """A client that stops in the middle of its greeting, a frame or a call loses its connection."""
    with Wire(null, sent) as wire, contextlib.suppress(ConnectionResetError):
        while wire.next() is not None:
            pass
