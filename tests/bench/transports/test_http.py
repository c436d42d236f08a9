"""The HTTP transport against servers that behave well, oddly and badly, on real sockets."""

import contextlib
import itertools
import socket
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout, MalformedAnswer
from bench.contract.wire import Endpoint, Payload
from bench.transports.http import HttpTransport
from tests.bench.sockets import Script, answering, ok, read_request, serving


def exchange(endpoint: Endpoint, body: bytes = b"question", deadline_s: float = 5.0) -> bytes:
    with contextlib.closing(HttpTransport(endpoint, deadline_s=deadline_s)) as transport:
        transport.connect()
        return transport.exchange(transport.prepare(Payload(body, "application/octet-stream", (0,))))


@contextlib.contextmanager
def asking(endpoint: Endpoint) -> Iterator[tuple[HttpTransport, bytes]]:
    """A connected transport, and a request that it can send."""
    with contextlib.closing(HttpTransport(endpoint)) as transport:
        transport.connect()
        yield transport, transport.prepare(Payload(b"q", "text/plain", (0,)))


def test_returns_the_body_of_a_sized_answer() -> None:
    """What comes back is the body, whole and nothing else."""
    with serving(answering(lambda body: ok(b"answer to " + body))) as endpoint:
        assert exchange(endpoint) == b"answer to question"


def test_request_names_host_path_type_and_length() -> None:
    """The request is complete HTTP/1.1, with the payload's own headers and the batch size filled into the path."""
    endpoint = Endpoint(backend="b", name="e", protocol="p", path="/v1/{batch_size}", host="127.0.0.1", port=81)
    payload = Payload(b"xyz", "application/json", (4, 5), headers=(("Inference-Header-Content-Length", "7"),))
    head, _, body = HttpTransport(endpoint).prepare(payload).partition(b"\r\n\r\n")
    assert body == b"xyz"
    assert head.split(b"\r\n") == [
        b"POST /v1/2 HTTP/1.1",
        b"Host: 127.0.0.1:81",
        b"Content-Type: application/json",
        b"Content-Length: 3",
        b"Inference-Header-Content-Length: 7",
    ]


def test_one_connection_carries_many_exchanges_of_changing_size() -> None:
    """The fast paths for repeated heads give the same bytes as parsing in full, whatever the order of sizes."""
    sizes = [10, 10, 10, 3, 3, 200_000, 10, 0, 1_500_000, 10, 10]
    answers = itertools.cycle(bytes([size % 251]) * size for size in sizes)
    dates = itertools.count()
    accepted = []

    def script(connection: socket.socket) -> None:
        accepted.append(1)
        while read_request(connection) is not None:
            # a Date that changes every third answer, as a real server's does once a second
            connection.sendall(ok(next(answers), extra=f"Date: {next(dates) // 3}\r\nX-After: 1\r\n"))

    with serving(script) as endpoint, asking(endpoint) as (transport, request):
        for size in sizes * 3:
            assert transport.exchange(request) == bytes([size % 251]) * size
            assert not transport.ensure_connected()
    assert len(accepted) == 1


def in_pieces(answer: bytes, *cuts: int) -> Script:
    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while read_request(connection) is not None:
            for start, end in itertools.pairwise((0, *cuts, len(answer))):
                connection.sendall(answer[start:end])
                time.sleep(0.01)

    return script


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n"
)


@pytest.mark.parametrize("cuts", [(), (1,), (20, 50), (17, 18, 19), (55, 56), tuple(range(1, len(CHUNKED), 7))])
def test_reads_chunked_answers_however_they_are_cut(cuts: tuple[int, ...]) -> None:
    """Chunks, extensions, trailers, in any segments; the connection stays usable."""
    with serving(in_pieces(CHUNKED, *cuts)) as endpoint, asking(endpoint) as (transport, request):
        for _ in range(2):
            assert transport.exchange(request) == b"hello world"
        assert not transport.spent


@pytest.mark.parametrize("cuts", [(1,), (3, 9, 30), (38,), (40, 41)])
def test_reads_sized_answers_however_they_are_cut(cuts: tuple[int, ...]) -> None:
    """A head or a body that arrives in pieces is put together, also on the fast path of a repeated head."""
    with serving(in_pieces(ok(b"0123456789"), *cuts)) as endpoint, asking(endpoint) as (transport, request):
        for _ in range(3):
            assert transport.exchange(request) == b"0123456789"


@pytest.mark.parametrize("cuts", [(), (25,)], ids=["at once", "alone"])
def test_interim_answers_are_skipped(cuts: tuple[int, ...]) -> None:
    """A 100 Continue before the answer is not the answer, which may follow later."""
    with serving(in_pieces(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"real"), *cuts)) as endpoint:
        assert exchange(endpoint) == b"real"


def test_an_announced_length_is_no_reason_to_take_memory() -> None:
    """Room is made for what comes: an answer of 200 MB that breaks off at once has cost next to nothing."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n1234567890")

    with serving(script) as endpoint:
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionLost, match="closed after"):
                exchange(endpoint)
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()


def test_an_endless_chunked_answer_is_cut_off() -> None:
    """Chunks of one byte with long extensions count as what they are."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"1;" + b"x" * 60_000 + b"\r\na\r\n")

    with serving(script) as endpoint, pytest.raises(MalformedAnswer, match="expected at most 1000000"):
        exchange(replace(endpoint, most_answer_bytes=1_000_000))


def test_connection_close_is_honoured_and_reopened_outside_the_exchange() -> None:
    """A server that closes after each answer marks the connection as spent; ensure_connected opens the next."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(ok(b"once", extra="Connection: close\r\n"))

    with serving(script) as endpoint, asking(endpoint) as (transport, request):
        assert transport.exchange(request) == b"once"
        assert transport.spent
        with pytest.raises(ConnectionLost, match="not connected"):
            transport.exchange(request)
        assert transport.ensure_connected()
        assert transport.exchange(request) == b"once"


def test_answer_without_length_ends_with_the_connection() -> None:
    """HTTP/1.0 style: the body is all that comes until the server closes."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of ")
        time.sleep(0.02)
        connection.sendall(b"it")

    with serving(script) as endpoint:
        assert exchange(endpoint) == b"all of it"


def test_silent_close_between_exchanges_is_noticed() -> None:
    """A keep-alive connection that the server dropped while idle is reopened before the next exchange."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(ok(b"bye"))

    with serving(script) as endpoint, asking(endpoint) as (transport, request):
        transport.exchange(request)
        deadline = time.monotonic() + 5
        while not transport.ensure_connected():
            assert time.monotonic() < deadline
        assert transport.exchange(request) == b"bye"


def test_error_status_tells_status_and_text() -> None:
    """A 4xx or 5xx is an error with the server's own words, and the connection may go on."""
    error = b'{"error": "wrong width"}'
    answer = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(error)}\r\n\r\n".encode() + error
    with serving(answering(lambda _: answer)) as endpoint, pytest.raises(ErrorStatus, match=r"400.*wrong width"):
        exchange(endpoint)


def test_early_refusal_of_a_large_body_is_read() -> None:
    """A server that answers 413 and closes without reading everything is heard."""

    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.2)

    with serving(script) as endpoint, pytest.raises((ErrorStatus, ConnectionLost)):
        exchange(endpoint, body=b"x" * 20_000_000)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ConnectionLost, "closed after"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ConnectionLost, "closed after"),
        (b"", ConnectionLost, "closed before an answer"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", MalformedAnswer, "status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", MalformedAnswer, "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", MalformedAnswer, "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nfour", MalformedAnswer, "more than its Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", MalformedAnswer, "expected at most"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", MalformedAnswer, "chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", MalformedAnswer, "expected at most"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", MalformedAnswer, "whole number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-6\r\n", MalformedAnswer, "chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", MalformedAnswer, "chunk size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 200_000, MalformedAnswer, "no end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ConnectionLost, "closed after"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, MalformedAnswer, "no end of the headers"),
    ],
)
def test_bad_answers_have_their_own_errors(answer: bytes, error: type[Exception], words: str) -> None:
    """Cut, foreign, contradictory and endless answers are told apart, and name the endpoint."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    with serving(script) as endpoint, pytest.raises(error, match=words) as caught:
        exchange(endpoint)
    assert "scripted-raw" in str(caught.value)


def test_endless_body_is_cut_off() -> None:
    """A body without length that never ends stops at the endpoint's limit."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x" * 100_000)

    with serving(script) as endpoint, pytest.raises(MalformedAnswer, match="expected at most 1000000"):
        exchange(replace(endpoint, most_answer_bytes=1_000_000))


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
def test_slow_answers_end_at_the_deadline(first: bytes) -> None:
    """No answer, or one that drips on for ever, ends in a time-out: each byte does not start the deadline anew."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(first)
        for _ in range(100):
            time.sleep(0.05)
            if first:
                connection.sendall(b"x")

    with serving(script) as endpoint, pytest.raises(ExchangeTimeout, match=r"within 0\.3 s"):
        exchange(endpoint, deadline_s=0.3)


def test_nobody_listening_is_a_lost_connection() -> None:
    """Connecting to a closed port says where."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    transport = HttpTransport(Endpoint(backend="b", name="e", protocol="p", host="127.0.0.1", port=port))
    with pytest.raises(ConnectionLost, match=f"b-e at http://127.0.0.1:{port}/: cannot connect"):
        transport.connect()
