"""One kept-alive connection to an endpoint, with or without TLS: opens it, closes it, turns its errors into ExchangeErrors.

It knows no protocol.

The socket stays blocking and the kernel enforces the deadline (SO_RCVTIMEO): a timeout in Python would add a `poll` before
each call, about a tenth of a fast exchange.
"""

import contextlib
import socket
import ssl
import struct
from typing import ClassVar

from bench.contract.errors import ConnectionLost, ExchangeError, ExchangeTimeout, UntrustedCertificate
from bench.contract.wire import Endpoint
from bench.transports.tls import TlsSocket, client_context, distrust

Connection = socket.socket | TlsSocket


class Unprinted(bytes):
    """A request that contains secrets: sent as it is, but its repr hides the content, for example in a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<a request of {len(self)} bytes>"


class KeptSocket:
    """The part of a `MultiplexedTransport` that is the same for every protocol on a socket.

    `SCHEMES`: the URL schemes without and with TLS. `ALPN`: the protocol negotiated over TLS. `deadline_s`: replaces the
    endpoint's.
    """

    SCHEMES: ClassVar[tuple[str, str]]
    ALPN: ClassVar[str]

    def __init__(self, endpoint: Endpoint, *, deadline_s: float | None = None) -> None:
        self._endpoint = endpoint
        self._deadline_s = endpoint.deadline_s if deadline_s is None else deadline_s
        self._sock: Connection | None = None
        self.spent = True

    def fileno(self) -> int:
        """The socket's file descriptor; each connect changes it. Raises ConnectionLost if not connected."""
        return self._connected().fileno()

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.close()
        self._sock = None
        self.spent = True

    def _open_socket(self) -> Connection:
        """Close the old connection and open a new one; raises ConnectionLost."""
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
        opened = self._sock = self._secured(sock) if self._endpoint.access.tls else sock
        self.spent = False
        return opened

    def _secured(self, sock: socket.socket) -> TlsSocket:
        """The same connection with TLS on it; raises ConnectionLost after closing it."""
        secured = TlsSocket(sock, client_context(self._endpoint.access.ca, self.ALPN), str(self._endpoint.host))
        try:
            agreed = secured.handshake(self._deadline_s)
        except ssl.SSLCertVerificationError as error:
            sock.close()
            raise UntrustedCertificate(f"{self._who()}: {distrust(self._endpoint, error, self._deadline_s)}") from error
        except OSError as error:
            sock.close()
            why = f"no answer within {self._deadline_s:g} s" if isinstance(error, BlockingIOError) else error
            raise ConnectionLost(f"{self._who()}: cannot connect: TLS: {why}") from error
        if agreed not in (None, self.ALPN):
            secured.close()
            raise ConnectionLost(f"{self._who()}: cannot connect: over TLS it speaks {agreed}, expected {self.ALPN}")
        return secured

    def _who(self) -> str:
        endpoint = self._endpoint
        return f"{endpoint.id} at {self.SCHEMES[endpoint.access.tls]}://{endpoint.authority}{endpoint.path}"

    def _connected(self) -> Connection:
        if self._sock is None or self.spent:
            raise ConnectionLost(f"{self._who()}: not connected")
        return self._sock

    def _spent_by(self, error: ExchangeError | OSError) -> ExchangeError:
        """The error as an ExchangeError, without secrets; marks the connection as spent."""
        self.spent = True
        if isinstance(error, ExchangeError):
            words = self._endpoint.access.redacted(str(error))
            return error if words == str(error) else type(error)(words)
        if isinstance(error, BlockingIOError):
            return ExchangeTimeout(f"{self._who()}: no complete answer within {self._deadline_s:g} s")
        return ConnectionLost(f"{self._who()}: connection lost: {error}")
