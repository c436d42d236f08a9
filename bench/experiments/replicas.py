"""How does throughput grow with the instances of a server, with clients spread evenly over them and no proxy between?"""

from collections.abc import Mapping, Sequence

from bench.contract.cells import Cell
from bench.contract.scenarios import Scenario
from bench.experiments.experiment import Asked
from bench.experiments.scaling import Saturation, saturating_clients


def replicas_scenario(replicas: int, batch_size: int = 1) -> Scenario:
    """`replicas` instances of a server on one CPU each, with more clients than they can serve at once: `replicas02`."""
    name, title = f"replicas{replicas:02}", f"{replicas} replica{'s' * (replicas > 1)}"
    if batch_size > 1:
        name, title = f"{name}-batch{batch_size}", f"{title}, batches of {batch_size}"
    clients = saturating_clients(replicas)
    return Scenario(name, batch_size, kind="replicas", title=title, concurrency=clients, replicas=replicas)


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured in addition to those of --replicas; to add one, add a line here, like `replicas_scenario(2, batch_size=32),`."""


class Replicas(Saturation):
    """The replica sweep, see the module."""

    kind = "replicas"
    turn = 7

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenarios of --replicas."""
        return tuple(dict.fromkeys((*map(replicas_scenario, asked.replicas), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """--replicas with this number alone."""
        return {"--replicas": str(scenario.replicas)}

    def refusal(self, cell: Cell) -> str:
        """Refuses servers that the suite did not start."""
        return "it runs already: how often is not ours to choose" if cell.backend.attached else ""


EXPERIMENT = Replicas()
