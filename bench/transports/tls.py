"""TLS on a kept-alive socket, with the methods of a plain one, so that a transport need not know which it has.

Bytes go through memory buffers and OpenSSL never sees the descriptor: the socket stays blocking, the kernel enforces the
deadline and MSG_DONTWAIT has its usual meaning. Prepared bytes are encrypted inside the clock, as in every client; the
handshake is not timed.
"""

import contextlib
import socket
import ssl
from functools import lru_cache
from time import perf_counter
from typing import cast

from bench.contract.wire import Endpoint
from bench.transports.certificates import described

_RECEIVED_BYTES = 256 * 1024
_SENT_AT_ONCE_BYTES = 256 * 1024
_EXPIRED, _OTHER_HOST = (10,), (62, 63, 64)  # of OpenSSL's X509_V_ERR_...


class TlsSocket:
    """A connected socket with TLS on it. Like a socket it raises OSError, of which ssl.SSLError is a kind."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._received = bytearray(_RECEIVED_BYTES)
        self._view = memoryview(self._received)
        self._left = memoryview(b"")  # encrypted, not yet sent
        self._promised = 0  # bytes of the caller's next call that are already encrypted, in `_left`: not to be encrypted twice

    def handshake(self, within_s: float) -> str | None:
        """Do the TLS handshake; returns the negotiated protocol (ALPN), None if none was. Raises OSError."""
        give_up_at = perf_counter() + within_s
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._sock.sendall(self._outgoing.read())
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._sock.sendall(self._outgoing.read())  # sends the alert, so that the server learns why
                raise
            if perf_counter() > give_up_at:
                raise BlockingIOError
            if not self._take(0):
                raise ConnectionResetError("the server closed the connection in the handshake")
        self._sock.sendall(self._outgoing.read())
        return self._tls.selected_alpn_protocol()

    def certificate(self) -> bytes:
        """The server's certificate, in DER; empty if it showed none."""
        return self._tls.getpeercert(binary_form=True) or b""

    def fileno(self) -> int:
        """The socket's file descriptor. It signals encrypted bytes only: read until BlockingIOError before waiting on it."""
        return self._sock.fileno()

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """Like socket.recv_into, but only the flag MSG_DONTWAIT has an effect. 0: the server closed the connection."""
        with memoryview(buffer) as whole, whole[: nbytes or len(whole)] as view:
            while True:
                if self._incoming.pending or self._tls.pending():
                    count = self._decrypt(view)
                    if count is not None:
                        return count
                if not self._take(flags & socket.MSG_DONTWAIT):
                    return 0

    def recv(self, nbytes: int, flags: int = 0) -> bytes:
        """Like socket.recv, except that MSG_PEEK consumes the bytes."""
        buffer = bytearray(nbytes)
        return bytes(buffer[: self.recv_into(buffer, nbytes, flags)])

    def sendall(self, data: bytes) -> None:
        """Like socket.sendall."""
        self._encrypt(memoryview(data)[self._promised :])
        self._promised = 0
        left, self._left = self._left, memoryview(b"")
        self._sock.sendall(left)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Like socket.send; after BlockingIOError the next call must begin with the same bytes."""
        if not self._promised:
            piece = memoryview(data)[:_SENT_AT_ONCE_BYTES]
            self._encrypt(piece)
            self._promised = len(piece)
        while self._left:
            self._left = self._left[self._sock.send(self._left, flags) :]
        sent, self._promised = self._promised, 0
        return sent

    def close(self) -> None:
        """Send TLS's close_notify without waiting, and close."""
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._sock.send(self._outgoing.read(), socket.MSG_DONTWAIT)
        self._sock.close()

    def _take(self, flags: int) -> int:
        count = self._sock.recv_into(self._received, 0, flags)
        self._incoming.write(self._view[:count])
        return count

    def _decrypt(self, view: memoryview) -> int | None:
        """Decrypt received bytes into `view`, as far as it has room; returns their count, None if no record is complete."""
        done = 0
        try:
            while done < len(view):
                count = cast(int, self._tls.read(len(view) - done, view[done:]))
                if not count:
                    break  # the server sent close_notify
                done += count
        except ssl.SSLWantReadError:
            return done or None
        finally:
            if self._outgoing.pending:  # for example an answer to a key update
                self._sock.sendall(self._outgoing.read())
        return done

    def _encrypt(self, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += self._tls.write(data[done:])
        encrypted = self._outgoing.read()
        self._left = memoryview(bytes(self._left) + encrypted if self._left else encrypted)


@lru_cache(maxsize=8)
def client_context(ca: str, protocol: str) -> ssl.SSLContext:
    """A TLS context that trusts the system's authorities and those in the file `ca`, and asks for `protocol` (ALPN)."""
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(ca)
    context.set_alpn_protocols([protocol])
    return context


def distrust(endpoint: Endpoint, error: ssl.SSLCertVerificationError, within_s: float) -> str:
    """Text for an error: why the certificate is not trusted, its subject and issuer, and what would help."""
    if error.verify_code in _EXPIRED:
        remedy = "it must be renewed; no option helps"
    elif error.verify_code in _OTHER_HOST:
        remedy = "the URL must name the host that it was made for"
    else:
        remedy = "if you know who signed it, give that authority's certificate with --ca FILE"
    shown = described(_shown_certificate(endpoint, within_s))
    return f"its certificate is not trusted: {error.verify_message} ({shown}); {remedy}"


def _shown_certificate(endpoint: Endpoint, within_s: float) -> bytes:
    """The server's certificate, in DER, from a separate connection on which no request is sent; empty if that fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=within_s) as sock:
            tls = TlsSocket(sock, context, str(endpoint.host))
            tls.handshake(within_s)
            return tls.certificate()
    except OSError:
        return b""
