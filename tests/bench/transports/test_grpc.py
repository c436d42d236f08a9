"""The gRPC transport against a real grpc server on loopback."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout
from bench.contract.scenarios import Arrival
from bench.contract.wire import Endpoint, Payload
from bench.load.connection_pool import Crowd
from bench.load.load_patterns import OpenLoop, Peak
from bench.load.payload_sources import CyclingFeed
from bench.transports.grpc import GrpcRequest, GrpcTransport

METHOD = "/little.Service/Predict"


@contextlib.contextmanager
def grpc_serving(handle: Callable[[bytes, grpc.ServicerContext], bytes]) -> Iterator[Endpoint]:
    class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
            return grpc.unary_unary_rpc_method_handler(handle) if details.method == METHOD else None

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Endpoint(backend="scripted", name="grpc", protocol="p", path=METHOD, host="127.0.0.1", port=port)
    finally:
        server.stop(grace=None)


def exchange(endpoint: Endpoint, deadline_s: float = 5.0) -> bytes:
    transport = GrpcTransport(endpoint, deadline_s=deadline_s)
    transport.connect()
    try:
        return transport.exchange(transport.prepare(Payload(b"question", "application/grpc", (0,))))
    finally:
        transport.close()


def test_bytes_go_and_come_unchanged() -> None:
    """The prepared message arrives as it is, and the answer comes back as raw bytes."""
    with grpc_serving(lambda request, _: b"answer to " + request) as endpoint:
        assert exchange(endpoint) == b"answer to question"


def test_all_channels_are_open_before_a_schedule_begins() -> None:
    """Until one is ready, the requests that are due meanwhile would wait for it."""
    journal: list[str] = []

    class Noting(GrpcTransport):
        def connect(self) -> None:
            journal.append("connect")
            super().connect()

        def start(self, request: GrpcRequest) -> None:
            journal.append("start")
            super().start(request)

    def slow(request: bytes, _: grpc.ServicerContext) -> bytes:
        time.sleep(0.02)
        return request

    with grpc_serving(slow) as endpoint:
        crowd = Crowd([Noting(endpoint) for _ in range(3)])
        drive = OpenLoop(crowd, Peak(crowd), Arrival.CONSTANT, np.random.default_rng(1), rate_per_s=200.0)
        feed = CyclingFeed([Payload(b"question", "application/grpc", (0,))], crowd.prepare)
        done = drive.run(feed.sendings(0), slice_s=0.1, typical_s=0.02, opener=False)
        drive.close()
    assert done.error is None
    assert done.scheduled >= 20, "more at once than three channels"
    opened = [number for number, what in enumerate(journal) if what == "connect"]
    assert opened[1:] == [opened[1], opened[1] + 1], "one for the look at the peak, two at once before the schedule"


def test_status_codes_are_told_apart() -> None:
    """An error of the service is an ErrorStatus with its code and words."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong width")

    with grpc_serving(refuse) as endpoint, pytest.raises(ErrorStatus, match="INVALID_ARGUMENT: wrong width"):
        exchange(endpoint)


def test_slow_answers_end_at_the_deadline() -> None:
    """No answer in time is a time-out, not an error of the service."""

    def dawdle(request: bytes, context: grpc.ServicerContext) -> bytes:
        time.sleep(1.0)
        return b""

    with grpc_serving(dawdle) as endpoint, pytest.raises(ExchangeTimeout, match="scripted-grpc"):
        exchange(endpoint, deadline_s=0.2)


def test_a_server_that_went_away_is_a_lost_connection_and_can_be_reopened() -> None:
    """After the loss the transport is spent; nothing listens any more, so connecting fails with the address."""
    with grpc_serving(lambda request, _: request) as endpoint:
        transport = GrpcTransport(endpoint, deadline_s=0.5)
        transport.connect()
        assert not transport.spent
        assert not transport.ensure_connected()
    with pytest.raises((ConnectionLost, ExchangeTimeout)):
        transport.exchange(GrpcRequest(METHOD, b"question"))
    transport.close()
    assert transport.spent
    with pytest.raises(ConnectionLost, match="cannot connect"):
        transport.ensure_connected()
