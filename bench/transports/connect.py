"""Opens the connection that an endpoint needs."""

from __future__ import annotations

from typing import Any

from bench.contract.system import SystemUnderTest
from bench.contract.wire import Endpoint, MultiplexedTransport, Transport
from bench.protocols import codec
from bench.transports.grpc import GrpcTransport
from bench.transports.http import HttpTransport
from bench.transports.in_process import InProcessTransport


def open_transport(system: SystemUnderTest, endpoint: Endpoint) -> Transport[Any]:
    """The transport that the endpoint's protocol needs; not yet connected."""
    if codec(endpoint.protocol).transport != "in-process":
        return open_connection(endpoint)
    if system.predictor is None:
        raise ValueError(f"{endpoint.id}: protocol {endpoint.protocol!r} needs a model in this process")
    return InProcessTransport(system.predictor)


def open_connection(endpoint: Endpoint) -> MultiplexedTransport[Any]:
    """The transport of an endpoint that is on a wire, which can be driven beside others; not yet connected."""
    kind = codec(endpoint.protocol).transport
    if kind == "http":
        return HttpTransport(endpoint)
    if kind == "grpc":
        return GrpcTransport(endpoint)
    raise ValueError(f"{endpoint.id}: protocol {endpoint.protocol!r} has no wire")
