"""What whoever watches is told, and where a session's time goes."""

import itertools
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract import console
from bench.contract.console import MEASURING, SERVERS, Stopwatch
from tests import sessions


def test_each_second_counts_for_one_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are started in the middle of measuring are no measuring; what is left is the rest."""
    monkeypatch.setattr(console, "perf_counter", itertools.count().__next__)
    watch = Stopwatch()  # at 0
    assert watch.told() == ""
    with watch.phase(MEASURING), watch.phase(SERVERS):  # 1 to 4, and within that 2 to 3
        pass
    with watch.phase(SERVERS):  # 5 to 6
        pass
    assert watch.told() == "servers 2 s, measuring 2 s, the rest 3 s"  # at 7


LOOKING = """
from bench.contract.console import Console

def test_it(pytestconfig):
    console = Console(pytestconfig)
    console.line(f"live: {console.live}")
    if console.live:
        console.rewrite("state")
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_what_can_be_rewritten_is_a_terminal_also_while_pytest_captures(tmp_path: Path, terminal: bool) -> None:
    """Where output goes into a pipe or file, lines only."""
    (tmp_path / "test_looking.py").write_text(LOOKING)
    (tmp_path / "pytest.ini").write_text("[pytest]")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    env = sessions.environment({"PYTHONPATH": str(sessions.ROOT)})
    errors = theirs if terminal else subprocess.STDOUT
    done = subprocess.run(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=errors, timeout=60, check=True)
    os.close(theirs)
    rewritten = os.read(ours, 4096) if terminal else b""
    os.close(ours)
    assert f"servebench live: {terminal}".encode() in done.stdout
    assert rewritten == (b"\r\x1b[Kstate" if terminal else b"")
