"""HTTP/1.1 on one kept-alive socket: request bytes built beforehand, the answer read into one reused buffer.

The content of bodies does not matter here. Only `exchange` is timed: one `sendall`, as few `recv` as the answer needs, and
finding where the answer ends.

The same parser is driven in two ways: `exchange` waits in the kernel, `start` and `advance` never wait, so that an event loop
can drive many connections. The parser is a generator that asks for bytes. All of it is one module: its fast paths and the
full parser must find the same end of an answer.
"""

import contextlib
import socket
import time
from collections.abc import Generator, Mapping

from bench.contract.errors import ConnectionLost, ExchangeError, ExchangeTimeout, MalformedAnswer, TurnedAway
from bench.contract.wire import Endpoint, Payload
from bench.transports.kept_socket import Connection, KeptSocket, Unprinted
from bench.transports.refusals import credentials_wanted, error_status, turned_away

_MAX_HEAD_BYTES = 64 * 1024
_FIRST_BUFFER_BYTES = 256 * 1024
_EXCERPT_BYTES = 300
_LENGTH = b"\r\ncontent-length:"
_RETRY_AFTER = b"\r\nretry-after:"
_LENGTH_DIGITS = 18  # no answer is longer; for very many digits int() raises ValueError
_HEX_DIGITS = b"0123456789abcdefABCDEF"

Want = tuple[int, int, int]
"""Bytes received so far, how many more are wanted at most, and flags for `recv`."""

Steps = Generator[Want, int, bytes]
"""Reading one answer: yields what it wants behind the bytes received, is sent how many came (0: closed), returns the body."""

MoreBytes = Generator[Want, int, int]
"""A part of reading an answer: like Steps, but returns how many bytes are received now."""


class HttpTransport(KeptSocket):
    """One keep-alive connection to one endpoint; a `MultiplexedTransport[bytes]`."""

    SCHEMES = ("http", "https")
    ALPN = "http/1.1"

    def __init__(self, endpoint: Endpoint, *, deadline_s: float | None = None) -> None:
        super().__init__(endpoint, deadline_s=deadline_s)
        self._buffer = bytearray(_FIRST_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        # The last good answer's head and whole length, and that head split around its Content-Length's digits: see _read_first.
        self._last_head = b"\0"
        self._last_received = -1
        self._before_length = b"\0"
        self._after_length = b"\0"
        # The current exchange: the part of the request not yet sent, and the state of reading the answer.
        self._unsent: memoryview | None = None
        self._steps: Steps | None = None
        self._want: Want = (0, 0, 0)

    def prepare(self, payload: Payload) -> bytes:
        """Build head and body as one bytes object, so that they are sent in one write."""
        path = self._endpoint.path.replace("{batch_size}", str(payload.batch_size))
        own = {"Content-Type": payload.content_type, "Content-Length": str(len(payload.body))}
        return self._request("POST", path, {**own, **dict(payload.headers)}, payload.body)

    def prepare_get(self, path: str) -> bytes:
        """Build a GET request for `path` on the same server, to be exchanged like any request."""
        return self._request("GET", path, {}, b"")

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The bytes of a request, with the endpoint's secret headers; its repr hides them."""
        sent = {"Host": self._endpoint.authority, **headers, **dict(self._endpoint.access.headers)}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        request = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
        return Unprinted(request) if self._endpoint.access.headers else request

    def connect(self) -> None:
        """Open a new connection, closing the old one; raises ConnectionLost."""
        self._open_socket()
        self._unsent = self._steps = None

    def ensure_connected(self) -> bool:
        """Reconnect if the last answer, an error or the server ended the connection; True if it did."""
        if self._sock is not None and not self.spent and not _ended_by_peer(self._sock):
            return False
        self.connect()
        return True

    def exchange(self, request: bytes) -> bytes:
        """Send the request, read one whole answer, return its body. Raises ExchangeError, then the connection is spent."""
        sock = self._connected()
        try:
            # A server may refuse a large body before reading all of it; its answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(request)
            first = self._read_first(sock.recv_into(self._buffer))
            return first if isinstance(first, bytes) else self._wait_for(sock, first)
        except (ExchangeError, OSError) as error:
            raise self._spent_by(error) from error.__cause__

    @property
    def unsent(self) -> bool:
        """Whether part of the request still waits until the socket can be written."""
        return self._unsent is not None

    def start(self, request: bytes) -> None:
        """Send what the socket accepts at once; `advance` does the rest. Raises ExchangeError, then the connection is spent."""
        sock = self._connected()
        self._steps = None
        try:
            self._unsent = self._send(sock, memoryview(request))
        except OSError as error:
            raise self._spent_by(error) from error.__cause__

    def advance(self) -> bytes | None:
        """Go on without waiting; returns the answer's body once complete, else None.

        Raises ExchangeError, after which the connection is spent.
        """
        sock = self._sock
        if sock is None:
            raise ConnectionLost(f"{self._who()}: not connected")
        try:
            if self._unsent is not None:
                self._unsent = self._send(sock, self._unsent)
            if self._steps is None:
                first = self._read_first(sock.recv_into(self._buffer, 0, socket.MSG_DONTWAIT))
                if isinstance(first, bytes):
                    return first
                self._steps, self._want = first, next(first)
            while True:
                received, wanted, _ = self._want
                count = sock.recv_into(self._view[received:], wanted, socket.MSG_DONTWAIT)
                self._want = self._steps.send(count)
        except BlockingIOError:
            return None
        except StopIteration as whole:
            self._steps = None
            body: bytes = whole.value
            return body
        except (ExchangeError, OSError) as error:
            raise self._spent_by(error) from error.__cause__

    @staticmethod
    def _send(sock: Connection, unsent: memoryview) -> memoryview | None:
        """Send what the kernel accepts at once; returns the rest, or None. What the server refuses to read counts as sent."""
        try:
            while unsent:
                unsent = unsent[sock.send(unsent, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return unsent
        except (BrokenPipeError, ConnectionResetError):
            pass  # see `exchange`
        return None

    def _wait_for(self, sock: Connection, steps: Steps) -> bytes:
        give_up_at = time.perf_counter() + self._deadline_s
        try:
            received, wanted, flags = next(steps)
            while True:
                if time.perf_counter() > give_up_at:
                    words = f"no complete answer within {self._deadline_s:g} s ({received} bytes so far)"
                    raise ExchangeTimeout(f"{self._who()}: {words}")
                received, wanted, flags = steps.send(sock.recv_into(self._view[received:], wanted, flags))
        except StopIteration as whole:
            body: bytes = whole.value
            return body

    def _read_first(self, received: int) -> bytes | Steps:
        """The whole body if it came in one piece with the same head as before, else the steps left to read it."""
        buffer = self._buffer
        # A head that equals the last good one, exactly or except for its Content-Length's digits, need not be parsed. These
        # two paths cost 1 and 3 us, a full parse 12 (caches cold from the system calls): a tenth of a fast exchange.
        if received == self._last_received and buffer.startswith(self._last_head):
            return bytes(self._view[len(self._last_head) : received])
        if buffer.startswith(self._before_length):
            digits_at = len(self._before_length)
            digits_end = buffer.find(b"\r", digits_at, received)
            digits = buffer[digits_at:digits_end]
            if (
                0 < digits_end - digits_at <= _LENGTH_DIGITS
                and digits.isdigit()
                and buffer.startswith(self._after_length, digits_end)
            ):
                start = digits_end + len(self._after_length)
                if received >= start:
                    size = int(digits)
                    if received == start + size:
                        return bytes(self._view[start:received])
                    return self._read_sized(start, size, received)
        return self._parse_answer(received)

    def _parse_answer(self, received: int) -> Steps:
        if received == 0:
            # recv returned 0 at once: closed without an answer
            raise ConnectionLost(f"{self._who()}: connection closed before an answer")
        while True:
            head_end = self._buffer.find(b"\r\n\r\n", 0, received)
            if head_end < 0:
                received = yield from self._more_of_head(received)
                continue
            head = self._buffer[:head_end].lower()
            status = self._status(head)
            if status >= 200:
                break
            rest = self._buffer[head_end + 4 : received]  # 1xx: an interim answer, the real one follows
            self._buffer[: len(rest)] = rest
            received = len(rest)
        body = yield from self._read_body(head, head_end + 4, received)
        if status != 200:
            text = body[:_EXCERPT_BYTES].decode("utf-8", "replace").strip()
            words = f"HTTP status {status}, expected 200; the answer says: {text or '(nothing)'}"
            retry_after = head.partition(_RETRY_AFTER)[2].partition(b"\r\n")[0].decode("ascii", "replace").strip()
            if away := turned_away(str(status), retry_after):
                raise TurnedAway(f"{self._who()}: {away}; {words}")
            raise error_status(str(status), f"{self._who()}: {words}{credentials_wanted(str(status))}")
        return body

    def _status(self, head: bytearray) -> int:
        if not head.startswith(b"http/1.") or not head[9:12].isdigit():
            line = bytes(head[:40])
            raise MalformedAnswer(f"{self._who()}: expected an HTTP/1.1 status line, got {line!r}")
        # Keep-alive is HTTP/1.1's default: a server that will close says so; one of HTTP/1.0 closes unless it says otherwise.
        if head.find(b"\r\nconnection: close") >= 0 or (
            head.startswith(b"http/1.0") and head.find(b"\r\nconnection: keep-alive") < 0
        ):
            self.spent = True
        return int(head[9:12])

    def _read_body(self, head: bytearray, start: int, received: int) -> Steps:
        at = head.find(_LENGTH)
        if at < 0:
            if head.find(b"\r\ntransfer-encoding: chunked") >= 0:
                return (yield from self._read_chunked(start, received))
            self.spent = True
            return (yield from self._read_to_end(start, received))
        digits_end = head.find(b"\r\n", at + 2)
        digits_end = digits_end if digits_end >= 0 else len(head)
        digits = bytes(head[at + len(_LENGTH) : digits_end]).strip()
        if not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
            raise MalformedAnswer(f"{self._who()}: Content-Length is {digits[:40]!r}, expected a whole number")
        if head[9:12] == b"200" and not self.spent:
            self._before_length = bytes(self._view[: digits_end - len(digits)])
            self._after_length = bytes(self._view[digits_end:start])
            self._last_head = bytes(self._view[:start])
            self._last_received = start + int(digits)
        return (yield from self._read_sized(start, int(digits), received))

    def _read_sized(self, start: int, size: int, received: int) -> Steps:
        end = start + self._bounded(size)
        if received > end:
            raise MalformedAnswer(f"{self._who()}: {received - end} bytes more than its Content-Length of {size}")
        received = yield from self._read_until(received, end)
        return bytes(self._view[start:end])

    def _bounded(self, size: int) -> int:
        most = self._endpoint.most_answer_bytes
        if size > most:
            raise MalformedAnswer(f"{self._who()}: an answer of {size} bytes or more, expected at most {most}")
        return size

    def _grow(self, size: int) -> None:
        if size > len(self._buffer):
            self._view.release()
            self._buffer.extend(bytes(max(size, 2 * len(self._buffer)) - len(self._buffer)))
            self._view = memoryview(self._buffer)

    def _more(self, received: int, wanted: int, flags: int = 0) -> MoreBytes:
        """Ask for up to `wanted` more bytes behind the first `received`; returns the new count."""
        # The buffer grows with the bytes received, not those announced: a short head must not cost a quarter of a gigabyte.
        wanted = min(wanted, max(received, _FIRST_BUFFER_BYTES))
        self._bounded(received - 2 * _MAX_HEAD_BYTES)  # all bytes received count, chunk lines and trailers too
        self._grow(received + wanted)
        count = yield received, wanted, flags
        if count == 0:
            raise ConnectionLost(f"{self._who()}: connection closed after {received} bytes of the answer")
        return received + count

    def _more_of_head(self, received: int) -> MoreBytes:
        if received > _MAX_HEAD_BYTES:
            raise MalformedAnswer(f"{self._who()}: no end of the headers in {received} bytes")
        return (yield from self._more(received, _MAX_HEAD_BYTES))

    def _read_until(self, received: int, end: int) -> MoreBytes:
        while received < end:
            # WAITALL: one call for the whole rest, however many segments it comes in
            received = yield from self._more(received, end - received, socket.MSG_WAITALL)
        return received

    def _read_to_end(self, start: int, received: int) -> Steps:
        while True:
            try:
                received = yield from self._more(received, _MAX_HEAD_BYTES)
            except ConnectionLost:
                return bytes(self._view[start:received])
            self._bounded(received - start)

    def _read_chunked(self, start: int, received: int) -> Steps:
        """RFC 9112, section 7.1: chunks of `size-in-hex[;extension] CRLF data CRLF`, a chunk of size 0, trailers, CRLF."""
        parts: list[bytes] = []
        total = 0
        while True:
            line_end, received = yield from self._find_crlf(start, received)
            digits = bytes(self._view[start:line_end]).split(b";")[0].strip()
            if not digits or digits.strip(_HEX_DIGITS):  # int() also accepts signs, and a negative size would loop for ever
                raise MalformedAnswer(f"{self._who()}: chunk size {digits[:20]!r}, expected hexadecimal digits")
            size = int(digits, 16)
            start = line_end + 2
            if size == 0:
                yield from self._skip_trailers(start, received)
                return b"".join(parts)
            total = self._bounded(total + size)
            received = yield from self._read_until(received, start + size + 2)
            parts.append(bytes(self._view[start : start + size]))
            start += size + 2

    def _skip_trailers(self, start: int, received: int) -> Generator[Want, int, None]:
        while True:
            line_end, received = yield from self._find_crlf(start, received)
            if line_end == start:
                return
            start = line_end + 2

    def _find_crlf(self, start: int, received: int) -> Generator[Want, int, tuple[int, int]]:
        while (line_end := self._buffer.find(b"\r\n", start, received)) < 0:
            if received - start > _MAX_HEAD_BYTES:
                raise MalformedAnswer(f"{self._who()}: no end of a chunk's line in {received - start} bytes")
            received = yield from self._more(received, _MAX_HEAD_BYTES)
        return line_end, received


def _ended_by_peer(sock: Connection) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False  # open and silent, as it should be
    except OSError:
        return True
    # Nothing read: closed. Something read: bytes that belong to no request, so only a new connection is safe.
    return True
