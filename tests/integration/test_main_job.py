"""The main job as a user runs it, on the process engine: what it leaves agrees with itself, and one folder is a new backend."""

import csv
import json
import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.contract.records import Verdict
from bench.statistics.histogram import encode_latencies
from reports.store.store import load_run
from tests import sessions
from tests.integration.checkout import copy_checkout
from tests.sessions import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def servebench(root: Path, *arguments: str) -> None:
    done = sessions.run("--benchmark-only", "--engine=process", "--benchmark-max-time=0.4", *arguments, root=root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Single images of flask, and its start-up: the run's folder, and what pytest-benchmark wrote of it."""
    here = tmp_path_factory.mktemp("session")
    theirs = here / "benchmark.json"
    options = ["--backend=flask", "-k", "single or startup", "-m", "not replay", "--starts=2"]
    servebench(ROOT, *options, f"--report-dir={here / 'out'}", f"--benchmark-json={theirs}")
    return (here / "out" / "latest").resolve(), json.loads(theirs.read_text())["benchmarks"]


def test_durations_are_the_same_wherever_they_stand(session: tuple[Path, list[dict[str, Any]]]) -> None:
    """pytest-benchmark's JSON holds the very durations of samples.npz; throughput recomputed from them is results.csv's."""
    run, every = session
    samples = np.load(run / "samples.npz")
    machine = json.loads((run / "results.json").read_text())["environment"]
    assert machine["cpus_usable"] == sorted(os.sched_getaffinity(0)), "the machine's, not those that the client is pinned to"
    with (run / "results.csv").open(newline="") as file:
        rows = {f"{row['backend']}-{row['endpoint']}-{row['scenario']}": row for row in csv.DictReader(file)}
    benchmarks = [bench for bench in every if bench["name"].startswith("test_throughput")]
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


def test_flask_is_started_twice_and_each_start_is_kept(session: tuple[Path, list[dict[str, Any]]]) -> None:
    """Beside the one that runs: two rows, the same durations in pytest-benchmark's JSON, the section in both reports."""
    run, every = session
    rows = json.loads((run / "results.json").read_text())["run"]["startup"]
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
    (bench,) = [bench for bench in every if bench["name"] == "test_startup[flask]"]
    assert bench["stats"]["data"] == [row["first_answer_s"] for row in rows]
    assert bench["extra_info"]["starts"] == rows
    for name in ("report.html", "report.md"):
        assert "Start-up" in (run / name).read_text()


@pytest.mark.parametrize(
    ("agents", "scenarios"), [(0, {"c01", "c04", "poisson40", "slo200ms"}), (2, {"c04", "poisson40"}), ("auto", {"c01", "c04"})]
)
def test_latencies_under_load_survive_the_results_files(tmp_path: Path, agents: int | str, scenarios: set[str]) -> None:
    """Several clients, an open loop, a search: each cell's histogram is that of its durations, also where processes sent."""
    which = " or ".join(f"flask-raw-{scenario}" for scenario in scenarios)
    options = ["--backend=flask", "-k", which, "-m", "load", "--clients=1,4", "--loads=40%", "--slo=200ms"]
    options += [f"--agents={agents}"] if agents else []
    servebench(ROOT, *options, f"--report-dir={tmp_path / 'out'}")
    stored = load_run((tmp_path / "out" / "latest").resolve())
    cells = {record.scenario: record for record in stored.records if record.backend == "flask"}
    known = stored.run.environment.get("agents", {})
    assert set(cells) == scenarios
    for record in cells.values():
        assert record.verdict not in (Verdict.FAILED, Verdict.WRONG_ANSWERS), record.reason
        assert record.latency_hdr == encode_latencies(stored.samples[record.id].duration_s)
        assert record.agreement == 1.0
        assert record.agents == (min(len(known), record.concurrency) or None)
    assert {facts["lost"] for facts in known.values()} <= {None}
    tried = stored.run.environment.get("null_requests_per_s_by_agents", {})
    assert len(known) in (map(int, tried) if agents == "auto" else [agents])
    assert all(rate > 0 for rate in tried.values())
    assert stored.run.options["agents"] == agents
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
    servebench(copy, "--backend=just-dropped", "-k", "dropped", "--starts=1", f"--report-dir={tmp_path / 'out'}")
    cells = json.loads((tmp_path / "out" / "latest" / "results.json").read_text())["cells"]
    dropped = {cell["scenario"]: cell for cell in cells if cell["backend"] == "dropped"}
    assert set(dropped) == {"accuracy", "single", "batch128"}
    for cell in dropped.values():
        assert cell["agreement"] == 1.0
        assert cell["verdict"] not in ("FAILED", "WRONG_ANSWERS", "NOT_MEASURED"), cell["reason"]
