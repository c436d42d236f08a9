"""What is the latency when requests are sent on a schedule, whatever the server does?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome
from bench.analysis.open_loop_cells import outcome_on_schedule
from bench.contract.cells import Cell
from bench.contract.scenarios import CONNECTIONS, Arrival, Offer, Scenario
from bench.contract.system import Role
from bench.experiments.experiment import Asked, Ended, UnderLoad, in_words
from bench.experiments.lane_builder import LaneBuilder
from bench.load.scheduled_load import WINDOWS, OpenLoop
from bench.load.scheduler import Settings
from bench.statistics import min_samples

LOADS = (0.3, 0.5, 0.7, 0.8, 0.9)

_WINDOW_S = (0.25, 1.0)


def open_loop_scenario(
    arrival: Arrival,
    *,
    load: float | None = None,
    rate_per_s: float | None = None,
    batch_size: int = 1,
    connections: int = CONNECTIONS,
) -> Scenario:
    """An open loop: `poisson70` offers 70 % of the peak, `constant-200rps` 200 requests a second.

    `poisson-200rps-batch32-8connections` sends 32 images per request, over at most 8 connections.
    """
    rate = f"{100 * load:g}" if load is not None else f"-{rate_per_s:g}rps"
    offered = f"{100 * load:g} % of its peak" if load is not None else f"{rate_per_s:g}/s"
    name, title = f"{arrival}{rate}".replace(".", "p"), [f"{arrival.capitalize()} arrivals", offered]
    if batch_size > 1:
        name, title = f"{name}-batch{batch_size}", [*title, f"batches of {batch_size}"]
    if connections != CONNECTIONS:
        name, title = f"{name}-{connections}connections", [*title, f"at most {connections} connection{'s' * (connections > 1)}"]
    return Scenario(
        name,
        batch_size,
        kind="open-loop",
        title=", ".join(title),
        concurrency=connections,
        arrival=arrival,
        load=load,
        rate_per_s=rate_per_s,
    )


SCENARIOS: tuple[Scenario, ...] = ()
"""Measured in addition to those of --loads and --arrivals. To add one, add a line here, like
`open_loop_scenario(Arrival.POISSON, rate_per_s=200, batch_size=32, connections=8),`."""


class OnSchedule(UnderLoad):
    """The open loop, see the module; latency counts from the scheduled send, so it includes every stall."""

    kind = "open-loop"
    turn = 4

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenarios of each of --loads with each of --arrivals."""
        return tuple(dict.fromkeys((*open_loops_of(asked.loads, asked.arrivals), *SCENARIOS)))

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:
        """--loads and --arrivals with those of this scenario alone."""
        load = f"{scenario.rate_per_s:g}/s" if scenario.load is None else f"{100 * scenario.load:g}%"
        return {"--loads": load, "--arrivals": str(scenario.arrival)}

    def head(self, scenario: Scenario) -> str:
        """The heading; the seconds include any wait for a connection."""
        return f"{scenario.name}: seconds from the scheduled send, {in_words(scenario)}"

    def settings(self, settings: Settings) -> Settings:
        """The settings with slices as long as a window."""
        return in_windows(settings)

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """One lane with the requests that a 99th percentile needs; null only has to show that the client keeps its schedule."""
        share = 1 / WINDOWS if cell.backend.role is Role.CEILING else 1.0
        lane = builder.under_load(cell, offers_of(cell, builder), share=share, exchanges=min_samples(0.99))
        judgements = builder.shared(cell).judgements
        return CellRun(cell, builder.payload_set(cell), measure=lane, rerun=rerun, judgements=judgements)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """The outcomes, uncompared: the load of each cell is its own, so no cell is faster than another."""
        return on_schedule(runs, ended)


def offers_of(cell: Cell, builder: LaneBuilder) -> OpenLoop:
    """The open loop of a cell, over its endpoint's connections."""
    scenario, shared = cell.scenario, builder.shared(cell)
    return OpenLoop(
        shared.sender,
        shared.peak,
        scenario.arrival,
        builder.random(cell),
        scenario.load,
        scenario.rate_per_s,
        connections=scenario.concurrency,
    )


def in_windows(settings: Settings, windows: int = WINDOWS) -> Settings:
    """The settings with a cell's measuring time split into `windows` slices, each at least 0.25 s and at most 1 s long."""
    window_s = float(np.clip(settings.max_time_s / windows, *_WINDOW_S))
    return replace(settings, slice_s=window_s)


def on_schedule(runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
    """The outcomes of open loops, not compared with each other."""
    return [
        outcome_on_schedule(run, ended.factory, interrupted=ended.interrupted and not run.measure.state.finished)
        for run in runs
    ]


def open_loops_of(loads: Sequence[Offer], arrivals: Sequence[Arrival]) -> list[Scenario]:
    """A scenario for each pair of load and arrival process."""
    return [open_loop_scenario(arrival, load=each.load, rate_per_s=each.rate_per_s) for arrival in arrivals for each in loads]


EXPERIMENT = OnSchedule()
