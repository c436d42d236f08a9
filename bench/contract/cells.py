"""A cell: what a test is parametrised with."""

from dataclasses import dataclass

from bench.contract.scenarios import Scenario
from bench.contract.system import Backend
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
    def id(self) -> str:
        """`<backend>-<endpoint>-<scenario>`."""
        return f"{self.endpoint.id}-{self.scenario.name}"
