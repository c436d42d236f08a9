"""How does a server's throughput grow with its CPUs, under more clients than it can serve at once?"""

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
    """The number of clients for a server with `cpus` CPUs: more than it can serve at once."""
    return min(CONNECTIONS, max(_FEWEST_CLIENTS, _CLIENTS_A_CPU * cpus))


def scaling_scenario(cpus: int, batch_size: int = 1) -> Scenario:
    """A server on `cpus` CPUs, with more clients than it can serve at once: `cpus02`, or `cpus02-batch32`."""
    name, title = f"cpus{cpus:02}", f"{cpus} CPU{'s' * (cpus > 1)}"
    if batch_size > 1:
        name, title = f"{name}-batch{batch_size}", f"{title}, batches of {batch_size}"
    return Scenario(name, batch_size, kind="scaling", title=title, concurrency=saturating_clients(cpus), cpus=cpus)


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured in addition to those of --cpus; to add one, add a line here, like `scaling_scenario(2, batch_size=32),`."""


class Saturation(UnderLoad):
    """The base of saturation experiments: a server start for each scenario; all take turns, so that all see the same host."""

    def head(self, scenario: Scenario) -> str:
        """The heading; the seconds are those that one client waits for an exchange."""
        return f"{scenario.name}: seconds an exchange of {in_words(scenario)} with {scenario.concurrency} clients at once"

    def settings(self, settings: Settings) -> Settings:
        """The settings with slices so long that all of a server's CPUs are busy nearly all the time."""
        return in_windows(settings, SLICES)

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """One lane with all clients."""
        return run_of_clients(cell, builder, rerun)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """The outcomes: each scenario's cells compared with each other, and each endpoint with itself on the fewest CPUs."""
        return compared(runs, ended, histogram=self.histogram, shared_cpus=ended.client_cpus)


class Scaling(Saturation):
    """The CPU sweep, see the module."""

    kind = "scaling"
    turn = 6

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenarios of --cpus."""
        return tuple(dict.fromkeys((*map(scaling_scenario, asked.cpus), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """--cpus with this number alone."""
        return {"--cpus": str(scenario.cpus)}

    def refusal(self, cell: Cell) -> str:
        """Refuses servers that the suite did not start, and more than one CPU for an endpoint that can use only one."""
        if cell.backend.attached:
            return "it runs already: its CPUs are not ours to choose"
        return cell.endpoint.one_cpu if (cell.scenario.cpus or 1) > 1 else ""


EXPERIMENT = Scaling()
