"""The main job as a user runs it, on the process engine: what it leaves agrees with itself, and one folder is a new backend."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.contract.records import Verdict
from bench.statistics.histogram import encode_latencies, merge
from reports.store.store import load_run
from tests.integration.checkout import ROOT, copy_checkout

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def servebench(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-c", str(root / "tox.ini"), f"--rootdir={root}", "-p", "no:cacheprovider"]
    command += ["--benchmark-only", "--engine=process", "--benchmark-max-time=0.4", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_durations_are_the_same_wherever_they_stand(tmp_path: Path) -> None:
    """pytest-benchmark's JSON holds the very durations of samples.npz; throughput recomputed from them is results.csv's."""
    out, theirs = tmp_path / "out", tmp_path / "benchmark.json"
    options = [
        "--backend=flask",
        "-k",
        "single",
        "-m",
        "not replay",
        f"--report-dir={out}",
        f"--benchmark-storage={tmp_path / 'storage'}",
    ]
    servebench(ROOT, *options, f"--benchmark-json={theirs}", "--benchmark-autosave")
    run = (out / "latest").resolve()
    samples = np.load(run / "samples.npz")
    machine = json.loads((run / "results.json").read_text())["environment"]
    assert machine["cpus_usable"] == sorted(os.sched_getaffinity(0)), "the machine's, not those that the client is pinned to"
    with (run / "results.csv").open(newline="") as file:
        rows = {f"{row['backend']}-{row['endpoint']}-{row['scenario']}": row for row in csv.DictReader(file)}
    benchmarks = json.loads(theirs.read_text())["benchmarks"]
    assert {bench["param"] for bench in benchmarks} == {
        "flask-rest-single",
        "flask-raw-single",
        "null-v1-json-single",
        "null-raw-single",
        "reference-in-process-single",
    }
    for bench in benchmarks:
        durations = samples[f"{bench['param']}/duration_s"]
        assert bench["stats"]["data"] == durations.tolist()
        row = rows[bench["param"]]
        assert float(row["images_per_s"]) == pytest.approx(len(durations) * int(row["batch_size"]) / durations.sum(), rel=1e-9)
        assert bench["extra_info"]["images_per_s"] == pytest.approx(float(row["images_per_s"]))
        assert bench["extra_info"]["verdict"] == row["verdict"]
    servebench_again = servebench(ROOT, *options, "--benchmark-compare")
    assert "Comparing against benchmarks from:" in servebench_again
    assert "(0001_" in servebench_again, "the table shows the saved run beside this one"


@pytest.mark.parametrize("agents", [0, 2])
def test_latencies_under_load_survive_the_results_files(tmp_path: Path, agents: int) -> None:
    """Several clients, an open loop and a search: each cell's histogram is that of its raw durations, also when merged.

    And where several processes sent.
    """
    options = ["--backend=flask", "-k", "flask-raw", "-m", "load", "--clients=1,4", "--loads=40%", "--slo=200ms"]
    options += [f"--agents={agents}"] if agents else []
    servebench(ROOT, *options, f"--report-dir={tmp_path / 'out'}")
    stored = load_run((tmp_path / "out" / "latest").resolve())
    cells = {record.scenario: record for record in stored.records if record.backend == "flask"}
    assert set(cells) == {"c01", "c04", "poisson40", "slo200ms"}
    for record in cells.values():
        assert record.verdict not in (Verdict.FAILED, Verdict.WRONG_ANSWERS), record.reason
        assert record.latency_hdr == encode_latencies(stored.samples[record.id].duration_s)
        assert record.agreement == 1.0
        assert record.agents == (min(agents, record.concurrency) or None)
    known = stored.run.environment.get("agents", {})
    assert [facts["lost"] for facts in known.values()] == [None] * agents
    assert stored.run.options["agents"] == agents
    merged = merge([record.latency_hdr or "" for record in cells.values()])
    assert merged == encode_latencies(np.concatenate([stored.samples[record.id].duration_s for record in cells.values()]))
    assert "Under load" in (tmp_path / "out" / "latest" / "report.md").read_text()


DROPPED_TOML = """
summary = "dropped in by a test"
runtime = "onnxruntime"
tuning = "nothing"
sets = ["just-dropped"]
shared = ["serving"]
command = ["{python}", "-m", "uvicorn", "--host", "{host}", "--port", "{port[8000]}", "server:app"]
[process]
requirements = "requirements.txt"
[[endpoint]]
name = "raw"
protocol = "raw"
port = 8000
path = "/ask"
"""
DROPPED_SERVER = """
from serving import wire
from serving.fastapi_app import Route, create_app
from serving.onnx_model import OnnxModel

model = OnnxModel()
app = create_app({"/ask": Route(lambda body: wire.write_raw(model.run(wire.read_raw(model.signature, body))), wire.RAW)})
"""


def test_a_new_backend_is_one_folder(tmp_path: Path) -> None:
    """A folder dropped into a copy of the project is found, selected by its own set, started, measured and right."""
    copy = tmp_path / "copy"
    copy_checkout(copy)
    folder = copy / "fixtures" / "backends" / "dropped"
    folder.mkdir()
    (folder / "backend.toml").write_text(DROPPED_TOML)
    (folder / "server.py").write_text(DROPPED_SERVER)
    shutil.copy(ROOT / "fixtures" / "backends" / "fastapi" / "requirements.txt", folder)  # an environment that is there already
    servebench(copy, "--backend=just-dropped", "--starts=1", f"--report-dir={tmp_path / 'out'}")
    cells = json.loads((tmp_path / "out" / "latest" / "results.json").read_text())["cells"]
    dropped = {cell["scenario"]: cell for cell in cells if cell["backend"] == "dropped"}
    assert set(dropped) == {"accuracy", "single", "batch128"}
    for cell in dropped.values():
        assert cell["agreement"] == 1.0
        assert cell["verdict"] not in ("FAILED", "WRONG_ANSWERS", "NOT_MEASURED"), cell["reason"]
