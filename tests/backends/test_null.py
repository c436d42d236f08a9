"""The null backend: canned answers, kept connections, and hard bounds on what a client may send."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.contract.scenarios import CONNECTIONS
from bench.protocols import protocol_names
from tests.backends.launch import FIXTURES, Server, exchange, running, some_images, tiny_model
from tests.flat import flat_codec as codec

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The null backend with a short deadline for half-sent requests."""
    folder = tmp_path_factory.mktemp("null")
    with running("null", folder, tiny_model(folder / "model.onnx"), "--request-timeout-s", "0.5") as server:
        yield server


def raw_exchange(server: Server, data: bytes) -> bytes:
    """Send bytes as they are, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        received = bytearray()
        while piece := connection.recv(65536):
            received += piece
        return bytes(received)


@pytest.mark.parametrize("protocol", ["v1-json", "raw", "graphpipe"])
@pytest.mark.parametrize("batch_size", [1, 128])
def test_what_was_put_is_what_a_post_gets(null: Server, protocol: str, batch_size: int) -> None:
    """Each protocol's real request is read whole and answered with the stored bytes, again and again on one connection."""
    path = null.path(protocol).format(batch_size=batch_size)
    body, content_type, _ = codec(protocol).encode(some_images(batch_size))
    scores = some_images(batch_size, width=62)
    connection = null.connect()
    assert exchange(connection, "PUT", path, codec(protocol).encode_answer(scores)).status == 204
    for _ in range(3):
        reply = exchange(connection, "POST", path, body, content_type)
        assert reply.status == 200
        np.testing.assert_array_equal(codec(protocol).decode(reply.body), scores)
    connection.close()


def test_large_bodies_pass_whole(null: Server) -> None:
    """A request of several scratch buffers leaves nothing behind that the next one could trip over."""
    connection = null.connect()
    answer = bytes(range(256)) * 20_000
    assert exchange(connection, "PUT", "/large", answer).status == 204
    for size in (0, 1, 262_144, 3_000_001, 70_000_000):
        assert exchange(connection, "POST", "/large", b"\r\n\r\n" * (size // 4) + b"x" * (size % 4)).body == answer
    connection.close()


def test_pipelined_requests_are_answered_in_order(null: Server) -> None:
    """Requests that arrive in one piece are told apart by their lengths."""
    one = b"PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPUT /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nde"
    two = b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nxxxxPOST /b HTTP/1.1\r\nConnection: close\r\n\r\n"
    received = raw_exchange(null, one + two)
    assert received.count(b"HTTP/1.1 204") == 2
    assert received.endswith(b"Content-Length: 2\r\n\r\nde")
    assert b"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK" in received


def test_a_post_before_its_put_is_a_conflict(null: Server) -> None:
    """A path without an answer says so, and the connection stays usable."""
    connection = null.connect()
    reply = exchange(connection, "POST", "/never-put", b"x")
    assert reply.status == 409
    assert "/never-put" in json.loads(reply.body)["error"]
    assert exchange(connection, "GET", "/healthz").status == 200
    connection.close()


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/other", 404), ("HEAD", "/other", 404), ("DELETE", "/x", 405)])
def test_other_requests_are_refused(null: Server, method: str, path: str, status: int) -> None:
    """Only what the contract names is answered; HEAD is answered without a body."""
    reply = null.ask(method, path)
    assert reply.status == status
    assert (b"error" in reply.body) is (method != "HEAD")


def test_health_answers_head_and_get(null: Server) -> None:
    """Both ways of asking for health end in 200, HEAD without a body."""
    assert null.ask("GET", "/healthz").status == 200
    assert null.ask("HEAD", "/healthz").body == b""


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"POST / FTP/1.1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nX: " + b"y" * 70_000, 431),
        (b"POST / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-", 408),
        (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", 408),
    ],
)
def test_broken_requests_end_in_an_error_and_a_closed_connection(null: Server, request_bytes: bytes, status: int) -> None:
    """Garbage, excess and half-sent requests are answered as JSON, the connection ends, and the server lives on."""
    head, _, body = raw_exchange(null, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]
    assert null.ask("GET", "/healthz").status == 200


def test_an_idle_connection_is_kept(null: Server) -> None:
    """A connection between two requests may wait longer than a half-sent request may: a backend waits for its turn."""
    connection = null.connect()
    assert exchange(connection, "GET", "/healthz").status == 200
    time.sleep(1.2)
    assert exchange(connection, "GET", "/healthz").status == 200
    connection.close()


def test_expect_continue_is_honoured(null: Server) -> None:
    """A client that asks before it sends a large body is told to go on."""
    head = b"PUT /e HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    received = raw_exchange(null, head + b"ok")
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content")


def test_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """It ends with status 0 while a client is still connected."""
    with running("null", tmp_path, tiny_model(tmp_path / "model.onnx")) as server:
        connection = server.connect()
        assert exchange(connection, "GET", "/healthz").status == 200
        server.process.terminate()
        assert server.process.wait(10) == 0
        connection.close()


def test_it_takes_the_connections_of_every_protocol_at_once() -> None:
    """An open loop keeps its connections to one protocol while it asks the next."""
    text = (FIXTURES / "backends" / "null" / "server.py").read_text()
    limit = re.search(r"^MAX_CONNECTIONS = (\d+)$", text, re.MULTILINE)
    assert limit is not None
    assert int(limit[1]) >= (len(protocol_names()) + 1) * CONNECTIONS
