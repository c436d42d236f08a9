"""The cell: what a benchmark test is parametrised with."""

from dataclasses import dataclass

from bench.contract.scenarios import Scenario
from bench.contract.system import Backend, Role, in_replicas, on_cpus
from bench.contract.wire import Endpoint


@dataclass(frozen=True, slots=True)
class Cell:
    """One backend endpoint in one scenario."""

    backend: Backend
    endpoint: Endpoint
    scenario: Scenario

    @property
    def is_far(self) -> bool:
        """Whether its server was already running and is not on this machine's loopback: a network may lie between."""
        return self.backend.attached and not self.endpoint.is_near

    @property
    def server(self) -> str:
        """Name of the server in the fleet that gets the requests: the backend, or its start on the scenario's CPUs or replicas.

        An instrument has one start for all scenarios.
        """
        name, scenario = self.backend.name, self.scenario
        if self.backend.role is not Role.SERVER:
            return name
        if scenario.cpus is not None:
            return on_cpus(name, scenario.cpus)
        return name if scenario.replicas is None else in_replicas(name, scenario.replicas)

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>-<scenario>`."""
        return f"{self.endpoint.id}-{self.scenario.name}"
