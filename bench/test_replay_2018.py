"""The study of 2018 again, with its own method, then with one of its flaws removed after the other."""

from dataclasses import asdict

import pytest

from bench.contract.scenarios import BATCH_128, SINGLE
from bench.experiments.replay_2018 import StudyCell, StudyReplay
from bench.session.benchmark_bridge import Replay


@pytest.mark.replay
@pytest.mark.scenarios(SINGLE, BATCH_128)
def test_replay_2018(study_cell: StudyCell, study: StudyReplay, replay: Replay) -> None:
    """A new connection a request, encoding and decoding inside the clock, no warm-up, one after the other; then without."""
    result = study.result(study_cell)
    if result is None:
        pytest.skip(f"{study_cell.id} was not measured: {study.why_absent(study_cell.cell.backend.name)}")
    if result.duration_s:
        replay(result.duration_s, asdict(result.row))
    if result.row.problem:
        pytest.fail(f"{study_cell.id}: {result.row.problem}", pytrace=False)
