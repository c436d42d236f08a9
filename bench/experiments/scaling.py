"""How much more does a server answer with each CPU that it has, while more clients ask than it can serve at once?"""

from collections.abc import Mapping, Sequence

from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome
from bench.contract.cells import Cell
from bench.contract.scenarios import CONNECTIONS, Scenario
from bench.experiments.clients import SLICES, run_of_clients
from bench.experiments.experiment import Asked, Ended, UnderLoad, in_words
from bench.experiments.lane_builder import LaneBuilder
from bench.experiments.open_loop import in_windows
from bench.experiments.throughput import compared
from bench.load.scheduler import Settings

_FEWEST_CLIENTS, _CLIENTS_A_CPU = 32, 8


def saturating_clients(cpus: int) -> int:
    """How many ask a server that has so many CPUs: more than it can serve at once."""
    return min(CONNECTIONS, max(_FEWEST_CLIENTS, _CLIENTS_A_CPU * cpus))


def scaling_scenario(cpus: int, batch_size: int = 1) -> Scenario:
    """A server on so many CPUs, with more clients than it can serve at once: `cpus02`, or `cpus02-batch32`."""
    name, title = f"cpus{cpus:02}", f"{cpus} CPU{'s' * (cpus > 1)}"
    if batch_size > 1:
        name, title = f"{name}-batch{batch_size}", f"{title}, batches of {batch_size}"
    return Scenario(name, batch_size, kind="scaling", title=title, concurrency=saturating_clients(cpus), cpus=cpus)


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured beside those of --cpus; one more is one more line here, like `scaling_scenario(2, batch_size=32),`."""


class Saturation(UnderLoad):
    """What a server can do at all: each scenario is a start of its own, and all take turns, so that all see the same host."""

    def head(self, scenario: Scenario) -> str:
        """An exchange is what one of the clients waits for."""
        return f"{scenario.name}: seconds an exchange of {in_words(scenario)} with {scenario.concurrency} clients at once"

    def settings(self, settings: Settings) -> Settings:
        """Long enough for all of a server's CPUs to be busy nearly all the time."""
        return in_windows(settings, SLICES)

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """All clients in one lane."""
        return run_of_clients(cell, builder, rerun)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """All starts held against each other, and each endpoint against itself on the fewest CPUs."""
        return compared(runs, ended, histogram=self.histogram, shared_cpus=ended.client_cpus)


class Scaling(Saturation):
    """See the module."""

    kind = "scaling"
    turn = 6

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """Those of --cpus."""
        return tuple(dict.fromkeys((*map(scaling_scenario, asked.cpus), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """This number of CPUs alone."""
        return {"--cpus": str(scenario.cpus)}

    def refusal(self, cell: Cell) -> str:
        """Who cannot use more than one, and who is not ours to give any."""
        if cell.backend.attached:
            return "it runs already: its CPUs are not ours to choose"
        return cell.endpoint.one_cpu if (cell.scenario.cpus or 1) > 1 else ""


EXPERIMENT = Scaling()
