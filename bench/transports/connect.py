"""Opens the connection that an endpoint needs."""

from typing import Any

from bench.contract.system import Model, SystemUnderTest
from bench.contract.wire import Endpoint, MultiplexedTransport, Transport
from bench.protocols import transport_of
from bench.transports.grpc import GrpcTransport
from bench.transports.http import HttpTransport
from bench.transports.in_process import InProcessTransport


def open_transport(system: SystemUnderTest, endpoint: Endpoint, model: Model) -> Transport[Any]:
    """The transport that the endpoint's protocol needs; not yet connected."""
    if transport_of(endpoint.protocol) != "in-process":
        return open_connection(endpoint)
    if system.predictor is None:
        raise ValueError(f"{endpoint.id}: protocol {endpoint.protocol!r} needs a model in this process")
    return InProcessTransport(model)


def open_connections(endpoint: Endpoint, count: int, first: int = 0) -> list[MultiplexedTransport[Any]]:
    """`count` connections, not yet connected, to the instances in turn: the first goes to instance `first` modulo their number.

    A request prepared by one of them can be sent by any of them; it names the host of the one that prepared it.
    """
    instances = endpoint.instances
    return [open_connection(instances[(first + number) % len(instances)]) for number in range(count)]


def open_connection(endpoint: Endpoint) -> MultiplexedTransport[Any]:
    """The transport of an HTTP or gRPC endpoint, which an event loop can drive beside others; not yet connected."""
    kind = transport_of(endpoint.protocol)
    if kind == "http":
        return HttpTransport(endpoint)
    if kind == "grpc":
        return GrpcTransport(endpoint)
    raise ValueError(f"{endpoint.id}: protocol {endpoint.protocol!r} has no wire")
