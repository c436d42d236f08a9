"""Three real backends, one of them with a fault, measured side by side as a session would; on either engine."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bench.experiments.lane_builder
import bench.transports.connect
from bench.contract.cells import Cell
from bench.contract.records import Record, Samples, Verdict
from bench.contract.scenarios import Scenario
from bench.contract.system import Model
from bench.contract.wire import MultiplexedTransport
from bench.experiments.scenario_runner import Campaigns
from bench.load.connection_pool import ConnectionPool
from bench.load.scheduler import Settings
from bench.machine import idle_cpu
from bench.transports.http import HttpTransport
from bench.verification.payloads import PayloadFactory
from fixtures.engines.base import Engine, EngineSettings
from fixtures.engines.process import process_server
from fixtures.fleet.fleet import LocalFleet
from fixtures.specs.manifest import load_spec
from fixtures.specs.spec import BackendSpec
from tests.bench.scripted import WEIGHTS, little_dataset, little_model, plan_of

SINGLE = Scenario("single", batch_size=1)
SETTINGS = Settings(max_time_s=0.15, min_rounds=40)
DEADLINE_S = 1.0
"""Of an exchange: above what a busy machine holds up a healthy server."""
READY_S = 5.0
"""Until a server that never predicts is given up: above what a busy machine takes to start one and to be sure of it."""
HEALTHY = ("first", "second")
AS_WITHOUT_FAULT = (Verdict.VALID, Verdict.UNSTABLE, Verdict.OVERSUBSCRIBED)
"""What a noisy machine makes of a healthy server."""

MANIFEST = """
summary = "a server with a fault"
runtime = "none"
tuning = "nothing"
command = ["{{python}}", "faulty_server.py", "{{host}}", "{{port[8000]}}"]
[env]
FAULT = "{fault}"
FAULT_FROM = "{begin}"
[container]
build = true
[process]
[ready]
timeout_s = {ready_s}
[[endpoint]]
name = "raw"
protocol = "raw"
port = 8000
path = "/"
"""

Rows = dict[str, tuple[Record, Samples | None]]
"""What was recorded, by backend."""


def make_faulty(root: Path, name: str, fault: str = "", begin: int = 0, ready_s: float = 20.0) -> BackendSpec:
    """A backend's folder below `root`; without a fault it is healthy."""
    folder = root / "backends" / name
    folder.mkdir(parents=True)
    code = Path(__file__).with_name("faulty_server.py").read_text(encoding="utf-8")
    (folder / "faulty_server.py").write_text(code, encoding="utf-8")
    (folder / "backend.toml").write_text(MANIFEST.format(fault=fault, begin=begin, ready_s=ready_s), encoding="utf-8")
    return load_spec(folder / "backend.toml")


def little(root: Path) -> Model:
    """The model of `tests.bench.scripted`, in a file that the servers can read."""
    path = root / "model.json"
    path.write_text(json.dumps(WEIGHTS.tolist()), encoding="utf-8")
    path.chmod(0o644)
    return replace(little_model(), path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadlines of an exchange and of a server's end, which are 10 s and 4 s, and the 1.5 s of looking at who burns CPU.

    So that many faults fit into a minute.
    """
    monkeypatch.setattr(bench.transports.connect, "HttpTransport", partial(HttpTransport, deadline_s=DEADLINE_S))
    monkeypatch.setattr(bench.experiments.lane_builder, "ConnectionPool", _quick_pool)
    monkeypatch.setattr(idle_cpu, "_SETTLE_S", 0.05)
    monkeypatch.setattr(idle_cpu, "_WINDOW_S", 0.2)
    monkeypatch.setattr(process_server, "_TERM_S", 0.3)
    monkeypatch.setattr(process_server, "_TERM_REST_S", 0.1)


def _quick_pool(transports: Sequence[MultiplexedTransport[Any]], *, deadline_s: float, busy_poll_s: float) -> ConnectionPool:
    return ConnectionPool(transports, deadline_s=min(deadline_s, DEADLINE_S), busy_poll_s=busy_poll_s)


def measure(
    specs: list[BackendSpec],
    engine: Engine,
    settings: EngineSettings,
    model: Model,
    *,
    plan: Settings = SETTINGS,
    scenario: Scenario = SINGLE,
    emit: Callable[[Record, Samples | None], None] = lambda record, samples: None,
) -> Rows:
    """One campaign of all of them; the rows that it made."""
    rows: Rows = {}

    def keep(record: Record, samples: Samples | None) -> None:
        rows[record.backend] = record, samples
        emit(record, samples)

    cells = [Cell(spec.backend, spec.backend.endpoints[0], scenario) for spec in specs]
    asked = replace(plan_of(cells, plan, keep), client_cpu=min(os.sched_getaffinity(0)))
    with LocalFleet(specs, engine, model, settings) as fleet:
        Campaigns(asked, fleet, PayloadFactory(little_dataset(), model)).result(cells[0])
    return rows


def assert_unharmed(rows: Rows, settings: Settings = SETTINGS) -> None:
    """The healthy ones have their full time, all answers right, and a verdict that they would have had without the fault."""
    for name in HEALTHY:
        record, samples = rows[name]
        assert record.verdict in AS_WITHOUT_FAULT, (name, record.verdict, record.reason)
        assert record.errors == 0
        assert record.agreement == 1.0
        assert (record.measured_s or 0.0) >= settings.max_time_s
        assert samples is not None
        assert len(samples.duration_s) == record.exchanges > 0
