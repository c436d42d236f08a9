"""The top-1 accuracy of every endpoint on all images of the dataset, and that its scores are the reference's."""

import pytest

from bench.contract.cells import Cell
from bench.experiments import accuracy
from bench.experiments.scenario_runner import Campaigns
from bench.session.benchmark_bridge import Replay


@pytest.mark.scenarios(accuracy.EXPERIMENT)
def test_accuracy(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """One pass over all images, 128 at a time; its times are not interleaved with others' and rank nobody."""
    replay.of(campaign.result(cell))
