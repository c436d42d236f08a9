"""How do throughput and latency change with the number of clients, each of them a closed loop?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome
from bench.contract.cells import Cell
from bench.contract.scenarios import Scenario
from bench.experiments.experiment import Asked, Ended, UnderLoad, in_words
from bench.experiments.lane_builder import LaneBuilder
from bench.experiments.throughput import compared
from bench.load.load_patterns import Clients
from bench.load.scheduler import Settings

CLIENTS = (1, 2, 4, 8, 16, 32)

CLIENTS_SHARE = 0.5  # of a cell's measuring time: a curve has six cells
SLICES = 8
"""Slices of a cell with several clients, at least: the confidence interval is computed from them."""


def clients_scenario(clients: int, batch_size: int = 1) -> Scenario:
    """`clients` closed loops at once: `c08` with single images, `c08-batch32` with 32 images per request."""
    title = f"{clients} client{'s' if clients > 1 else ''}"
    if batch_size == 1:
        return Scenario(f"c{clients:02}", 1, "clients", title, concurrency=clients)
    return Scenario(
        f"c{clients:02}-batch{batch_size}", batch_size, "clients", f"{title}, batches of {batch_size}", concurrency=clients
    )


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured in addition to those of --clients; to add one, add a line here, like `clients_scenario(8, batch_size=32),`."""


class Sweep(UnderLoad):
    """The concurrency sweep, see the module."""

    kind = "clients"
    turn = 3
    soaked = True

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenarios of --clients."""
        return tuple(dict.fromkeys((*map(clients_scenario, asked.clients), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """--clients with this number alone."""
        return {"--clients": str(scenario.concurrency)}

    def head(self, scenario: Scenario) -> str:
        """The heading; the seconds are those that one client waits for an exchange."""
        return f"{scenario.name}: seconds an exchange of {in_words(scenario)} with {scenario.concurrency} client(s) at once"

    def settings(self, settings: Settings) -> Settings:
        """The settings with less time for each cell."""
        return replace(settings, max_time_s=CLIENTS_SHARE * settings.max_time_s)

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """One lane with all clients."""
        return run_of_clients(cell, builder, rerun)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """The outcomes, with the cells of each scenario compared with each other."""
        return compared(runs, ended, histogram=self.histogram)


def run_of_clients(cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
    """One lane with all clients of a cell, each in a closed loop."""
    clients = cell.scenario.concurrency
    shared = builder.shared(cell)
    return CellRun(
        cell,
        builder.payload_set(cell),
        measure=builder.under_load(cell, Clients(shared.sender, clients), slices=SLICES, clients=clients),
        rerun=rerun,
        judgements=shared.judgements,
    )


EXPERIMENT = Sweep()
