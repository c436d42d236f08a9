"""HTTP/2's frames (RFC 9113) and header blocks (RFC 7541), the part that one gRPC call at a time needs; opens no socket.

A request's header block is constant: indexed fields and literals outside any dynamic table, so it means the same on every
stream. Each distinct block of the peer is decoded once and then looked up by its bytes: our settings allow no dynamic table,
so equal bytes mean the same.
"""

import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum

import hpack

from bench.contract.errors import MalformedAnswer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = struct.Struct(">BHBBI")  # length in three bytes, type, flags, stream
SETTING = struct.Struct(">HI")
NUMBER = struct.Struct(">I")

END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
FIRST_WINDOW = 65_535
LARGEST_WINDOW = 2**31 - 1
LEAST_FRAME_BYTES, LARGEST_FRAME_BYTES = 2**14, 2**24 - 1
_MAX_BLOCK_BYTES = 64 * 1024
_KNOWN_BLOCKS = 64  # decoded blocks kept at most: some servers' blocks differ each time (a date, an id)


class Kind(IntEnum):
    """The types of frames."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """The settings that are used here."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
"""Names of HTTP/2 error codes; the index is the code."""


def error_name(code: int) -> str:
    """The name of an error code, such as `REFUSED_STREAM`, or `error <code>` for an unknown one."""
    return ERRORS[code] if code < len(ERRORS) else f"error {code}"


def frame_head(size: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a frame's payload of `size` bytes."""
    return FRAME_HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return frame_head(len(payload), kind, flags, stream) + payload


def settings_frame(settings: Mapping[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(SETTING.pack(*setting) for setting in settings.items()))


def window_update(stream: int, size: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, NUMBER.pack(size))


def header_block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals without indexing; `:method: POST` and `:scheme` by their index in the static table."""
    indexed = {(b":method", b"POST"): b"\x83", (b":scheme", b"http"): b"\x86", (b":scheme", b"https"): b"\x87"}
    names = {b":authority": 1, b":path": 4, b"content-type": 31, b"user-agent": 58}
    block = bytearray()
    for name, value in fields:
        if (name, value) in indexed:
            block += indexed[name, value]
            continue
        number = names.get(name)
        block += _integer(0, 4, number) if number else b"\0" + _text(name)
        block += _text(value)
    return bytes(block)


def _text(text: bytes) -> bytes:
    return _integer(0, 7, len(text)) + text


def _integer(first: int, bits: int, value: int) -> bytes:
    """`value` as RFC 7541, section 5.1, encodes it: in the low `bits` bits of the byte `first` and the bytes that follow."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    encoded = bytearray([first | most])
    value -= most
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class HeaderBlocks:
    """Decodes the header blocks of one connection, in their order; equal blocks are decoded once."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=_MAX_BLOCK_BYTES)
        self._decoder.max_allowed_table_size = self._decoder.header_table_size = 0
        self._known: dict[bytes, dict[str, str]] = {}

    def read(self, block: bytes) -> dict[str, str]:
        """Field -> value, the last of equal names; raises MalformedAnswer."""
        fields = self._known.get(block)
        if fields is None:
            try:
                decoded = self._decoder.decode(block, raw=True)
                fields = {_plain(name): _plain(value) for name, value in decoded}
            except (hpack.HPACKError, ValueError, IndexError) as error:
                raise MalformedAnswer(f"a header block of HTTP/2 that cannot be read: {error}") from error
            if len(self._known) < _KNOWN_BLOCKS and block[:1] != b"\x20":  # a table size update has a further effect
                self._known[block] = fields
        return fields


def _plain(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
