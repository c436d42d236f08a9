"""gRPC on one kept-alive socket: HTTP/2 frames built beforehand, the answer read to its trailers; one call at a time.

Only `exchange` is timed: one write for a message that fits the peer's flow-control windows, as few reads as the answer
needs, and parsing each frame. As for HTTP/1.1 the socket stays blocking and the kernel enforces the deadline;
`start` and `advance` never wait, so that an event loop can drive many connections. See http2 for the frames.
"""

import contextlib
import socket
import time
from collections.abc import Sequence

from bench.contract.errors import ConnectionLost, ExchangeError, ExchangeTimeout
from bench.contract.wire import Endpoint, Payload
from bench.transports.grpc_conversation import PREFIX, CallFailed, Conversation, GrpcRequest
from bench.transports.http2 import header_block
from bench.transports.kept_socket import Connection, KeptSocket
from bench.transports.refusals import error_status


class GrpcTransport(KeptSocket):
    """One connection to one endpoint whose `path` is the method, e.g. `/package.Service/Method`; a `MultiplexedTransport`."""

    SCHEMES = ("grpc", "grpcs")
    ALPN = "h2"

    def __init__(self, endpoint: Endpoint, *, deadline_s: float | None = None) -> None:
        super().__init__(endpoint, deadline_s=deadline_s)
        self._peer = Conversation(self._who(), self._endpoint.most_answer_bytes)

    def prepare(self, payload: Payload) -> GrpcRequest:
        """Build the header block of the call, and its message with its prefix."""
        path = self._endpoint.path.replace("{batch_size}", str(payload.batch_size))
        return self.prepare_call(path, payload.body, payload.headers)

    def prepare_call(self, method: str, message: bytes, headers: Sequence[tuple[str, str]] = ()) -> GrpcRequest:
        """Prepare a call of any method of the same server."""
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"https" if self._endpoint.access.tls else b"http"),
            (b":path", method.encode("ascii")),
            (b":authority", self._endpoint.authority.encode("ascii")),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"servebench"),
            *(
                (name.lower().encode("ascii"), value.encode("ascii"))
                for name, value in (*headers, *self._endpoint.access.headers)
            ),
        ]
        return GrpcRequest(header_block(fields), PREFIX.pack(0, len(message)) + message)

    def connect(self) -> None:
        """Open a new connection and exchange HTTP/2 settings, before the first call; raises ConnectionLost."""
        sock = self._open_socket()
        self._peer = Conversation(self._who(), self._endpoint.most_answer_bytes)
        give_up_at = time.perf_counter() + self._deadline_s
        try:
            while not self._peer.greeted:
                self._send(sock)
                self._wait(sock, give_up_at)
            self._send(sock)
        except (ExchangeError, OSError) as error:
            lost = self._spent_by(error)
            self.close()
            raise ConnectionLost(f"{self._who()}: cannot connect: it spoke no HTTP/2: {lost}") from error

    def ensure_connected(self) -> bool:
        """Handle frames since the last call (PING, WINDOW_UPDATE, GOAWAY); reconnect if they ended it, True if they did."""
        if self._sock is not None and not self.spent and self._quiet(self._sock):
            return False
        self.connect()
        return True

    def exchange(self, request: GrpcRequest) -> bytes:
        """One unary call; raises ErrorStatus, ExchangeTimeout, ConnectionLost or MalformedAnswer."""
        sock, peer = self._connected(), self._peer
        try:
            peer.open(request)
            give_up_at = time.perf_counter() + self._deadline_s
            while True:
                if peer.out:
                    self._send(sock)
                if peer.answer is not None:
                    return self._taken()
                self._wait(sock, give_up_at)
        except (ExchangeError, OSError) as error:
            raise self._spent_by(error) from error.__cause__

    @property
    def unsent(self) -> bool:
        """Whether bytes wait until the socket can be written."""
        return bool(self._peer.out)

    def start(self, request: GrpcRequest) -> None:
        """Send what the socket and the peer's windows accept at once; `advance` does the rest. Raises ExchangeError."""
        sock = self._connected()
        try:
            self._peer.open(request)
            self._send_now(sock)
        except (ExchangeError, OSError) as error:
            raise self._spent_by(error) from error.__cause__

    def advance(self) -> bytes | None:
        """Go on without waiting; returns the answer's message once it is complete, else None. Raises as `exchange` does."""
        sock, peer = self._sock, self._peer
        if sock is None:
            raise ConnectionLost(f"{self._who()}: not connected")
        try:
            while peer.answer is None:
                self._send_now(sock)
                peer.read(sock.recv_into(peer.room(), 0, socket.MSG_DONTWAIT))
            self._send_now(sock)
            return self._taken()
        except BlockingIOError:
            return None
        except (ExchangeError, OSError) as error:
            raise self._spent_by(error) from error.__cause__

    def _spent_by(self, error: ExchangeError | OSError) -> ExchangeError:
        """The error as an ExchangeError; except after a gRPC status, the connection carries no further call."""
        if isinstance(error, CallFailed):
            self.spent = self._peer.over or bool(self._peer.rest)  # it answered before it had read the whole message
            return error_status(error.status, self._endpoint.access.redacted(str(error)))
        return super()._spent_by(error)

    def _taken(self) -> bytes:
        """The answer; the connection is spent if it takes no further call, or if the request was not sent to its end."""
        self.spent = self._peer.over or bool(self._peer.rest)
        return self._peer.taken()

    def _send(self, sock: Connection) -> None:
        """Send all that the peer's windows accept."""
        peer = self._peer
        while peer.out:
            out, peer.out = peer.out, b""
            # A server may refuse a large message before reading all of it; its answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(out)
            if peer.rest and peer.answer is None:
                peer.frame_more()

    def _send_now(self, sock: Connection) -> None:
        """Send as much as the kernel and the peer's windows accept, without waiting."""
        peer = self._peer
        while peer.out or (peer.rest and peer.frame_more()):
            try:
                sent = sock.send(peer.out, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                sent = len(peer.out)  # its answer says why
            peer.out = peer.out[sent:]

    def _wait(self, sock: Connection, give_up_at: float) -> None:
        if time.perf_counter() > give_up_at:
            raise ExchangeTimeout(f"{self._who()}: no complete answer within {self._deadline_s:g} s")
        self._peer.read(sock.recv_into(self._peer.room()))

    def _quiet(self, sock: Connection) -> bool:
        """Handle the frames that came while the connection was idle; False if it has ended."""
        peer = self._peer
        try:
            with contextlib.suppress(BlockingIOError):
                while not peer.over:
                    peer.read(sock.recv_into(peer.room(), 0, socket.MSG_DONTWAIT))
            self._send_now(sock)
        except (ExchangeError, OSError):
            return False
        return not peer.over
