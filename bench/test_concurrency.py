"""How throughput and latency change with the number of clients, each of which waits for its answer before it asks again."""

from __future__ import annotations

import pytest

from bench.campaign import Campaigns
from bench.cells import Cell
from bench.replay import Replay
from bench.scenarios import Kind


@pytest.mark.load
@pytest.mark.scenarios(Kind.CLIENTS)
def test_concurrency(cell: Cell, campaign: Campaigns, replay: Replay) -> None:
    """All numbers of clients of all selected endpoints side by side in slices; every answer is right."""
    replay.of(campaign.result(cell))
