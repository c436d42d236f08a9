"""gRPC: one kept channel, messages serialised beforehand, answers kept as bytes and parsed after the clock."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass

import grpc

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout
from bench.contract.wire import Endpoint, Payload
from bench.transports import DEADLINE_S

_MAX_MESSAGE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GrpcRequest:
    """One call: its method, and the serialised message."""

    method: str
    message: bytes


class _Bell:
    """A descriptor that gRPC's own thread makes readable when a call is done; ringing a closed one does nothing."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._open = True

    def ring(self, _: object) -> None:
        """The call is done; called in another thread, perhaps after everything else is over."""
        with self._lock:
            if self._open:
                os.eventfd_write(self.fd, 1)

    def silence(self) -> None:
        """Make it unreadable until the next ring."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if self._open:
                os.close(self.fd)
            self._open = False


class GrpcTransport:
    """One channel to one endpoint whose `path` is the method, e.g. `/package.Service/Method`; a `MultiplexedTransport`."""

    def __init__(self, endpoint: Endpoint, *, deadline_s: float = DEADLINE_S) -> None:
        self._endpoint = endpoint
        self._deadline_s = deadline_s
        self._channel: grpc.Channel | None = None
        self._calls: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {}
        self.spent = True
        self._bell: _Bell | None = None
        self._future: grpc.Future[bytes] | None = None

    def prepare(self, payload: Payload) -> GrpcRequest:
        """The serialised message, to which the channel adds only its frame, and the method that takes it."""
        return GrpcRequest(self._endpoint.path.replace("{batch_size}", str(payload.batch_size)), payload.body)

    def connect(self) -> None:
        """Open a new channel and wait until it is ready; raises ConnectionLost."""
        self.close()
        self._channel = grpc.insecure_channel(
            f"{self._endpoint.host}:{self._endpoint.port}",
            options=[
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                # each transport its own connection, as each HTTP transport has its own socket
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        try:
            grpc.channel_ready_future(self._channel).result(timeout=self._deadline_s)
        except grpc.FutureTimeoutError:
            self.close()
            raise ConnectionLost(f"{self._who()}: cannot connect within {self._deadline_s:g} s") from None
        self._bell = _Bell()
        self.spent = False

    def ensure_connected(self) -> bool:
        """A channel reconnects by itself; only a missing one is opened here."""
        if self._channel is not None:
            return False
        self.connect()
        return True

    def exchange(self, request: GrpcRequest) -> bytes:
        """One unary call; raises ErrorStatus, ExchangeTimeout or ConnectionLost by the call's status code."""
        call = self._calls.get(request.method) or self._new_call(request.method)
        try:
            return call(request.message, timeout=self._deadline_s)
        except grpc.RpcError as error:
            raise self._told(error) from None

    def fileno(self) -> int:
        """Becomes readable when the call that was started is done."""
        return self._connected().fd

    @property
    def slow_to_connect(self) -> bool:
        """True: a channel is looked at until it is ready, which takes up to tens of milliseconds."""
        return True

    @property
    def unsent(self) -> bool:
        """False: gRPC's own thread sends."""
        return False

    def start(self, request: GrpcRequest) -> None:
        """Begin one unary call."""
        call = self._calls.get(request.method) or self._new_call(request.method)
        self._future = call.future(request.message, timeout=self._deadline_s)
        self._future.add_done_callback(self._connected().ring)

    def advance(self) -> bytes | None:
        """The call's answer if it is done; raises as `exchange` does."""
        if self._future is None or not self._future.done():
            return None
        self._connected().silence()
        future, self._future = self._future, None
        try:
            return future.result()
        except grpc.RpcError as error:
            raise self._told(error) from None

    def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            with contextlib.suppress(Exception):
                self._channel.close()
        if self._future is not None:
            self._future.cancel()
        if self._bell is not None:
            self._bell.close()
        self._channel, self._future, self._bell = None, None, None
        self._calls.clear()
        self.spent = True

    def _connected(self) -> _Bell:
        if self._bell is None:
            raise ConnectionLost(f"{self._who()}: not connected")
        return self._bell

    def _told(self, error: grpc.RpcError) -> ConnectionLost | ErrorStatus | ExchangeTimeout:
        """What went wrong, in our words; a lost connection closes the channel."""
        code, details = error.code(), error.details()
        text = f"{self._who()}: gRPC status {code.name}: {details}"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ExchangeTimeout(text)
        if code is grpc.StatusCode.UNAVAILABLE:
            self.close()
            return ConnectionLost(text)
        return ErrorStatus(text)

    def _new_call(self, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        """Once a method and connection, in the untimed exchange that opens a slice."""
        if self._channel is None:
            raise ConnectionLost(f"{self._who()}: not connected")
        # No serialiser: bytes in, bytes out, so that protobuf's work stays outside the clock.
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            method, request_serializer=None, response_deserializer=None
        )
        self._calls[method] = call
        return call

    def _who(self) -> str:
        return f"{self._endpoint.id} at {self._endpoint.host}:{self._endpoint.port}{self._endpoint.path}"
