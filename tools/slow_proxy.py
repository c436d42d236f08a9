"""An HTTP proxy that makes a request slower by as much as it asks for: `python -m tools.slow_proxy OWN PORT`.

It accepts connections on its own port of the loopback, forwards requests to the other port and answers back, over one
connection there for each that it accepts, and ends when its input does. The header `x-added` says how often an empty loop
turns before the answer is sent on: work like a server's, not sleep, which is not exact to a tenth of a millisecond.
"""

import contextlib
import re
import socket
import sys
import threading
from itertools import repeat

ADDED = "x-added"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TURNS = re.compile(rb"\r\n" + ADDED.encode() + rb": *(\d+)", re.IGNORECASE)
_READ_BYTES = 2**16


def main(own: int, port: int) -> None:
    """Serve until the input ends."""
    listener = socket.create_server(("127.0.0.1", own))
    threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    sys.stdin.read()


def _accept(listener: socket.socket, port: int) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_forward, args=(connection, port), daemon=True).start()


def _forward(connection: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError), connection, socket.create_connection(("127.0.0.1", port)) as behind:
        for each in (connection, behind):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while request := _whole(connection):
            behind.sendall(request)
            answer = _whole(behind)
            turns = _TURNS.search(request, 0, request.index(b"\r\n\r\n"))
            for _ in repeat(None, int(turns[1]) if turns else 0):
                pass
            connection.sendall(answer)


def _whole(connection: socket.socket) -> bytes:
    """Read one HTTP message with its head; empty if the other side has closed."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + _length(data[:end]):
        more = connection.recv(_READ_BYTES)
        if not more:
            return b""
        data += more
    return data


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
