"""Latency of requests that come on a schedule, whatever the server does, and the highest rate under a limit of it."""

import pytest

from bench.contract.cells import Cell
from bench.experiments import open_loop, slo
from bench.experiments.scenario_runner import Campaigns
from bench.session.benchmark_bridge import Replay


@pytest.mark.load
@pytest.mark.scenarios(open_loop.EXPERIMENT)
def test_open_loop(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """At given rates or parts of what the server carries; latency counts from the scheduled send, and no stall is left out."""
    replay.of(campaign.result(cell))


@pytest.mark.load
@pytest.mark.scenarios(slo.EXPERIMENT)
def test_slo(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """The highest Poisson rate whose 99th percentile stays under --slo, found by bisection, two of three probes deciding."""
    replay.of(campaign.result(cell))
