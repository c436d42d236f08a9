"""Clients that do not keep to HTTP: bytes on a plain socket, all answers that come back, and whether the server hung up."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.protocols import codec
from tests.backends.launch import Server, some_images

PATIENCE_S = 20.0
QUIET_S = 0.3
_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) ?[^\r\n]*\r\n(.*?\r\n)?\r\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer of a server."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a server said to some bytes, and whether it then closed the connection."""

    said: tuple[Said, ...]
    closed: bool


def connect(server: Server, port: int | None = None) -> socket.socket:
    """A plain socket to it."""
    return socket.create_connection(("127.0.0.1", port or server.port), timeout=PATIENCE_S)


def converse(server: Server, *pieces: bytes, pause_s: float = 0.0, leave: bool = False) -> Outcome:
    """Send `pieces`, `pause_s` apart; `leave` half-closes then. Hear the server out until it closes, or has said all."""
    with connect(server) as sock:
        with contextlib.suppress(ConnectionError):  # it may refuse and close while we still send
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(pause_s)
            if leave:
                sock.shutdown(socket.SHUT_WR)
        return hear(sock)


def hear(sock: socket.socket) -> Outcome:
    """All that the server says until it closes or, after something whole, is quiet; TimeoutError where it does neither."""
    received = b""
    sock.settimeout(PATIENCE_S)
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            piece = b""
        except TimeoutError:
            if not received:
                raise
            return Outcome(tuple(answers(received)), closed=False)
        received += piece
        if not piece:
            return Outcome(tuple(answers(received)), closed=True)
        sock.settimeout(PATIENCE_S if b"connection: close\r\n" in received.lower() else QUIET_S)


def answers(received: bytes) -> Iterator[Said]:
    """The answers in a stream, interim ones left out."""
    while received:
        found = _HEAD.match(received)
        assert found is not None, f"no HTTP answer: {received[:200]!r}"
        fields = {name.strip().lower(): value.strip() for name, _, value in _fields(found[2] or b"")}
        length = int(fields.get(b"content-length", b"0"))
        status, body = int(found[1]), received[found.end() : found.end() + length]
        if b"content-length" not in fields and b"close" in fields.get(b"connection", b""):
            body = received[found.end() :]
            length = len(body)
        received = received[found.end() + length :]
        if status >= 200:
            yield Said(status, fields.get(b"content-type", b"").decode("latin-1"), body)


def _fields(lines: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    return (line.partition(b":") for line in lines.split(b"\r\n") if line)


def assert_clear(outcome: Outcome, *, allowed: tuple[int, ...] = ()) -> None:
    """A refusal in plain words, or a closed connection: no 5xx, no page of HTML, no traceback."""
    assert outcome.said or outcome.closed
    for said in outcome.said:
        assert 400 <= said.status < 500 or said.status in allowed, said
        assert b"Traceback" not in said.body
        assert b'File "' not in said.body
        if said.status not in allowed:
            assert said.content_type.partition(";")[0] in ("application/json", "text/plain", ""), said
            assert said.body or outcome.closed, said


def good_request(server: Server) -> tuple[str, bytes, str]:
    """Path, body and content type of a request that is answered with scores."""
    endpoint = server.config["endpoint"][0]
    body, content_type, _ = codec(endpoint["protocol"]).encode(some_images(1))
    return endpoint["path"].replace("{batch_size}", "1"), body, content_type


def assert_answers(server: Server) -> None:
    """On a new connection, a good request is answered rightly."""
    path, body, content_type = good_request(server)
    protocol = codec(server.config["endpoint"][0]["protocol"])
    if server.config["role"] == "ceiling":
        assert server.ask("PUT", path, protocol.encode_answer(some_images(1, width=62))).status == 204
    reply = server.ask("POST", path, body, content_type)
    assert reply.status == 200, reply
    scores = protocol.decode(reply.body)
    assert scores.shape == (1, 62)
    if server.config["role"] == "ceiling":
        np.testing.assert_array_equal(scores, some_images(1, width=62))
    else:
        np.testing.assert_allclose(scores.sum(), 1.0, atol=1e-5)
