"""A cell: what a test is parametrised with."""

from dataclasses import dataclass

from bench.contract.scenarios import Scenario
from bench.contract.system import Backend, Role, on_cpus
from bench.contract.wire import Endpoint


@dataclass(frozen=True, slots=True)
class Cell:
    """One backend endpoint in one scenario."""

    backend: Backend
    endpoint: Endpoint
    scenario: Scenario

    @property
    def is_far(self) -> bool:
        """Whether a network may lie between its server, which runs already, and this client."""
        return self.backend.attached and not self.endpoint.is_near

    @property
    def server(self) -> str:
        """Which server of the fleet is asked: the backend's, or the start of it that has the scenario's CPUs.

        An instrument is the same for all of them.
        """
        cpus = self.scenario.cpus
        return self.backend.name if cpus is None or self.backend.role is not Role.SERVER else on_cpus(self.backend.name, cpus)

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>-<scenario>`."""
        return f"{self.endpoint.id}-{self.scenario.name}"
