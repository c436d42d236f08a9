"""How do throughput and latency change with the number of clients, each of which waits for its answer before it asks again?"""

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

CLIENTS_SHARE = 0.5  # of a cell's measuring time: a curve has six of them
SLICES = 8
"""Of several clients, at least: the interval is made of them."""


def clients_scenario(clients: int, batch_size: int = 1) -> Scenario:
    """So many clients at once: `c08` with single images, `c08-batch32` with 32 a request."""
    title = f"{clients} client{'s' if clients > 1 else ''}"
    if batch_size == 1:
        return Scenario(f"c{clients:02}", 1, "clients", title, concurrency=clients)
    return Scenario(
        f"c{clients:02}-batch{batch_size}", batch_size, "clients", f"{title}, batches of {batch_size}", concurrency=clients
    )


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured beside those of --clients; one more is one more line here, like `clients_scenario(8, batch_size=32),`."""


class Sweep(UnderLoad):
    """See the module."""

    kind = "clients"
    turn = 3
    soaked = True

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """Those of --clients."""
        return tuple(dict.fromkeys((*map(clients_scenario, asked.clients), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """This number of clients alone."""
        return {"--clients": str(scenario.concurrency)}

    def head(self, scenario: Scenario) -> str:
        """An exchange is what one of them waits for."""
        return f"{scenario.name}: seconds an exchange of {in_words(scenario)} with {scenario.concurrency} client(s) at once"

    def settings(self, settings: Settings) -> Settings:
        """Less time for each."""
        return replace(settings, max_time_s=CLIENTS_SHARE * settings.max_time_s)

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """All clients in one lane."""
        return run_of_clients(cell, builder, rerun)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """Each scenario's cells held against each other."""
        return compared(runs, ended, histogram=self.histogram)


def run_of_clients(cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
    """All clients of a cell in one lane, each in a closed loop."""
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
