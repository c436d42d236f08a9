"""How throughput and latency change with the number of clients, each of which waits for its answer before it asks again."""

import pytest

from bench.contract.cells import Cell
from bench.experiments import clients
from bench.experiments.scenario_runner import Campaigns
from bench.session.benchmark_bridge import Replay


@pytest.mark.load
@pytest.mark.scenarios(clients.EXPERIMENT)
def test_concurrency(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """All numbers of clients of all selected endpoints side by side in slices; every answer is right."""
    replay.of(campaign.result(cell))
