"""How throughput grows with the CPUs that a server has, and what each of them adds."""

import pytest

from bench.contract.cells import Cell
from bench.experiments import scaling
from bench.experiments.scenario_runner import Campaigns
from bench.session.benchmark_bridge import Replay


@pytest.mark.scaling
@pytest.mark.scenarios(scaling.EXPERIMENT)
def test_scaling(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """Each server once for each of --cpus, started as its documentation advises, side by side; every answer is right."""
    replay.of(campaign.result(cell))
