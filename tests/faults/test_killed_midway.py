"""A real session that is killed (SIGKILL) in mid-campaign, as soon as it has kept its cells once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.verdicts import INTERRUPTED
from bench.contract.records import EarlierRun, Verdict
from bench.experiments.resume import Resume
from fixtures.engines.sweeping import sweep_processes
from reports.store.store import RECORDS, load_run
from tests import sessions
from tests.fixtures.tiny import make_settings
from tests.sessions import ROOT

KILLED = """
import os, signal
import pytest
import bench.experiments.checkpoint, bench.load.scheduler

bench.experiments.checkpoint.EVERY_S = 0.1
bench.load.scheduler._PROGRESS_EVERY_S = 0.0

@pytest.hookimpl(trylast=True)
def pytest_servebench_underway(cells):
    if cells:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Path]:
    """The folder of the run; its server is removed as the next start would do it."""
    (tmp_path / "kills_itself.py").write_text(KILLED)
    np.savez(tmp_path / "inputs.npz", inputs=np.random.default_rng(3).random((130, 784), dtype=np.float32))
    options = ["-p", "kills_itself", "--benchmark-only", "--engine=process", "--backend=null", "-k", "throughput"]
    options += ["--batch-sizes=1", f"--inputs={tmp_path / 'inputs.npz'}", f"--report-dir={tmp_path / 'out'}"]
    try:
        done = sessions.run(*options, variables={"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])})
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        (folder,) = (tmp_path / "out").iterdir()
        yield folder
    finally:
        sweep_processes(make_settings(tmp_path / "cache", print))


def test_cells_under_way_are_in_the_report_and_measured_again(killed: Path) -> None:
    """Nothing was finished, and yet its cells are there with what was timed; a resumed run takes none of them over."""
    assert not (killed / RECORDS).exists()
    stored = load_run(killed)
    assert len(stored.records) > 1
    for record in stored.records:
        assert record.verdict is Verdict.UNSTABLE
        assert INTERRUPTED in record.reason
        assert len(stored.samples[record.id].duration_s) == record.exchanges > 0
    assert any("being measured" in note for note in stored.notes)
    assert Resume(EarlierRun(str(killed), stored.run, stored.records, stored.samples)).records == []
