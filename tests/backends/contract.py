"""What the contract tests share: a stand-in as a started backend, and an exchange with it."""

from pathlib import Path

from bench.contract.system import Backend
from bench.contract.wire import Endpoint, Payload
from bench.transports.connect import open_connection
from fixtures.specs.manifest import load_spec
from tests.bench.scripted import ScriptedSystem
from tests.standins.serving import Served

BACKENDS = Path(__file__).parents[2] / "fixtures" / "backends"


def endpoints_of(backend: str) -> tuple[Endpoint, ...]:
    """As its backend.toml declares them."""
    return load_spec(BACKENDS / backend / "backend.toml").backend.endpoints


def started(endpoint: Endpoint, port: int) -> ScriptedSystem:
    """A running stand-in as a backend of the endpoint's name with this endpoint, at `port` of the loopback."""
    system = ScriptedSystem(Backend(endpoint.name, "stand-in", "script", (endpoint,)), None)
    system.endpoints = {endpoint.name: endpoint.located("127.0.0.1", port)}
    return system


def behind(endpoint: Endpoint, server: Served) -> ScriptedSystem:
    """A stand-in of two interfaces as a backend with this endpoint."""
    return started(endpoint, server.grpc_port if "grpc" in endpoint.protocol else server.rest_port)


def exchange(system: ScriptedSystem, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """One exchange with its endpoint, by the transport that a campaign uses."""
    (endpoint,) = system.endpoints.values()
    transport = open_connection(endpoint)
    transport.connect()
    try:
        return transport.exchange(transport.prepare(Payload(body, "application/json", (0,), headers)))
    finally:
        transport.close()
