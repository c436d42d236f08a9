"""HTTP/1.1 on one kept socket: request bytes built beforehand, the answer read into one reused buffer.

Nothing here knows what the bytes mean. What `exchange` does is all that the clock sees: one `sendall`, as few `recv` as the
answer needs, and finding where the answer ends. The socket stays blocking and the kernel holds the deadline (SO_RCVTIMEO):
a Python-level timeout would add a `poll` before every call, about a tenth of a fast exchange.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time

from bench.contract import (
    ConnectionLost,
    Endpoint,
    ErrorStatus,
    ExchangeError,
    ExchangeTimeout,
    MalformedAnswer,
    Payload,
)
from bench.transports import DEADLINE_S

MAX_ANSWER_BYTES = 256 * 1024 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_FIRST_BUFFER_BYTES = 256 * 1024
_EXCERPT_BYTES = 300
_LENGTH = b"\r\ncontent-length:"
_LENGTH_DIGITS = 18  # of more, int() makes a ValueError some day, and no answer is so long
_HEX_DIGITS = b"0123456789abcdefABCDEF"


class HttpTransport:
    """One keep-alive connection to one endpoint; a `Transport[bytes]`."""

    def __init__(self, endpoint: Endpoint, *, deadline_s: float = DEADLINE_S) -> None:
        self._endpoint = endpoint
        self._deadline_s = deadline_s
        self._sock: socket.socket | None = None
        self.spent = True
        self._buffer = bytearray(_FIRST_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        # The last good head and what came in one piece with it, and it split around its Content-Length: see _read_answer.
        self._last_head = b"\0"
        self._last_received = -1
        self._before_length = b"\0"
        self._after_length = b"\0"

    def prepare(self, payload: Payload) -> bytes:
        """Head and body in one bytes object, so that they leave in one write."""
        path = self._endpoint.path.replace("{batch_size}", str(payload.batch_size))
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self._endpoint.host}:{self._endpoint.port}",
            f"Content-Type: {payload.content_type}",
            f"Content-Length: {len(payload.body)}",
            *(f"{name}: {value}" for name, value in payload.headers),
        ]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + payload.body

    def connect(self) -> None:
        """Open a new connection, closing the old one; raises ConnectionLost."""
        self.close()
        try:
            sock = socket.create_connection((self._endpoint.host, self._endpoint.port), timeout=self._deadline_s)
        except OSError as error:
            raise ConnectionLost(f"{self._who()}: cannot connect: {error}") from error
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        timeval = struct.pack("ll", int(self._deadline_s), int(self._deadline_s % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        self._sock = sock
        self.spent = False

    def ensure_connected(self) -> bool:
        """Reconnect if the last answer, an error or the server ended the connection; True if it did."""
        if self._sock is not None and not self.spent and not _ended_by_peer(self._sock):
            return False
        self.connect()
        return True

    def exchange(self, request: bytes) -> bytes:
        """Send the request, read one whole answer, return its body; after an error the connection is spent."""
        sock = self._sock
        if sock is None or self.spent:
            raise ConnectionLost(f"{self._who()}: not connected")
        try:
            try:
                sock.sendall(request)
            except (BrokenPipeError, ConnectionResetError):
                # A server may refuse a large body before reading all of it; its answer says why.
                return self._read_answer(sock)
            return self._read_answer(sock)
        except ExchangeError:
            self.spent = True
            raise
        except BlockingIOError as error:
            self.spent = True
            raise ExchangeTimeout(f"{self._who()}: no complete answer within {self._deadline_s:g} s") from error
        except OSError as error:
            self.spent = True
            raise ConnectionLost(f"{self._who()}: connection lost: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.close()
        self._sock = None
        self.spent = True

    def _who(self) -> str:
        return f"{self._endpoint.id} at http://{self._endpoint.host}:{self._endpoint.port}{self._endpoint.path}"

    def _read_answer(self, sock: socket.socket) -> bytes:
        buffer = self._buffer
        received = sock.recv_into(buffer)
        # A head that equals the last good one, to the letter or but for its Content-Length's digits, says nothing new. These
        # two paths cost 1 and 3 us, parsing in full 12 (caches cold from the system calls): a tenth of a fast exchange.
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
                    return self._read_sized(sock, start, int(digits), received, time.perf_counter() + self._deadline_s)
        return self._parse_answer(sock, received)

    def _parse_answer(self, sock: socket.socket, received: int) -> bytes:
        if received == 0:
            # recv returned 0 at once: closed without a word
            raise ConnectionLost(f"{self._who()}: connection closed before an answer")
        give_up_at = time.perf_counter() + self._deadline_s
        while True:
            head_end = self._buffer.find(b"\r\n\r\n", 0, received)
            if head_end < 0:
                received = self._more_of_head(sock, received, give_up_at)
                continue
            head = self._buffer[:head_end].lower()
            status = self._status(head)
            if status >= 200:
                break
            rest = self._buffer[head_end + 4 : received]  # 1xx: an interim answer, the real one follows
            self._buffer[: len(rest)] = rest
            received = len(rest)
        body = self._read_body(sock, head, head_end + 4, received, give_up_at)
        if status != 200:
            text = body[:_EXCERPT_BYTES].decode("utf-8", "replace").strip()
            raise ErrorStatus(f"{self._who()}: HTTP status {status}, expected 200; the answer says: {text or '(nothing)'}")
        return body

    def _status(self, head: bytearray) -> int:
        if not head.startswith(b"http/1.") or not head[9:12].isdigit():
            seen = bytes(head[:40])
            raise MalformedAnswer(f"{self._who()}: expected an HTTP/1.1 status line, got {seen!r}")
        # Keep-alive is HTTP/1.1's default; a server that wants to close says so, and one of 1.0 closes unless it says not.
        if head.find(b"\r\nconnection: close") >= 0 or (
            head.startswith(b"http/1.0") and head.find(b"\r\nconnection: keep-alive") < 0
        ):
            self.spent = True
        return int(head[9:12])

    def _read_body(self, sock: socket.socket, head: bytearray, start: int, received: int, give_up_at: float) -> bytes:
        at = head.find(_LENGTH)
        if at < 0:
            if head.find(b"\r\ntransfer-encoding: chunked") >= 0:
                return self._read_chunked(sock, start, received, give_up_at)
            self.spent = True
            return self._read_to_end(sock, start, received, give_up_at)
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
        return self._read_sized(sock, start, int(digits), received, give_up_at)

    def _read_sized(self, sock: socket.socket, start: int, size: int, received: int, give_up_at: float) -> bytes:
        end = start + self._bounded(size)
        if received > end:
            raise MalformedAnswer(f"{self._who()}: {received - end} bytes more than its Content-Length of {size}")
        received = self._read_until(sock, received, end, give_up_at)
        return bytes(self._view[start:end])

    def _bounded(self, size: int) -> int:
        if size > MAX_ANSWER_BYTES:
            raise MalformedAnswer(f"{self._who()}: an answer of {size} bytes or more, expected at most {MAX_ANSWER_BYTES}")
        return size

    def _grow(self, size: int) -> None:
        if size > len(self._buffer):
            self._view.release()
            self._buffer.extend(bytes(max(size, 2 * len(self._buffer)) - len(self._buffer)))
            self._view = memoryview(self._buffer)

    def _more(self, sock: socket.socket, received: int, wanted: int, give_up_at: float, flags: int = 0) -> int:
        """Receive up to `wanted` more bytes behind the first `received`; returns the new count."""
        if time.perf_counter() > give_up_at:
            raise ExchangeTimeout(f"{self._who()}: no complete answer within {self._deadline_s:g} s ({received} bytes so far)")
        # Room grows with what has come, not with what is announced: a few bytes of head must not cost a quarter of a gigabyte.
        wanted = min(wanted, max(received, _FIRST_BUFFER_BYTES))
        self._bounded(received - 2 * _MAX_HEAD_BYTES)  # of all that came, chunk lines and trailers too
        self._grow(received + wanted)
        count = sock.recv_into(self._view[received:], wanted, flags)
        if count == 0:
            raise ConnectionLost(f"{self._who()}: connection closed after {received} bytes of the answer")
        return received + count

    def _more_of_head(self, sock: socket.socket, received: int, give_up_at: float) -> int:
        if received > _MAX_HEAD_BYTES:
            raise MalformedAnswer(f"{self._who()}: no end of the headers in {received} bytes")
        return self._more(sock, received, _MAX_HEAD_BYTES, give_up_at)

    def _read_until(self, sock: socket.socket, received: int, end: int, give_up_at: float) -> int:
        while received < end:
            # WAITALL: one call for the whole rest, however many segments it comes in
            received = self._more(sock, received, end - received, give_up_at, socket.MSG_WAITALL)
        return received

    def _read_to_end(self, sock: socket.socket, start: int, received: int, give_up_at: float) -> bytes:
        while True:
            try:
                received = self._more(sock, received, _MAX_HEAD_BYTES, give_up_at)
            except ConnectionLost:
                return bytes(self._view[start:received])
            self._bounded(received - start)

    def _read_chunked(self, sock: socket.socket, start: int, received: int, give_up_at: float) -> bytes:
        """RFC 9112, section 7.1: chunks of `size-in-hex[;extension] CRLF data CRLF`, a chunk of size 0, trailers, CRLF."""
        parts: list[bytes] = []
        total = 0
        while True:
            line_end, received = self._find_crlf(sock, start, received, give_up_at)
            digits = bytes(self._view[start:line_end]).split(b";")[0].strip()
            if not digits or digits.strip(_HEX_DIGITS):  # int() would also take signs, and a negative size leads back for ever
                raise MalformedAnswer(f"{self._who()}: chunk size {digits[:20]!r}, expected hexadecimal digits")
            size = int(digits, 16)
            start = line_end + 2
            if size == 0:
                self._skip_trailers(sock, start, received, give_up_at)
                return b"".join(parts)
            total = self._bounded(total + size)
            received = self._read_until(sock, received, start + size + 2, give_up_at)
            parts.append(bytes(self._view[start : start + size]))
            start += size + 2

    def _skip_trailers(self, sock: socket.socket, start: int, received: int, give_up_at: float) -> None:
        while True:
            line_end, received = self._find_crlf(sock, start, received, give_up_at)
            if line_end == start:
                return
            start = line_end + 2

    def _find_crlf(self, sock: socket.socket, start: int, received: int, give_up_at: float) -> tuple[int, int]:
        while (line_end := self._buffer.find(b"\r\n", start, received)) < 0:
            if received - start > _MAX_HEAD_BYTES:
                raise MalformedAnswer(f"{self._who()}: no end of a chunk's line in {received - start} bytes")
            received = self._more(sock, received, _MAX_HEAD_BYTES, give_up_at)
        return line_end, received


def _ended_by_peer(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False  # open and silent, as it should be
    except OSError:
        return True
    # Nothing read: closed. Something read: bytes that nobody asked for, and only a fresh connection is safe.
    return True
