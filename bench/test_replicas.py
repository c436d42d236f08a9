"""How throughput grows with the instances of a server, and what each of them adds."""

import pytest

from bench.contract.cells import Cell
from bench.experiments import replicas
from bench.experiments.scenario_runner import Campaigns
from bench.session.benchmark_bridge import Replay


@pytest.mark.replicas
@pytest.mark.scenarios(replicas.EXPERIMENT)
def test_replicas(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """Each server in as many instances as each of --replicas says, clients spread evenly over them; every answer is right."""
    replay.of(campaign.result(cell))
