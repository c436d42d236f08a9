"""A connection by which a process elsewhere notices that its driver has ended, or is out of reach."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge

_CUT_S = 25  # if not even the other end's kernel answers for so long, the link was cut
_KEEP_ALIVE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 1000 * _CUT_S,
}


def first_with_the_key(listener: Listener) -> Connection:
    """Wait for a client that knows the listener's key; keep-alive ends its connection if that gets out of reach."""
    while True:
        with contextlib.suppress(AuthenticationError, EOFError, OSError):  # a client without the key
            connection = listener.accept()
            break
    with socket.socket(fileno=os.dup(connection.fileno())) as reached:
        reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE.items():
            reached.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def connect(address: tuple[str, int], key: bytes, patience_s: float) -> Connection:
    """Connect to such a process; connecting, and any later send or receive, fails once it stalls for `patience_s` seconds.

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
    """End this process when the connection ends, whatever it is doing; until then this thread sleeps in the kernel."""
    hung_up = select.poll()
    hung_up.register(connection.fileno(), select.POLLRDHUP)
    hung_up.poll()
    os._exit(0)
