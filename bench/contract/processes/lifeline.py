"""A connection by which a process elsewhere notices that whoever it works for has ended, or is out of reach."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge

_CUT_S = 25  # who does not answer for so long, not even its kernel, is gone: its link was cut
_KEEP_ALIVE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 1000 * _CUT_S,
}


def first_with_the_key(listener: Listener) -> Connection:
    """Wait for the one that knows the listener's key; the connection ends as well where the other end is out of reach."""
    while True:
        with contextlib.suppress(AuthenticationError, EOFError, OSError):  # somebody else
            connection = listener.accept()
            break
    with socket.socket(fileno=os.dup(connection.fileno())) as reached:
        reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE.items():
            reached.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def connect(address: tuple[str, int], key: bytes, patience_s: float) -> Connection:
    """Reach such a process; who is out of reach, stops in the middle of a word, or reads none, holds up nobody for longer.

    Raises OSError, EOFError, or AuthenticationError.
    """
    limit = struct.pack("ll", int(patience_s), int(patience_s % 1 * 1e6))
    with socket.create_connection(address, timeout=patience_s) as reached:
        reached.setblocking(True)
        reached.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        reached.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        connection = Connection(reached.detach())
    try:
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
    except BaseException:
        connection.close()
        raise
    return connection


def end_with(connection: Connection) -> None:
    """End this process with the connection, whatever it is doing; until then this thread sleeps in the kernel."""
    hung_up = select.poll()
    hung_up.register(connection.fileno(), select.POLLRDHUP)
    hung_up.poll()
    os._exit(0)
