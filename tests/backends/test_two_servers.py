"""The supervisor of flask-tensorflow's two servers, with small programs in their place: neither outlives the other."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends.launch import FIXTURES

STANDIN = """
import os, sys, time
name = os.path.basename(__file__)
print(name, sys.argv[1:], flush=True)
open(name + ".pid", "w").write(str(os.getpid()))
while not os.path.exists(name + ".stop"):
    time.sleep(0.02)
sys.exit(int(open(name + ".stop").read()))
"""
NAMES = ("app.py", "gunicorn.py")  # `python -m gunicorn` finds what is in the folder first


@contextmanager
def supervised(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The supervisor, with both programs running."""
    shutil.copy(FIXTURES / "backends" / "flask-tensorflow" / "serve.py", folder)
    for name in NAMES:
        (folder / name).write_text(STANDIN)
    command = [sys.executable, "serve.py", "127.0.0.1", "5001", "8001"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: all((folder / f"{name}.pid").exists() and pid(folder, name) > 0 for name in NAMES))
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.perf_counter() + 20.0
    while not condition():
        assert time.perf_counter() < deadline_s, "it did not come to pass"
        time.sleep(0.02)


def pid(folder: Path, name: str) -> int:
    return int((folder / f"{name}.pid").read_text() or 0)


def runs(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("code", "expected"), [(3, 3), (0, 1)])
def test_either_ends_both(tmp_path: Path, name: str, code: int, expected: int) -> None:
    """The exit code is the first one's, and never 0: a server that ends by itself has failed. The log says which it was."""
    with supervised(tmp_path) as supervisor:
        first, both = pid(tmp_path, name), [pid(tmp_path, one) for one in NAMES]
        stop = tmp_path / f"{name}.new"
        stop.write_text(str(code))
        stop.rename(tmp_path / f"{name}.stop")
        assert supervisor.wait(20) == expected
    assert [process for process in both if runs(process)] == []
    assert f"process {first} ended with exit code {code}: ending the other" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both(tmp_path: Path, number: signal.Signals) -> None:
    """An asked-for end is a clean one."""
    with supervised(tmp_path) as supervisor:
        both = [pid(tmp_path, name) for name in NAMES]
        supervisor.send_signal(number)
        assert supervisor.wait(20) == 0
    assert [process for process in both if runs(process)] == []


def test_each_gets_its_port(tmp_path: Path) -> None:
    """The first port is the development server's, the second gunicorn's."""
    with supervised(tmp_path):
        log = (tmp_path / "log").read_text()
    assert "app.py ['127.0.0.1', '5001']" in log
    assert "gunicorn.py ['--bind', '127.0.0.1:8001', '--worker-class', 'gthread'" in log
