"""What conftest.py promises of several workers: a test that measures has the machine to itself, and children are no workers."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.sessions import ROOT, environment

TESTS = """
import os, time
import pytest

def told(what):
    with open({log!r}, "a") as log:
        log.write(what + "\\n")

def test_children_are_no_workers():
    assert not [name for name in os.environ if name.startswith("PYTEST_XDIST_")]

@pytest.mark.parametrize("number", range(12))
def test_shared(number):
    told("begin")
    time.sleep(0.02)
    told("end")

@pytest.mark.docker
@pytest.mark.parametrize("number", range(12))
def test_engine(number):
    told("begin engine")
    time.sleep(0.02)
    told("end engine")

@pytest.mark.alone
@pytest.mark.parametrize("number", range(12))
def test_alone(number):
    told("begin alone")
    time.sleep(0.02)
    told("end alone")
"""


def test_nothing_runs_beside_what_is_to_be_alone(tmp_path: Path) -> None:
    """Three workers, tests of all kinds: beside one that is alone runs nothing, beside one that needs Docker no other such."""
    pytest.importorskip("xdist")
    log = tmp_path / "log"
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    alone\n    docker\n")
    (tmp_path / "test_both.py").write_text(TESTS.format(log=str(log)))
    options = ["-p", "no:cacheprovider", "-p", "tests.conftest", "-n", "3", "--dist", "load", "--maxschedchunk=1"]
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), variables.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300)
    assert "37 passed" in done.stdout, done.stdout + done.stderr
    running: Counter[str] = Counter()
    for event in log.read_text().splitlines():
        verb, _, kind = event.partition(" ")
        running[kind] += 1 if verb == "begin" else -1
        assert running["alone"] == 0 or running.total() == 1, event
        assert running["engine"] <= 1, event
    assert running.total() == 0
