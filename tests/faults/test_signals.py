"""SIGTERM where no server runs: before the first one starts, and after the last one has ended. Real sessions."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from bench.analysis.compared_cells import records_of
from bench.contract.interrupts import held_back, sigterm_as_ctrl_c
from reports.store.store import RECORDS, load_run
from tests import sessions
from tests.bench.scripted import right, world
from tests.faults.test_surroundings import QUICK, SINGLE
from tests.sessions import ROOT

COLLECTED = """
import os, signal

def pytest_collection_finish(session):
    os.kill(os.getpid(), signal.SIGTERM)
"""
WRITING = """
import os, signal, sys, types
from tests.reports.records import a_record, a_run, some_samples

def write_reports(folder, stored):
    for _ in range(int(os.environ["PRESSED"])):
        os.kill(os.getpid(), signal.SIGTERM)
    (folder / "report.html").write_text("written")

sys.modules["reports.renderers.files"] = types.SimpleNamespace(write_reports=write_reports)

def pytest_runtestloop(session):
    config, record = session.config, a_record()
    config.hook.pytest_servebench_run(config=config, run=a_run())
    config.hook.pytest_servebench_record(config=config, record=record, samples=some_samples(record))
    return True
"""


def ended(plugin: str, root: Path, pressed: int = 1) -> subprocess.CompletedProcess[str]:
    """A session of the suite that is told to end where the plugin says."""
    (root / "tells_to_end.py").write_text(plugin)
    options = ["-p", "tells_to_end", "--benchmark-only", "--engine=process", "--backend=null", f"--report-dir={root / 'out'}"]
    variables = {"PRESSED": str(pressed), "PYTHONPATH": os.pathsep.join([str(root), str(ROOT)])}
    return sessions.run(*options, variables=variables)


def test_a_session_without_a_server_yet_ends_as_by_ctrl_c(tmp_path: Path) -> None:
    """The exit code of an interruption, pytest's line for it, no traceback and no folder."""
    done = ended(COLLECTED, tmp_path)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "KeyboardInterrupt" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_a_session_that_writes_its_report_comes_to_its_end(tmp_path: Path) -> None:
    """The report is written as if nothing had been, and the exit code is that of an interruption."""
    done = ended(WRITING, tmp_path)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Report: " in done.stdout
    folder = (tmp_path / "out" / "latest").resolve()
    assert (folder / "report.html").read_text() == "written"
    assert (folder / "results.json").exists()
    assert len(load_run(folder).records) == 1
    assert (folder / RECORDS).exists()


def test_whoever_insists_gets_what_is_written_by_then(tmp_path: Path) -> None:
    """The results without the report, their path, and the exit code of an interruption."""
    done = ended(WRITING, tmp_path, pressed=2)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    folder = (tmp_path / "out" / "latest").resolve()
    assert f"Results: {folder / 'results.json'}" in done.stdout
    assert "Report: " not in done.stdout
    assert len(load_run(folder).records) == 1


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_figures_are_kept_before_the_session_ends(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to end while a campaign's figures are computed: they are recorded, as of a whole campaign, then it ends."""

    def interrupted(*arguments: object, **options: object) -> object:
        os.kill(os.getpid(), number)
        return records_of(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("bench.experiments.throughput.records_of", interrupted)
    with world({"a": right}, SINGLE, QUICK) as (campaigns, cells, records), sigterm_as_ctrl_c():
        with pytest.raises(KeyboardInterrupt, match=f"signal {number.value}"):
            campaigns.result(cells["a"])
        assert set(records) == {"a", "reference"}
        assert "interrupted" not in records["a"][0].reason


@pytest.mark.usefixtures("ctrl_c")
def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """A script's background job does not hear Ctrl-C, and is not ended by one that comes while results are kept."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back() as held:
        os.kill(os.getpid(), signal.SIGINT)
    assert held.number is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_signal_is_not_held_back() -> None:
    """Whoever insists is obeyed; afterwards all is as before."""

    def insist() -> None:
        with held_back() as held:
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(held.number)
            os.kill(os.getpid(), signal.SIGINT)

    seen: list[int | None] = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        insist()
    assert seen == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before
