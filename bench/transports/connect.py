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
    """So many, not yet connected; each goes to the next instance, the first of them to the one whose turn `first` is.

    What one of them prepares, any of them sends: a request names the host of the first, whichever it reaches.
    """
    instances = endpoint.instances
    return [open_connection(instances[(first + number) % len(instances)]) for number in range(count)]


def open_connection(endpoint: Endpoint) -> MultiplexedTransport[Any]:
    """The transport of an endpoint that is on a wire, which can be driven beside others; not yet connected."""
    kind = transport_of(endpoint.protocol)
    if kind == "http":
        return HttpTransport(endpoint)
    if kind == "grpc":
        return GrpcTransport(endpoint)
    raise ValueError(f"{endpoint.id}: protocol {endpoint.protocol!r} has no wire")
