"""The Ray engine on two nodes of this machine: servers run on the other node, and nothing of them is left there."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray")

from bench.contract.cluster.connection import Cluster
from bench.contract.errors import BackendFailed, BackendUnavailable
from fixtures.engines.ray import keeper
from fixtures.engines.ray.ray_engine import RayEngine, server_nodes
from fixtures.engines.ray.ray_server import RayServer
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.run_identity import RUN_VARIABLE
from fixtures.specs.spec import Seat
from tests.bench.agents.test_agents import gone
from tests.fixtures.tiny import ask, make_model, make_settings, make_tiny, probe, ready
from tests.ray.nodes import Nodes, program, ray_nodes

ROOT = Path(__file__).parents[2]
OTHER = "127.0.0.2"
CPUS = sorted(os.sched_getaffinity(0))

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A head, which is the suite's, and the node that servers run on, whose cache is its own."""
    with ray_nodes() as nodes, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        nodes.join(ip=OTHER, cpus=len(CPUS))
        yield nodes


@pytest.fixture(scope="module")
def cluster(nodes: Nodes) -> Iterator[Cluster]:
    """Connected to, once both nodes are there."""
    with Cluster(nodes.address) as cluster:
        yield cluster


@pytest.fixture
def told() -> list[str]:
    """What the engine said."""
    return []


@pytest.fixture
def engine(cluster: Cluster, tmp_path: Path, told: list[str]) -> Iterator[RayEngine]:
    """Of a new run, closed at the end."""
    engine = RayEngine(make_settings(tmp_path / "cache", told.append, ()), cluster)
    yield engine
    engine.close()


def keepers() -> set[int]:
    """Processes that keep watch over an actor's servers."""
    return {each.pid for each in psutil.process_iter(["cmdline"]) if keeper.__name__ in (each.info["cmdline"] or ())}


def folders() -> set[str]:
    """Servers' own folders, on this machine and so on all of these nodes."""
    return {
        path.name for path in Path(tempfile.gettempdir()).glob("servebench-*") if not path.name.startswith("servebench-ray")
    }


def started(engine: RayEngine, root: Path) -> RayServer:
    spec = make_tiny(root)
    engine.prepare(spec)
    return ready(engine.start(spec, make_model(root)))


def test_a_server_runs_on_the_other_node(engine: RayEngine, cluster: Cluster, tmp_path: Path) -> None:
    """With its files, the model and a clean environment; it is asked at its node's address, and what it uses is known here."""
    (place,) = server_nodes(cluster)
    assert cluster.own.ip != place.ip == OTHER
    before = folders()
    server = started(engine, tmp_path)
    seen = ask(server)
    assert {endpoint.host for endpoint in server.endpoints.values()} == {OTHER}
    assert (seen["model"], seen["shared"], seen["cpus"]) == ("the model", "shared file", CPUS[:1])
    assert not any(name.startswith("RAY_") for name in seen["env"])
    facts = server.facts
    assert facts.instances == {
        "1": {"node": place.name, "addresses": [f"{OTHER}:{server.endpoints['rest'].port}"], "cpus": CPUS[:1]}
    }
    assert (facts.server_cpus, facts.cpus_here) == ((CPUS[0],), (CPUS[0],)), "this machine is each of its nodes"
    assert facts.versions is not None
    assert place.id in cluster.serving
    usage = server.usage()
    assert usage is not None
    assert usage.threads >= 1
    assert (server.peak_memory_bytes() or 0) > 1_000_000
    used = server.resource_usage()
    assert used is not None
    assert used.processes == 1
    assert engine.owned_count() == 1
    assert "tiny: mode" in server.log_tail()
    assert server.status() == f"process {seen['pid']} runs"
    server.pause()
    assert psutil.Process(seen["pid"]).status() == psutil.STATUS_STOPPED
    server.resume()
    probe(server)
    assert server.is_alive()
    server.stop()
    assert gone([seen["pid"]])
    assert engine.owned_count() == 0
    assert folders() == before


def test_several_of_one_are_a_replica_set(engine: RayEngine, cluster: Cluster, tmp_path: Path, told: list[str]) -> None:
    """Each started on the node, prepared once; where they are is known."""
    tiny = replace(make_tiny(tmp_path), replicas=(Seat((CPUS[0],)), Seat((CPUS[-1],))))
    with LocalFleet([tiny], engine, make_model(tmp_path), make_settings(tmp_path / "cache", told.append, ())) as fleet:
        fleet.start(["tiny"], probe)
        assert fleet.absent == {}
        system = fleet.running["tiny"]
        instances = system.facts.instances
        assert instances is not None
        assert [instances[number]["cpus"] for number in ("1", "2")] == [[CPUS[0]], [CPUS[-1]]]
        assert {instances[number]["node"] for number in ("1", "2")} == {server_nodes(cluster)[0].name}
        assert len({each.port for each in system.endpoints["rest"].instances}) == 2


def test_what_cannot_run_there_says_why(engine: RayEngine, tmp_path: Path) -> None:
    """In the words of the node's engine; CPUs that it has not are named with those that it has."""
    crashing = make_tiny(tmp_path, name="crashing", mode="crash")
    engine.prepare(crashing)
    with pytest.raises(BackendFailed, match="boom, the model is missing"):
        ready(engine.start(crashing, make_model(tmp_path)))
    with pytest.raises(BackendUnavailable, match=r"servers may have CPUs .*, and not all of 9999"):
        engine.prepare(replace(make_tiny(tmp_path, name="wide"), cpus=(9999,)))
    unbuildable = make_tiny(tmp_path, name="unbuildable", requirements="no-such-package-of-servebench==1\n")
    with pytest.raises(BackendUnavailable, match="its virtual environment could not be built"):
        engine.prepare(unbuildable)


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_an_actor_that_is_lost_takes_its_servers_along(
    engine: RayEngine, tmp_path: Path, what: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are down in words, nobody waits for it twice, and of what it had started nothing is left."""
    monkeypatch.setattr("fixtures.engines.ray.ray_server.ASK_S", 2.0)
    before = keepers()
    server = started(engine, tmp_path)
    pid = ask(server)["pid"]
    watching = keepers() - before
    assert len(watching) == 1
    actor = psutil.Process(pid).ppid()
    os.kill(actor, what)
    assert not server.is_alive()
    assert "it ran on node" in server.log_tail()
    assert "which is lost" in server.status()
    assert server.usage() is None
    with pytest.raises(BackendFailed, match="cannot pause: it ran on node"):
        server.pause()
    engine.close()
    assert gone([pid, actor, *watching])


def test_a_driver_that_is_killed_leaves_nothing(nodes: Nodes, tmp_path: Path) -> None:
    """No server, no actor, no keeper, no folder, though nobody was told to stop them."""
    before, had = keepers(), folders()
    command = [sys.executable, "-m", "tests.standins.ray_server_driver", nodes.address, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline())
        actor, watching = psutil.Process(pid).ppid(), keepers() - before
        assert psutil.Process(pid).environ()[RUN_VARIABLE]
        driver.kill()
    assert gone([pid, actor, *watching])
    assert folders() == had


def test_a_node_that_goes_takes_its_servers_along(nodes: Nodes, engine: RayEngine, tmp_path: Path) -> None:
    """The last of these tests: its cluster has one node less from then on."""
    server = started(engine, tmp_path)
    pid, watching = ask(server)["pid"], keepers()
    program(nodes.started[1], "raylet").kill()
    assert gone([pid, *watching])
    assert not server.is_alive()
    assert "which is lost" in server.log_tail()
    server.stop()
