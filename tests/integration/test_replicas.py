"""Replicas of real servers: each instance has its share of the connections, every answer is right, to the report."""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pytest

from bench.contract.cells import Cell
from bench.contract.records import Verdict
from bench.experiments.replicas import replicas_scenario
from bench.load.scheduler import Progress
from bench.verification.probe import Probe
from fixtures.engines.process.process_server import ProcessServer
from fixtures.fleet.replica_set import ReplicaSet
from fixtures.specs.further_starts import replicated_specs
from fixtures.specs.spec import Seat
from tests.integration.house import SPECS, House, a_house, refuse_absence
from tests.integration.test_scaling import servebench

CPUS = sorted(os.sched_getaffinity(0))

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(len(CPUS) < 2, reason="one CPU is no two"),
]


@pytest.fixture(scope="module")
def house() -> House:
    """Of this module's tests."""
    return a_house()


@pytest.mark.parametrize("killed", [False, True], ids=["both live", "one is killed"])
def test_two_of_flask_and_one(house: House, killed: bool) -> None:
    """While they are measured each instance has half of the clients' connections, and works.

    Where one is killed, the row of its start is FAILED in words, and the other start's is not.
    """
    flask = SPECS["flask"]
    endpoint = next(each for each in flask.backend.endpoints if each.name == "raw")
    cells = [Cell(flask.backend, endpoint, replicas_scenario(count)) for count in (1, 2)]
    seen: list[Counter[int]] = []
    victims: list[int] = []
    with house.fleet(*replicated_specs([flask], [1, 2], [Seat((cpu,)) for cpu in CPUS])) as fleet:

        def watch(progress: Progress) -> None:
            if progress.step == "measure" and not seen:
                connections = psutil.Process().net_connections("tcp")
                seen.append(Counter(each.raddr.port for each in connections if each.raddr and each.status == "ESTABLISHED"))
                for pid in victims:
                    os.kill(pid, signal.SIGKILL)

        campaigns, records = house.campaigns(fleet, cells, watch)
        fleet.start([cell.server for cell in cells], Probe(house.factory, [1]))
        for cell in cells:
            refuse_absence(fleet.absent.get(cell.server))
        pair = fleet.running[cells[1].server]
        assert isinstance(pair, ReplicaSet)
        assert isinstance(pair.servers[1], ProcessServer)
        victims += [pair.servers[1].pid] if killed else []
        ports = [[each.port for each in system.endpoints["raw"].instances] for system in fleet.running.values()]
        for cell in cells:
            campaigns.result(cell)
        used = [usage.cpu_s for server in pair.servers if (usage := server.usage()) is not None]
    one, two = (records[cell.id] for cell in cells)
    assert [[seen[0][port] for port in each] for each in ports] == [[32], [16, 16]]
    assert (one.agreement, one.errors, one.replicas) == (1.0, 0, 1)
    assert one.answers_verified >= one.exchanges > 0
    if killed:
        assert two.verdict is Verdict.FAILED
        assert two.reason
        return
    assert not two.verdict.fails_test, two.reason
    assert (two.agreement, two.errors, two.replicas) == (1.0, 0, 2)
    assert two.answers_verified >= two.exchanges > 0
    assert len(used) == 2
    assert min(used) > 0.0


def test_as_a_user_measures_them(tmp_path: Path) -> None:
    """The client on the last of the two CPUs: what that means is told, and the report has the section and its picture."""
    cpus = f"--server-cpus={CPUS[0]},{CPUS[1]}"
    options = ("--benchmark-only", "--backend=flask", "-m", "replicas", "-k", "raw", "--replicas=1,2", cpus)
    servebench(*options, f"--client-cpu={CPUS[1]}", "--benchmark-max-time=0.5", f"--report-dir={tmp_path / 'out'}")
    folder = tmp_path / "out" / "latest"
    results = json.loads((folder / "results.json").read_text())
    cells = {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in results["cells"]}
    assert set(cells) == {f"{name}-replicas{count:02}" for name in ("flask-raw", "null-raw") for count in (1, 2)}
    one, two = cells["flask-raw-replicas01"], cells["flask-raw-replicas02"]
    assert (one["replicas"], one["cpu_efficiency"], two["replicas"]) == (1, 1.0, 2)
    assert two["cpu_efficiency_low"] <= two["cpu_efficiency"] <= two["cpu_efficiency_high"]
    assert "--replicas=2" in two["again"]
    assert (one["agreement"], two["agreement"]) == (1.0, 1.0)
    assert two["verdict"] == "OVERSUBSCRIBED"
    assert f"the client has CPU {CPUS[1]} as well" in two["reason"]
    instances = results["run"]["backends"]["flask-2replicas"]["instances"]
    assert [instances[number]["cpus"] for number in ("1", "2")] == [[CPUS[0]], [CPUS[1]]]
    for name in ("report.html", "report.md"):
        told = (folder / name).read_text()
        assert "Scaling with replicas" in told
        assert "With 2 replicas the client had a CPU that one of them has" in told
    assert (folder / "charts" / "replicas.svg").is_file()


def test_it_is_no_part_of_what_is_measured_by_default() -> None:
    """Nor of load or scaling: it takes a start of every server for each number."""
    listed = ("--benchmark-only", "--backend=flask", "--collect-only", "-q")
    for options in ((), ("-m", "load or scaling")):
        assert "test_replicas" not in servebench(*listed, *options)
    assert "test_replicas[flask-rest-replicas01]" in servebench(*listed, "-m", "replicas")
