"""How much more do several instances of a server answer than one, with the clients spread evenly over them, and no proxy?"""

from collections.abc import Mapping, Sequence

from bench.contract.cells import Cell
from bench.contract.scenarios import Scenario
from bench.experiments.experiment import Asked
from bench.experiments.scaling import Saturation, saturating_clients


def replicas_scenario(replicas: int, batch_size: int = 1) -> Scenario:
    """So many instances of a server on one CPU each, with more clients than they can serve at once: `replicas02`."""
    name, title = f"replicas{replicas:02}", f"{replicas} replica{'s' * (replicas > 1)}"
    if batch_size > 1:
        name, title = f"{name}-batch{batch_size}", f"{title}, batches of {batch_size}"
    clients = saturating_clients(replicas)
    return Scenario(name, batch_size, kind="replicas", title=title, concurrency=clients, replicas=replicas)


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured beside those of --replicas; one more is one more line here, like `replicas_scenario(2, batch_size=32),`."""


class Replicas(Saturation):
    """See the module."""

    kind = "replicas"
    turn = 7

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """Those of --replicas."""
        return tuple(dict.fromkeys((*map(replicas_scenario, asked.replicas), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """This number of replicas alone."""
        return {"--replicas": str(scenario.replicas)}

    def refusal(self, cell: Cell) -> str:
        """Who is not ours to start."""
        return "it runs already: how often is not ours to choose" if cell.backend.attached else ""


EXPERIMENT = Replicas()
