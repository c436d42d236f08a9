"""Start-up as a user measures it, on the process engine: real starts of a real server, beside the one that runs."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_flask_is_started_twice_and_each_start_is_kept(tmp_path: Path) -> None:
    """Two rows in results.json, the same durations in pytest-benchmark's JSON, the section in both reports."""
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "tox.ini"), "-p", "no:cacheprovider", "-k", "test_startup"]
    command += ["--benchmark-only", "--engine=process", "--backend=flask", "--starts=2"]
    command += [f"--report-dir={tmp_path / 'out'}", f"--benchmark-json={tmp_path / 'benchmark.json'}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "out" / "latest"
    rows = json.loads((folder / "results.json").read_text())["run"]["startup"]
    assert [(row["backend"], row["engine"], row["repeat"], row["problem"]) for row in rows] == [
        ("flask", "process", 1, ""),
        ("flask", "process", 2, ""),
    ]
    for row in rows:
        assert row["ready_s"] is None, "flask has no word of its own"
        steps = [row["launch_s"], row["port_open_s"], row["first_answer_s"]]
        assert all(earlier < later for earlier, later in pairwise([0.0, *steps]))
        assert row["warm_s"] is None or row["warm_s"] > row["first_answer_s"]
        assert row["stop_s"] > 0
    (bench,) = json.loads((tmp_path / "benchmark.json").read_text())["benchmarks"]
    assert bench["name"] == "test_startup[flask]"
    assert bench["stats"]["data"] == [row["first_answer_s"] for row in rows]
    assert bench["extra_info"]["starts"] == rows
    for name in ("report.html", "report.md"):
        assert "Start-up" in (folder / name).read_text()
