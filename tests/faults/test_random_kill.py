"""Real sessions that are killed, or told to end, at random moments: nothing finished is lost, nothing is left behind.

`SERVEBENCH_KILLS` says how many of each; `SERVEBENCH_KILL_SEED` makes the moments others.
"""

import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.verification.probe import Probe
from fixtures.engines.process_tree import environments
from fixtures.engines.shared_memory import regions_of
from fixtures.engines.sweeping import run_folder_prefix, sweep_processes
from fixtures.host.cache import cache_root
from fixtures.host.run_identity import OWNER_VARIABLE, Owner, RunIdentity, start_ticks
from reports.store.store import RECORDS, load_run
from tests import sessions
from tests.fixtures.tiny import make_settings
from tests.integration.house import SPECS, a_house, refuse_absence
from tests.sessions import ROOT

KILLS = int(os.environ.get("SERVEBENCH_KILLS", "10"))
SEED = int(os.environ.get("SERVEBENCH_KILL_SEED", "8"))
LONGEST_S = 120.0
ENDS_WITHIN_S = 60.0

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the suite, and who it is to the processes and folders that it makes."""

    process: subprocess.Popen[bytes]
    owner: Owner
    out: Path

    def lines(self) -> dict[Path, list[bytes]]:
        """Whole lines of records on the disk now, by file."""
        return {file: file.read_bytes().splitlines(keepends=True) for file in records_below(self.out)}


@contextmanager
def session(out: Path) -> Iterator[Session]:
    """The main job on one endpoint of flask, as short as can be; killed at the latest at the end."""
    options = ["--benchmark-only", "--engine=process"]
    options += ["--backend=flask", "-k", "raw or reference", "--benchmark-max-time=0.2", "-m", "not replay", "--starts=0"]
    with subprocess.Popen(
        sessions.command(*options, f"--report-dir={out}"),
        cwd=ROOT,
        env=sessions.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        ticks = start_ticks(process.pid)
        assert ticks is not None
        try:
            yield Session(process, Owner(process.pid, ticks), out)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def length_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a session takes that nobody disturbs, and for which everything is built."""
    house = a_house()
    with house.fleet(SPECS["flask"]) as flask:
        flask.start(["flask"], Probe(house.factory, [1]))
        refuse_absence(flask.absent.get("flask"))
    started_s = time.perf_counter()
    with session(tmp_path_factory.mktemp("undisturbed")) as running:
        assert running.process.wait(LONGEST_S) == 0
    assert left_of(running.owner) == []
    return min(time.perf_counter() - started_s, LONGEST_S)


def moments(count: int, length_s: float, seed: int) -> list[float]:
    """One in each of `count` equal parts of a session, in a random order: no part of it is left out by chance."""
    rng = random.Random(seed)
    found = [(part + rng.random()) * length_s / count for part in range(count)]
    rng.shuffle(found)
    return found


def test_a_kill_at_a_random_moment_loses_no_finished_record(length_s: float, tmp_path: Path) -> None:
    """Every record that was on the disk is read back; the next start removes processes, folders and shared memory.

    And two that are started behind it, at once, leave each other alone.
    """
    kept = 0
    for number, moment_s in enumerate(moments(KILLS, length_s, SEED)):
        with session(tmp_path / str(number)) as running:
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(moment_s)
            seen = running.lines()
            regions = regions_of(processes_of(running.owner))
            running.process.kill()
            running.process.wait()
        for file, lines in seen.items():
            read = {record.id for record in load_run(file.parent).records}
            whole = [_id(line) for line in lines if line.endswith(b"\n")]
            assert set(whole) <= read
            kept += len(whole)
        sweep_processes(make_settings(cache_root(), print))  # as the next session's first act
        assert left_of(running.owner) == [], f"killed after {moment_s:.2f} s"
        assert not [region for region in regions if region.exists()]
        print(f"{number}: killed after {moment_s:.2f} s of {length_s:.1f} s, {kept} records kept so far")
    assert_two_at_once_leave_each_other_alone(tmp_path / "next")  # what is left of the killed ones disturbs nobody


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_told_to_end_at_a_random_moment_leaves_nothing(
    length_s: float, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM, ten moments: it ends by itself, soon, with what was finished in its report and nothing running."""
    for place, moment_s in enumerate(moments(KILLS, length_s, SEED + number)):
        with session(tmp_path / str(place)) as running:
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(moment_s)
            seen = running.lines()
            running.process.send_signal(number)
            told_s = time.perf_counter()
            running.process.wait(ENDS_WITHIN_S)
            print(f"{place}: {number.name} after {moment_s:.2f} s, ended {time.perf_counter() - told_s:.2f} s later")
        for file, lines in seen.items():
            read = {record.id for record in load_run(file.parent).records}
            assert {_id(line) for line in lines if line.endswith(b"\n")} <= read
        assert left_of(running.owner) == [], f"{number.name} after {moment_s:.2f} s"


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("gap_s", [0.02, 0.1, 0.3])
def test_ctrl_c_twice_in_a_row_costs_no_report(tmp_path: Path, gap_s: float) -> None:
    """Also where pytest is still wording the first one."""
    with session(tmp_path) as running:
        while running.process.poll() is None and not any(running.lines().values()):
            time.sleep(0.02)
        running.process.send_signal(signal.SIGINT)
        time.sleep(gap_s)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(ENDS_WITHIN_S) == pytest.ExitCode.INTERRUPTED
    (file,) = records_below(tmp_path)
    assert load_run(file.parent).records
    assert (file.parent / "report.html").is_file()
    assert left_of(running.owner) == []


def assert_two_at_once_leave_each_other_alone(out: Path) -> None:
    """Both are measured to their ends, each in its own folder; neither sweeps the other's servers."""
    with session(out) as one, session(out) as other:
        assert one.process.wait(2 * LONGEST_S) == 0
        assert other.process.wait(2 * LONGEST_S) == 0
    folders = [file.parent for file in records_below(out)]
    assert len(folders) == 2
    cells = [{record.id for record in load_run(folder).records if record.exchanges} for folder in folders]
    assert cells[0] == cells[1] != set()
    assert left_of(one.owner) + left_of(other.owner) == []


def left_of(owner: Owner) -> list[str]:
    """What bears the mark of a session: processes, temporary folders."""
    mine = RunIdentity.new()
    prefix = run_folder_prefix(mine).replace(str(mine.owner), str(owner))
    return [
        *(f"process {pid}" for pid in processes_of(owner)),
        *(str(folder) for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*")),
    ]


def records_below(out: Path) -> list[Path]:
    """Of each run, not once more of the one that `latest` points at."""
    return [file for file in out.glob(f"*/{RECORDS}") if not file.parent.is_symlink()]


def processes_of(owner: Owner) -> list[int]:
    """What a session started and still runs."""
    mark = f"{OWNER_VARIABLE}={owner}".encode()
    return [pid for pid, entries in environments() if mark in entries]


def _id(line: bytes) -> str:
    cell = json.loads(line)
    return f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}"
