"""Docker's daemon is restarted, or hangs, in mid-campaign: a second daemon of the test's own, and real containers."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from bench.contract.cells import Cell
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import ACCURACY, Scenario
from bench.contract.system import Model
from bench.experiments.scenario_runner import Campaigns
from bench.load.scheduler import Progress, Settings
from fixtures.engines.base import EngineSettings
from fixtures.engines.docker import docker as docker_module
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.run_identity import RUN_LABEL, Owner
from fixtures.selection import BACKENDS
from fixtures.specs.manifest import load_spec
from fixtures.specs.spec import BackendSpec
from reports.store.store import RunStore, load_run
from tests.bench.scripted import Ears, little_factory, plan_of
from tests.faults.own_daemon import OwnDaemon, own_daemon
from tests.faults.three import AS_WITHOUT_FAULT, make_faulty
from tests.fixtures.launching import an_engine
from tests.fixtures.tiny import make_settings
from tests.reports.records import a_run

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("quick", "buildable")]

SETTINGS = Settings(max_time_s=0.3, min_rounds=20)
FIRST, SECOND = ACCURACY, Scenario("single", batch_size=1)
SERVERS = ("first", "second", "third")
CALL_S = 2.0
DIED = r"(?s)the server died(; the last error: |, though no exchange failed).*log's end:.*container exited, exit code \d+"


@pytest.fixture
def specs(tmp_path: Path) -> list[BackendSpec]:
    """Three servers in containers, and the reference, which needs none."""
    return [*(make_faulty(tmp_path, name) for name in SERVERS), load_spec(BACKENDS / "reference" / "backend.toml")]


@pytest.fixture(scope="module")
def ready(
    client: docker.DockerClient, cache: Path, buildable: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnDaemon]:
    """A daemon that has the images: built by the machine's own engine, and what they stand on."""
    root = tmp_path_factory.mktemp("daemon")
    settings = make_settings(cache, print)
    with an_engine(settings) as engine:
        for name in SERVERS:
            engine.prepare(make_faulty(root, name))
        images = [engine._images.base_reference("test"), *(engine._prepared[name].reference for name in SERVERS)]
    with own_daemon(root) as daemon:
        daemon.take(images, client)
        yield daemon


@pytest.fixture
def daemon(ready: OwnDaemon, monkeypatch: pytest.MonkeyPatch) -> OwnDaemon:
    """What the suite takes for its engine."""
    monkeypatch.setenv("DOCKER_HOST", ready.address)
    return ready


def measure(
    specs: list[BackendSpec],
    settings: EngineSettings,
    model: Model,
    out: Path,
    fault: Callable[[], None],
    mended: Callable[[], None] = lambda: None,
) -> dict[str, Record]:
    """Two campaigns, the fault between two slices of the second, mended at its end; by cell, what the run's folder has."""
    cells = {
        scenario: [Cell(spec.backend, spec.backend.endpoints[0], scenario) for spec in specs] for scenario in (FIRST, SECOND)
    }
    store = RunStore(out, a_run(), "bench-1")
    due = [fault]

    class Harming(Ears):
        def progress(self, name: str) -> Callable[[Progress], None]:
            def told(now: Progress) -> None:
                if name == SECOND.name and now.step == "measure" and now.done_fraction > 0.3 and due:
                    due.pop()()

            return told

    plan = plan_of([*cells[FIRST], *cells[SECOND]], SETTINGS, store.add)
    plan = replace(plan, client_cpu=min(os.sched_getaffinity(0)), listener=Harming(store.add))
    with an_engine(settings) as engine, LocalFleet(specs, engine, model, settings) as fleet:
        campaigns = Campaigns(plan, fleet, little_factory())
        campaigns.result(cells[FIRST][0])
        assert store.folder is not None
        before = {record.id: record for record in load_run(store.folder).records}
        campaigns.result(cells[SECOND][0])
        mended()
    assert not due, "the fault came"
    records = {record.id: record for record in load_run(store.folder).records}
    assert records.items() >= before.items(), "what was recorded before stands"
    assert {record.verdict for record in before.values()} == {Verdict.VALID}
    return records


def assert_measured(record: Record) -> None:
    """In full, and as without the fault."""
    assert record.verdict in AS_WITHOUT_FAULT, (record.id, record.verdict, record.reason)
    assert record.errors == 0
    assert record.measured_s >= SETTINGS.max_time_s
    assert record.agreement == 1.0


def left_of(daemon: OwnDaemon, run_id: str) -> list[str]:
    """What of a run the engine still has."""
    filters: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={run_id}"}
    with daemon.client() as client:
        places = [*client.networks.list(filters=filters), *client.volumes.list(filters=filters)]
        return [str(each.id) for each in [*client.containers.list(all=True, filters=filters, ignore_removed=True), *places]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_daemon_costs_the_containers_alone(
    daemon: OwnDaemon, specs: list[BackendSpec], settings: EngineSettings, model: Model, tmp_path: Path, number: signal.Signals
) -> None:
    """It ends them all: FAILED, with what was timed before; who is in no container is measured; nothing is left with it."""

    def restart() -> None:
        daemon.signal(number)
        daemon.start()

    rows = measure(specs, settings, model, tmp_path / "out", restart)
    for name in SERVERS:
        record = rows[f"{name}-raw-{SECOND.name}"]
        assert record.verdict is Verdict.FAILED
        assert re.search(DIED, record.reason), record.reason
        assert record.exchanges > 0
    assert_measured(rows[f"reference-in-process-{SECOND.name}"])
    assert left_of(daemon, settings.run.id) == []


def test_a_restart_that_leaves_the_containers_running_changes_nothing(
    daemon: OwnDaemon, specs: list[BackendSpec], settings: EngineSettings, model: Model, tmp_path: Path
) -> None:
    """Where it has live-restore: all rows as without, also those whose health is looked at while it is away."""
    daemon.signal(signal.SIGTERM)
    daemon.start("--live-restore")
    rows = measure(specs, settings, model, tmp_path / "out", lambda: daemon.signal(signal.SIGTERM), daemon.start)
    for record in rows.values():
        if record.scenario == SECOND.name:
            assert_measured(record)
    assert left_of(daemon, settings.run.id) == []


def test_a_daemon_that_hangs_costs_the_end_some_seconds(
    daemon: OwnDaemon,
    specs: list[BackendSpec],
    settings: EngineSettings,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Servers answer without it: all rows as without. At the end one call waits for its time-out, others less; it is told."""
    monkeypatch.setattr(docker_module, "_CALL_TIMEOUT_S", CALL_S)
    monkeypatch.setattr(docker_module, "_HUNG_TIMEOUT_S", 0.2)
    dead = replace(settings, run=replace(settings.run, owner=Owner(settings.run.owner.pid, 0)))
    rows = measure(specs, dead, model, tmp_path / "out", lambda: daemon.signal(signal.SIGSTOP))
    for record in rows.values():
        if record.scenario == SECOND.name:
            assert_measured(record)
    said = capsys.readouterr().out
    for name in SERVERS:
        assert re.search(rf"{name}: its container could not be removed: .*timed out.*; the next run sweeps it", said), said
    daemon.signal(signal.SIGCONT)
    assert left_of(daemon, dead.run.id) != []
    until = time.monotonic() + 30
    while left_of(daemon, dead.run.id) and time.monotonic() < until:  # it may still be at what it was asked while it hung
        with an_engine(settings) as engine:
            engine.sweep()
    assert left_of(daemon, dead.run.id) == []
