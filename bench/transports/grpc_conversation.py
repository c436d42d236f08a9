"""The protocol state of one gRPC connection: frames in, frames out, one call at a time; it has no socket and no clock.

Its user sends what is in `out`, receives into `room()` and passes `read` the number of bytes received. It is one class, and
so one module: its frames share windows, header table and the state of the call.
"""

import struct
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout, MalformedAnswer, TurnedAway
from bench.contract.wire import MOST_ANSWER_BYTES
from bench.transports import http2
from bench.transports.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    LARGEST_WINDOW,
    NUMBER,
    PADDED,
    PRIORITISED,
    Kind,
    Setting,
    frame,
    frame_head,
)
from bench.transports.refusals import credentials_wanted, error_status, turned_away

_BUFFER_BYTES = 256 * 1024
_RETURNED_BYTES = 2**26  # received before a WINDOW_UPDATE gives them back to the connection's window
_DATA, _HEADERS = int(Kind.DATA), int(Kind.HEADERS)
_UNUSUAL = END_HEADERS | PADDED | PRIORITISED
PREFIX = struct.Struct(">BI")  # before each message: compressed or not, length
GREETING = (
    http2.PREFACE
    + http2.settings_frame(
        {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: LARGEST_WINDOW,
            Setting.MAX_FRAME_SIZE: http2.LARGEST_FRAME_BYTES,
        }
    )
    + http2.window_update(0, LARGEST_WINDOW - http2.FIRST_WINDOW)
)
_STATUS = (  # by code
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GrpcRequest:
    """One prepared call: its header block, and the message with its prefix of five bytes."""

    block: bytes = field(repr=False)  # it may contain secrets
    message: bytes = field(repr=False)


class CallFailed(ErrorStatus):
    """A gRPC status or a stream reset: ends the call, not the connection; `status` is the gRPC name, empty for a reset."""

    def __init__(self, text: str, status: str = "") -> None:
        super().__init__(text)
        self.status = status


class Conversation:
    """The state of a new connection: `greeted` once settings are exchanged and ours acknowledged, `over` if no call may follow.

    `out` are bytes to send; `rest` is the part of the request's message that waits for the peer's flow-control windows;
    `answer` is the answer's message, once it is complete. `who` names the endpoint in errors; an answer has at most
    `most_bytes` bytes.
    """

    def __init__(self, who: str, most_bytes: int = MOST_ANSWER_BYTES) -> None:
        self._who = who
        self._most_bytes = most_bytes
        self.over = False
        self.out = GREETING
        self.rest = memoryview(b"")
        self.answer: bytes | None = None
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # the part of the buffer that is received and not yet parsed
        self._blocks = http2.HeaderBlocks()
        self._acknowledged = False  # whether the peer has acknowledged our settings
        self._has_settings = False  # whether the peer's own settings have come
        self._stream = -1  # number of the current or last call's stream
        self._window = self._first_window = http2.FIRST_WINDOW
        self._stream_window = 0
        self._frame_bytes = http2.LEAST_FRAME_BYTES
        self._unreturned = 0
        self._parts: list[bytes] = []  # the answer's message so far
        self._block = b""  # a header block that continues in further frames
        self._block_ends_stream = False
        self._status = ""  # the HTTP status, once the answer's first header block is there

    @property
    def greeted(self) -> bool:
        """Whether each side has the other's settings."""
        return self._has_settings and self._acknowledged

    def open(self, request: GrpcRequest) -> None:
        """Begin a call on the next stream: put its frames into `out`, as far as the peer's windows allow."""
        self._stream += 2
        if self._stream >= LARGEST_WINDOW - 2:
            self.over = True  # stream numbers run out: the next call needs a new connection
        self._stream_window = self._first_window
        self.answer, self._status, self._parts, self._block = None, "", [], b""
        block, message = request.block, request.message
        head = frame_head(len(block), Kind.HEADERS, END_HEADERS, self._stream)
        size = len(message)
        if size <= self._frame_bytes and size <= self._window and size <= self._stream_window:
            self._window -= size
            self.rest = memoryview(b"")
            self.out += b"".join((head, block, frame_head(size, Kind.DATA, END_STREAM, self._stream), message))
            return
        self.out += head + block
        self.rest = memoryview(message)
        self.frame_more()

    def frame_more(self) -> bool:
        """Put as much of `rest` into `out`, in frames, as the peer's windows allow; False if they allow nothing."""
        frames = [self.out]
        while self.rest and (size := min(len(self.rest), self._frame_bytes, self._window, self._stream_window)) > 0:
            flags = END_STREAM if size == len(self.rest) else 0
            frames += [frame_head(size, Kind.DATA, flags, self._stream), self.rest[:size]]  # type: ignore[list-item]
            self.rest = self.rest[size:]
            self._window -= size
            self._stream_window -= size
        self.out = b"".join(frames)
        return len(frames) > 1

    def room(self) -> memoryview:
        """The free part of the buffer, where the next received bytes go: at least half of the buffer."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end > len(self._buffer) // 2:
            rest = self._buffer[self._start : self._end]
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._view[self._end :]

    def read(self, count: int) -> None:
        """Handle each complete frame, after `count` bytes were received into `room()`.

        Raises ConnectionLost if `count` is 0, and the ExchangeError of a frame that ends the call or the connection.
        """
        if count == 0:
            raise ConnectionLost(f"{self._who}: connection closed before the end of an answer")
        self._end += count
        while self._end - self._start >= http2.FRAME_HEAD.size:
            high, low, kind, flags, stream = http2.FRAME_HEAD.unpack_from(self._buffer, self._start)
            size = high << 16 | low
            begin = self._start + http2.FRAME_HEAD.size
            if self._end - begin < size:
                self._make_room(size)
                return
            self._start = begin + size
            if kind == Kind.DATA and stream == self._stream and not flags & PADDED:
                self._take_data(bytes(self._view[begin : self._start]), flags)
            elif (
                kind == Kind.HEADERS and stream == self._stream and flags & (END_HEADERS | PADDED | PRIORITISED) == END_HEADERS
            ):
                self._take_block(bytes(self._view[begin : self._start]), bool(flags & END_STREAM))
            else:
                self._take_other(kind, flags, stream & LARGEST_WINDOW, bytes(self._view[begin : self._start]))

    def _make_room(self, size: int) -> None:
        """Grow the buffer, keeping its content, if a frame of `size` bytes is too large for it."""
        if size > http2.LARGEST_FRAME_BYTES or size + http2.FRAME_HEAD.size <= len(self._buffer) // 2:
            return
        grown = bytearray(2 * size + _BUFFER_BYTES)
        grown[: self._end - self._start] = self._view[self._start : self._end]
        self._start, self._end = 0, self._end - self._start
        self._view.release()
        self._buffer, self._view = grown, memoryview(grown)

    def _take_data(self, data: bytes, flags: int) -> None:
        self._parts.append(data)
        self._unreturned += len(data)
        if self._unreturned >= _RETURNED_BYTES:
            self.out += http2.window_update(0, self._unreturned)
            self._unreturned = 0
            if sum(map(len, self._parts)) > self._most_bytes + PREFIX.size:
                raise MalformedAnswer(f"{self._who}: an answer of more than {self._most_bytes} bytes")
        if flags & END_STREAM:
            raise MalformedAnswer(f"{self._who}: the answer ended without a status of gRPC")

    def _take_block(self, block: bytes, ends: bool) -> None:
        fields = self._blocks.read(block)
        if not self._status:
            status = fields.get(":status", "")
            if status[:1] == "1":
                return  # an interim answer
            self._status = status
            encoding = fields.get("grpc-encoding", "identity")
            if status != "200":
                words = f"HTTP status {status or 'missing'}, expected 200"
                if away := turned_away(status, fields.get("retry-after", "")):
                    raise TurnedAway(f"{self._who}: {away}; {words}")
                raise error_status(status, f"{self._who}: {words}{credentials_wanted(status)}")
            if encoding != "identity":
                raise MalformedAnswer(f"{self._who}: a compressed answer ({encoding[:40]}), expected it as it is")
        if ends:
            self._finish(fields)

    def _finish(self, trailers: dict[str, str]) -> None:
        """End the call: keep its message as `answer`, or raise the error that its gRPC status means."""
        code = trailers.get("grpc-status", "")
        if code != "0":
            self._fail(code, unquote(trailers.get("grpc-message", ""), errors="replace"), trailers)
        message = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if len(message) < PREFIX.size:
            raise MalformedAnswer(f"{self._who}: {len(message)} bytes, expected a message with its prefix of {PREFIX.size}")
        compressed, size = PREFIX.unpack_from(message)
        if compressed:
            raise MalformedAnswer(f"{self._who}: a compressed answer, expected it as it is")
        if size != len(message) - PREFIX.size:
            raise MalformedAnswer(f"{self._who}: a message of {size} bytes in {len(message) - PREFIX.size}")
        self.answer = message[PREFIX.size :]

    def _fail(self, code: str, words: str, trailers: dict[str, str]) -> NoReturn:
        known = code.isdigit() and len(code) < 3 and int(code) < len(_STATUS)
        name = _STATUS[int(code)] if known else f"{code[:20] or 'missing'}"
        text = f"{self._who}: gRPC status {name}: {words[:1000]}{credentials_wanted(name)}"
        if away := turned_away(name, trailers.get("retry-after", "")):
            raise TurnedAway(f"{self._who}: {away}; gRPC status {name}: {words[:1000]}")
        if name == "DEADLINE_EXCEEDED":
            raise ExchangeTimeout(text)
        if name == "UNAVAILABLE":
            raise ConnectionLost(text)
        raise CallFailed(text, name) if known else MalformedAnswer(text)

    def taken(self) -> bytes:
        """Return the answer's message, which must be complete, and forget it."""
        answer, self.answer = self.answer, None
        assert answer is not None  # noqa: S101
        return answer

    def _take_other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Handle a frame that is not one of an answer's usual DATA and HEADERS frames."""
        if kind == Kind.SETTINGS and not stream:
            self._take_settings(flags, payload)
        elif kind == Kind.PING and not flags & ACK:
            self.out += frame(Kind.PING, ACK, 0, payload)
        elif kind == Kind.WINDOW_UPDATE and len(payload) == NUMBER.size:
            self._widen(stream, NUMBER.unpack(payload)[0] & LARGEST_WINDOW)
        elif kind == Kind.GOAWAY:
            self._take_goodbye(payload)
        elif kind == Kind.PUSH_PROMISE:
            raise MalformedAnswer(f"{self._who}: a promise to push, which our settings forbid")
        elif stream != self._stream:
            return  # belongs to an earlier call; PRIORITY and unknown types are ignored
        elif kind == Kind.RST_STREAM:
            self._take_reset(payload)
        elif kind == Kind.DATA:
            self._take_data(self._without_padding(flags, payload), flags)
        elif kind in (Kind.HEADERS, Kind.CONTINUATION):
            self._take_part_of_block(kind, flags, payload)

    def _take_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            self._acknowledged = True
            return
        if len(payload) % http2.SETTING.size:
            raise MalformedAnswer(f"{self._who}: settings of HTTP/2 in {len(payload)} bytes")
        for name, value in http2.SETTING.iter_unpack(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._first_window
                self._first_window = value
            elif name == Setting.MAX_FRAME_SIZE:
                self._frame_bytes = max(http2.LEAST_FRAME_BYTES, min(value, http2.LARGEST_FRAME_BYTES))
        self._has_settings = True
        self.out += frame(Kind.SETTINGS, ACK, 0)

    def _widen(self, stream: int, size: int) -> None:
        if stream == 0:
            self._window += size
        elif stream == self._stream:
            self._stream_window += size
        if self.rest:
            self.frame_more()

    def _take_goodbye(self, payload: bytes) -> None:
        """Handle GOAWAY: no further calls; raises ConnectionLost if the current call will not be answered either."""
        self.over = True
        last, code = (NUMBER.unpack_from(payload, at)[0] for at in (0, 4)) if len(payload) >= 8 else (0, 0)
        if (last & LARGEST_WINDOW) < self._stream or code:
            words = payload[8:200].decode("utf-8", "replace")
            raise ConnectionLost(f"{self._who}: the server said goodbye: {http2.error_name(code)} {words}".rstrip())

    def _take_reset(self, payload: bytes) -> None:
        code = NUMBER.unpack(payload[:4].ljust(4, b"\0"))[0]
        if self.answer is None:
            raise CallFailed(f"{self._who}: the server reset the call: {http2.error_name(code)}")

    def _take_part_of_block(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == Kind.HEADERS:
            self._block_ends_stream = bool(flags & END_STREAM)
            payload = self._without_padding(flags, payload)
            payload = payload[5:] if flags & PRIORITISED else payload
            self._block = b""
        self._block += payload
        if len(self._block) > _BUFFER_BYTES:
            raise MalformedAnswer(f"{self._who}: no end of a header block in {len(self._block)} bytes")
        if flags & END_HEADERS:
            block, self._block = self._block, b""
            self._take_block(block, self._block_ends_stream)

    def _without_padding(self, flags: int, payload: bytes) -> bytes:
        if not flags & PADDED:
            return payload
        if not payload or payload[0] >= len(payload):
            raise MalformedAnswer(f"{self._who}: a frame that is nothing but padding")
        return payload[1 : len(payload) - payload[0]]
