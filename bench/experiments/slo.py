"""What is the highest rate at which p99 latency stays under a limit? A bisection; two of three probes decide on a load."""

from collections.abc import Mapping, Sequence

from bench.analysis.cell_measurement import CellMeasurement, CellRun
from bench.analysis.cell_record import Outcome
from bench.contract.cells import Cell
from bench.contract.scenarios import CONNECTIONS, Arrival, Scenario
from bench.contract.system import Role
from bench.experiments.experiment import Asked, Ended, UnderLoad, in_words
from bench.experiments.lane_builder import LaneBuilder
from bench.experiments.open_loop import in_windows, offers_of, on_schedule
from bench.load.scheduled_load import SloSearch
from bench.load.scheduler import Settings
from bench.load.slo_search import Search


def slo_scenario(limit_s: float, *, batch_size: int = 1, connections: int = CONNECTIONS) -> Scenario:
    """The highest Poisson rate with p99 latency under the limit: `slo15ms`, or `slo15ms-batch32` with 32 images per request."""
    name, title = f"slo{1e3 * limit_s:g}ms".replace(".", "p"), f"Highest rate with p99 under {1e3 * limit_s:g} ms"
    if batch_size > 1:
        name, title = f"{name}-batch{batch_size}", f"{title}, batches of {batch_size}"
    if connections != CONNECTIONS:
        name, title = f"{name}-{connections}connections", f"{title}, at most {connections} connection{'s' * (connections > 1)}"
    return Scenario(name, batch_size, kind="slo", title=title, concurrency=connections, arrival=Arrival.POISSON, slo_s=limit_s)


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured in addition to that of --slo; to add one, add a line here, like `slo_scenario(0.1, batch_size=32),`."""


class HighestRate(UnderLoad):
    """The search for the highest rate, see the module."""

    kind = "slo"
    turn = 5
    roles = frozenset({Role.SERVER})  # a limit means nothing for null

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenario of --slo, if it gives a limit."""
        return tuple(dict.fromkeys((*([slo_scenario(asked.slo)] if asked.slo is not None else []), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """--slo with this limit."""
        return {"--slo": f"{1e3 * (scenario.slo_s or 0.0):g}ms"}

    def head(self, scenario: Scenario) -> str:
        """The heading; the seconds are those of the probes at the highest load that held the limit."""
        return f"{scenario.name}: seconds from the scheduled send, {in_words(scenario)}"

    def settings(self, settings: Settings) -> Settings:
        """The settings with slices as long as a window; each slice is one probe."""
        return in_windows(settings)

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """One lane that ends when the search does."""
        pattern = SloSearch(offers_of(cell, builder), cell.scenario.slo_s or 0.0, Search())
        return CellRun(
            cell,
            builder.payload_set(cell),
            measure=builder.under_load(cell, pattern),
            rerun=rerun,
            judgements=builder.shared(cell).judgements,
        )

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """The outcomes, with the figures of the highest load that held the limit."""
        return on_schedule(runs, ended)

    def rate_so_far(self, measurement: CellMeasurement) -> float | None:  # noqa: ARG002 - see Experiment
        """None, as each probe has a rate of its own."""
        return None


EXPERIMENT = HighestRate()
