"""The folder of a run is held while the run goes on, by its process alone, and by nobody once that is gone."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from reports.store.folder_lock import Hold, is_held
from reports.store.store import RunStore, load_run
from tests.reports.records import a_run

ROOT = Path(__file__).parents[3]
SESSION = """
import subprocess, sys, time
from pathlib import Path
from reports.store.store import RunStore
from tests.reports.records import a_run
store = RunStore(Path(sys.argv[1]), a_run(), "bench-1")
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
print(store.folder, server.pid, flush=True)
time.sleep(60)
"""


def test_a_run_holds_its_folder_until_it_is_killed(tmp_path: Path) -> None:
    """Whoever wants to know sees it and can read the run; a server that outlives the session holds nothing."""
    command = [sys.executable, "-c", SESSION, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout is not None
        folder, _, server = session.stdout.readline().strip().rpartition(" ")
        try:
            assert is_held(Path(folder))
            assert is_held(Path(folder)), "asking changes nothing"
            assert load_run(Path(folder)).run.id == a_run().id
            session.kill()
            session.wait()
            assert psutil.Process(int(server)).is_running()
            assert not is_held(Path(folder))
        finally:
            session.kill()
            psutil.Process(int(server)).kill()


def test_a_run_that_ended_lets_go(tmp_path: Path) -> None:
    """Before anything is drawn from it."""
    store = RunStore(tmp_path, a_run(), "bench-1")
    assert store.folder is not None
    assert is_held(store.folder)
    store.finish()
    assert not is_held(store.folder)
    store.finish()


def test_what_cannot_be_held_is_not(tmp_path: Path) -> None:
    """No folder, a file, a folder that nobody holds: none stands in anybody's way."""
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "none", tmp_path / "file", tmp_path):
        assert not is_held(place)
    Hold(tmp_path / "none").release()


def test_a_run_that_goes_on_elsewhere_holds_both_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that it began in and could not write, and the temporary one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = RunStore(tmp_path / "out", a_run(), "bench-1")
    first = store.folder
    assert first is not None
    (first / "run.json").unlink()
    (first / "run.json").mkdir()
    store.update_run(a_run())
    assert store.folder not in (None, first)
    assert is_held(first)
    assert is_held(store.folder)
    store.finish()
    assert not is_held(first)
