"""Images answered per second by one client in a closed loop: one image at a time, and in batches."""

import pytest

from bench.contract.cells import Cell
from bench.experiments import throughput
from bench.experiments.scenario_runner import Campaigns
from bench.session.benchmark_bridge import Replay


@pytest.mark.scenarios(throughput.EXPERIMENT)
def test_throughput(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """All selected cells are measured side by side in short slices; every timed answer is right."""
    result = campaign.result(cell)
    replay.of(result)
    result.require_no_regression()
