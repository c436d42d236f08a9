"""One kept TCP connection to an endpoint: opened, closed, and what goes wrong with it in our words; knows no protocol.

The socket stays blocking and the kernel holds the deadline (SO_RCVTIMEO): a Python-level timeout would add a `poll` before each
call, about a tenth of a fast exchange.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from bench.contract.errors import ConnectionLost, ExchangeError, ExchangeTimeout
from bench.contract.wire import Endpoint
from bench.transports import DEADLINE_S


class KeptSocket:
    """The part of a `MultiplexedTransport` that is the same for every protocol on a socket."""

    def __init__(self, endpoint: Endpoint, *, deadline_s: float = DEADLINE_S) -> None:
        self._endpoint = endpoint
        self._deadline_s = deadline_s
        self._sock: socket.socket | None = None
        self.spent = True

    def fileno(self) -> int:
        """The socket's descriptor, another one after each connect."""
        return self._connected().fileno()

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.close()
        self._sock = None
        self.spent = True

    def _open_socket(self) -> socket.socket:
        """A new connection in place of the old one; raises ConnectionLost."""
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
        return sock

    def _who(self) -> str:
        return f"{self._endpoint.id} at {self._endpoint.host}:{self._endpoint.port}{self._endpoint.path}"

    def _connected(self) -> socket.socket:
        if self._sock is None or self.spent:
            raise ConnectionLost(f"{self._who()}: not connected")
        return self._sock

    def _spent_by(self, error: ExchangeError | OSError) -> ExchangeError:
        """What went wrong, in our words; the connection carries no further exchange."""
        self.spent = True
        if isinstance(error, ExchangeError):
            return error
        if isinstance(error, BlockingIOError):
            return ExchangeTimeout(f"{self._who()}: no complete answer within {self._deadline_s:g} s")
        return ConnectionLost(f"{self._who()}: connection lost: {error}")
