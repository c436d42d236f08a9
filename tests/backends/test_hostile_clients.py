"""The house's own HTTP servers against clients that are slow, broken or mean: refused in words, and nobody else waits."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.backends.hostile import assert_answers, assert_clear, connect, converse, good_request, hear
from tests.backends.launch import Server, listening, nnef_model, running, tiny_model

pytestmark = pytest.mark.integration

REQUEST_S = 2.0
ARGUMENTS = {
    "fastapi-granian": ("--http1-header-read-timeout", "2000"),
    "null": ("--request-timeout-s", str(REQUEST_S)),
}
DEVELOPMENT = "flask under its development server"
"""As flask-tensorflow starts it, but around the ONNX model."""

PROGRAM = "from app import app; from serving.development_server import run; run(app, '{host}', {port[8000]})"
BACKENDS = (
    "flask",
    DEVELOPMENT,
    "fastapi",
    "fastapi-granian",
    "fastapi-pydantic",
    "nnef",
    "openvino",
    "graphpipe-python",
    "null",
)
INNER = b"GET /healthz HTTP/1.1\r\nHost: inner\r\n\r\n"
"""A request that a confused server would find inside of another."""


@pytest.fixture(scope="module", params=BACKENDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each backend in turn, with little patience."""
    name = request.param.partition(" ")[0]
    command = ("{python}", "-c", PROGRAM) if request.param == DEVELOPMENT else ()
    folder = tmp_path_factory.mktemp(name)
    model = tiny_model(folder / "tiny.onnx")
    exports = {"nnef": nnef_model(model, folder / "nnef")} if name == "nnef" else {}
    variables = {"SERVING_REQUEST_S": str(REQUEST_S)}
    with running(name, folder, model, *ARGUMENTS.get(name, ()), exports=exports, env=variables, command=command) as started:
        yield started


def head(server: Server, *fields: str, method: str = "POST", version: str = "HTTP/1.1") -> bytes:
    """A request's head with these fields beside Host and Content-Type."""
    path, _, content_type = good_request(server)
    lines = [f"{method} {path} {version}", "Host: a", f"Content-Type: {content_type}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


MALFORMED = {
    "not-http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "http2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x01\x04\x00\x00\x00\x00\x00x",
    "nulls": b"\0" * 5000 + b"\r\n\r\n",
    "no-version": b"POST /\r\n\r\n",
    "other-version": b"POST / HTTP/7.3\r\nHost: a\r\n\r\n",
    "no-path": b"POST  HTTP/1.1\r\nHost: a\r\n\r\n",
    "field-without-colon": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length\r\n\r\n",
    "space-before-colon": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 38\r\n\r\n" + INNER,
    "long-request-line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "long-field": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 2_000_000 + b"\r\n\r\n",
    "many-fields": b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
    + b"".join(b"X-%d: %0100d\r\n" % (i, i) for i in range(5000))
    + b"\r\n",
    "endless-head": b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_request_is_refused_or_cut_off(server: Server, name: str) -> None:
    """Foreign protocols, broken lines and endless heads: one refusal at most, the connection ends, the server lives on."""
    if server.name == "null" and name == "http2-preface":
        pytest.skip("it speaks HTTP/2")
    outcome = converse(server, MALFORMED[name])
    assert_clear(outcome)
    assert outcome.closed
    assert len(outcome.said) <= 1
    assert_answers(server)


FRAMINGS = {
    "length-twice": (("Content-Length: 5", "Content-Length: 43"), b"12345" + INNER),
    "lengths-in-one": (("Content-Length: 5, 43",), b"12345" + INNER),
    "length-negative": (("Content-Length: -1",), INNER),
    "length-with-sign": (("Content-Length: +5",), b"12345" + INNER),
    "length-in-hex": (("Content-Length: 0x5",), b"12345" + INNER),
    "length-in-other-digits": (("Content-Length: \xb2",), b"12" + INNER),
    "length-of-words": (("Content-Length: many",), INNER),
    "length-empty": (("Content-Length:",), INNER),
    "length-huge": (("Content-Length: 9999999999999",), b"12345"),
    "length-of-400-digits": (("Content-Length: " + "9" * 400,), b"12345"),
    "length-beyond-any": (("Content-Length: " + "9" * 5000,), b"12345"),
    "length-and-chunked": (("Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + INNER),
    "chunked-and-length": (("Transfer-Encoding: chunked", "Content-Length: 5"), b"0\r\n\r\n" + INNER),
    "chunked-twice": (("Transfer-Encoding: chunked, chunked",), b"0\r\n\r\n" + INNER),
    "chunked-disguised": (("Transfer-Encoding: xchunked",), b"0\r\n\r\n" + INNER),
    "chunked-not-last": (("Transfer-Encoding: chunked, identity",), b"0\r\n\r\n" + INNER),
    "chunked-with-tab": (("Transfer-Encoding:\x0bchunked",), b"0\r\n\r\n" + INNER),
    "chunked-folded": (("X: y\r\n Transfer-Encoding: chunked", "Transfer-Encoding:", " chunked"), b"0\r\n\r\n" + INNER),
    "chunk-size-no-hex": (("Transfer-Encoding: chunked",), b"zz\r\n" + INNER),
    "chunk-size-negative": (("Transfer-Encoding: chunked",), b"-5\r\n" + INNER),
    "chunk-size-huge": (("Transfer-Encoding: chunked",), b"fffffffffffffffff\r\n" + INNER),
    "chunk-size-endless": (("Transfer-Encoding: chunked",), b"0" * 300_000),
    "chunk-without-end": (("Transfer-Encoding: chunked",), b"5\r\n1234567890\r\n0\r\n\r\n" + INNER),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_body_of_doubtful_length_is_refused_and_nothing_behind_it_is_read(server: Server, name: str) -> None:
    """Where two readers could disagree on where a request ends, there is one answer, and no second request in its body."""
    fields, body = FRAMINGS[name]
    outcome = converse(server, head(server, *fields) + body)
    assert_clear(outcome)
    assert len(outcome.said) <= 1
    assert outcome.closed
    assert_answers(server)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "BREW", "post"])
def test_other_methods_are_refused(server: Server, method: str) -> None:
    """What is posted to cannot be got, put, deleted or connected through."""
    stores = server.config["role"] == "ceiling" and method == "PUT"
    outcome = converse(server, head(server, "Content-Length: 0", "Connection: close", method=method))
    assert_clear(outcome, allowed=(200, 204) if stores or method == "OPTIONS" else ())
    assert_answers(server)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_body_where_none_belongs_is_no_second_request(server: Server, method: str) -> None:
    """The body of a GET is skipped or ends the connection: it is not read as the next request."""
    inner = INNER.replace(b"/healthz", b"/inner")
    request = f"{method} /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: {len(inner)}\r\n\r\n".encode() + inner
    outcome = converse(server, request)
    assert [said.status for said in outcome.said] in ([200], [400], [404], [405], [411], [413])
    assert_answers(server)


@pytest.mark.parametrize("part", [0, 1, 30, 500, -1])
def test_a_request_that_breaks_off_is_dropped(server: Server, part: int) -> None:
    """The client leaves in the middle: nothing is computed, at most a refusal is said, and the server lives on."""
    _, body, _ = good_request(server)
    whole = head(server, f"Content-Length: {len(body)}") + body
    outcome = converse(server, whole[:part], leave=True)
    assert_clear(outcome)
    assert outcome.closed
    assert_answers(server)


def test_clients_that_fall_silent_are_sent_away(server: Server) -> None:
    """A request that is not complete in time ends in a 408 or a closed connection. One that never began may wait longer."""
    _, body, _ = good_request(server)
    start = head(server, f"Content-Length: {len(body)}")
    begun = {"half a head": start[:40], "a head": start, "half a body": start + body[: len(body) // 2]}
    with contextlib.ExitStack() as stack:
        stack.enter_context(connect(server))
        silent = {part: stack.enter_context(connect(server)) for part in begun}
        for part, sock in silent.items():
            sock.sendall(begun[part])
        for _ in range(3):
            assert_answers(server)
        for part, sock in silent.items():
            outcome = hear(sock)
            assert_clear(outcome)
            assert outcome.closed, part
    assert_answers(server)


def test_a_byte_at_a_time_is_not_for_ever(server: Server) -> None:
    """Each byte does not start the time anew."""
    _, body, _ = good_request(server)
    sent = head(server, f"Content-Length: {len(body)}") + body
    with connect(server) as sock, contextlib.suppress(ConnectionError):
        for at in range(200):
            sock.sendall(sent[at : at + 1])
            time.sleep(0.1)
            sock.settimeout(0.001)
            with contextlib.suppress(TimeoutError):
                assert not sock.recv(65536).startswith(b"HTTP/1.1 200")
                break
            sock.settimeout(10)
        else:
            pytest.fail("it waits for ever")
    assert_answers(server)


def test_a_slow_but_honest_client_is_answered(server: Server) -> None:
    """A request that comes in pieces, and in time, is answered as any other."""
    if server.config["role"] == "ceiling":
        assert_answers(server)  # stores the answer
    _, body, _ = good_request(server)
    whole = head(server, f"Content-Length: {len(body)}", "Connection: close") + body
    middle = len(whole) - len(body)
    pieces = (whole[:10], whole[10:middle], whole[middle : middle + 7], whole[middle + 7 :])
    outcome = converse(server, *pieces, pause_s=0.2)
    assert [said.status for said in outcome.said] == [200]


@pytest.mark.parametrize("part", [0, 40, -10])
def test_many_slow_clients_hold_up_nobody(server: Server, part: int) -> None:
    """Forty clients that are silent, or stop in mid-request, and a good request is answered before any of them is sent away."""
    _, body, _ = good_request(server)
    whole = head(server, f"Content-Length: {len(body)}") + body
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(40)]
        for sock in slow:
            sock.sendall(whole[:part])
        assert_answers(server)
        still_there = [sock for sock in slow if _is_open(sock)]
        assert still_there, "a good request waited until all the slow ones had been sent away"
        assert_answers(server)


def _is_open(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_who_does_not_read_the_answers_holds_up_nobody(server: Server) -> None:
    """A client that asks on and on without reading is not waited for by others."""
    if server.config["role"] == "ceiling":
        assert_answers(server)  # stores the answer
    _, body, _ = good_request(server)
    whole = head(server, f"Content-Length: {len(body)}") + body
    with connect(server) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(1.0)
        sender = threading.Thread(target=_send_all, args=(sock, whole * 400), daemon=True)
        sender.start()
        sender.join(1.0)
        assert_answers(server)
    sender.join(20)
    assert_answers(server)


def _send_all(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(data)


ODD_PATHS = (
    "/%",
    "/%ff%fe",
    "//",
    "/../../etc/passwd",
    "/healthz%00",
    "/" + "a/" * 2000,
    "*",
    "http://a/raw",
    "/?a=" + "b" * 5000,
)
ODD_FIELDS = ("Expect: a miracle", "X: a\0b", "X: \xff\xfe", "Upgrade: websocket")


@pytest.mark.parametrize("path", ODD_PATHS)
def test_odd_paths_are_refused(server: Server, path: str) -> None:
    """In words, as all that is refused."""
    request = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
    assert_clear(converse(server, request))
    assert_answers(server)


@pytest.mark.parametrize("field", ODD_FIELDS)
def test_odd_fields_are_refused_or_ignored(server: Server, field: str) -> None:
    """The body is no images, so that it is refused in any case, but by null, which does not look at it."""
    allowed = (200,) if server.config["role"] == "ceiling" else ()
    outcome = converse(server, head(server, field, "Content-Length: 5", "Connection: close") + b"12345")
    assert_clear(outcome, allowed=allowed)
    assert_answers(server)


def test_it_listens_on_loopback_only(server: Server) -> None:
    """On the process engine nobody outside of this machine can be a client at all."""
    assert listening([server.process.pid]) == {"127.0.0.1"}


def test_no_log_grows_a_traceback(server: Server) -> None:
    """After all of that: nothing that a client did was an unexpected error to the server (this test comes last)."""
    assert "Traceback" not in server.log.read_text("utf-8", "replace")
