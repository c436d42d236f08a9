"""The connection to a Ray cluster: what is started and asked there, how it ends, and how it is refused."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray")

from bench.contract.cluster import address, connection
from bench.contract.cluster.address import LOCAL, check_reachable
from bench.contract.cluster.connection import Cluster
from bench.contract.cluster.node import node_facts
from bench.contract.errors import BadInput, NodeLost
from tests.bench.agents.test_agents import gone
from tests.bench.sockets import serving
from tests.ray.nodes import ray_nodes

pytestmark = [pytest.mark.integration, pytest.mark.alone]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(LOCAL) as local:
        yield local


def family() -> list[int]:
    """All processes below this one."""
    return [child.pid for child in psutil.Process().children(recursive=True)]


def test_an_object_on_a_node_is_asked_and_its_errors_are_its_own(cluster: Cluster) -> None:
    """As if it were here; what it returns is pickled."""
    third = cluster.start(cluster.own, Fraction, 1, 3)
    assert third.call("limit_denominator", 2) == Fraction(1, 2)
    with pytest.raises(AttributeError, match="no_such"):
        third.call("no_such")
    with pytest.raises(ZeroDivisionError):
        cluster.start(cluster.own, Fraction, 1, 0)
    third.end()
    with pytest.raises(NodeLost, match="it was ended"):
        third.call("limit_denominator", 2)


def test_a_node_says_what_it_is(cluster: Cluster) -> None:
    assert cluster.nodes == (cluster.own,)
    assert cluster.own.cpus_usable == tuple(sorted(os.sched_getaffinity(0)))
    assert cluster.own.python == sys.version.split()[0]
    assert cluster.version == version("ray")


def test_a_node_with_other_software_is_refused_with_both_versions(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence, which names node, package, and what to do."""
    there = node_facts()
    here = {**there, "packages": {**there["packages"], "numpy": "0.1"}}
    monkeypatch.setattr(connection, "node_facts", lambda: here)
    with pytest.raises(BadInput, match=rf"numpy {there['packages']['numpy']} on node .* and 0\.1 on this machine"):
        connection._check_alike(cluster.nodes, {cluster.own.id: there})


def test_what_is_no_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there, somebody else there, and Ray not installed."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(BadInput, match="seen none"):
            check_reachable(f"127.0.0.1:{nobody.getsockname()[1]}")
    with (
        serving(lambda web: web.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as other,
        pytest.raises(BadInput, match="not Ray"),
    ):
        check_reachable(f"{other.host}:{other.port}")
    monkeypatch.setattr(address, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"locks/ray\.lock"):
        check_reachable(LOCAL)


@pytest.mark.slow
def test_a_cluster_that_wants_a_token_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `ray start --head` wants one by itself where the user has one; Ray says no more than that it cannot connect."""
    with ray_nodes() as nodes, monkeypatch.context() as patch:
        patch.delenv("RAY_AUTH_MODE")
        with pytest.raises(BadInput, match=r"InvalidAuthToken.*set RAY_AUTH_MODE=token"):
            Cluster(nodes.address)


def test_nothing_is_left_of_a_local_one(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No program of Ray, no actor, no folder; in the home no token, which each later cluster would want."""
    monkeypatch.setenv("HOME", str(tmp_path))
    before = set(family())
    with Cluster(LOCAL) as other:
        folder = other._folder
        mine = sorted(set(family()) - before)
        assert len(mine) > 2
    assert gone(mine)
    assert not folder.exists()
    assert not list(tmp_path.rglob("*token*"))


@pytest.mark.slow
def test_where_the_process_that_has_ray_is_killed_ray_is_gone_in_words(cluster: Cluster) -> None:
    """Its programs end by themselves: some of Ray's look every half minute whether they are still wanted."""
    before = set(family())
    with Cluster(LOCAL) as other:
        folder = other._folder
        mine = sorted(set(family()) - before)
        os.kill(other._process.pid, signal.SIGKILL)
        with pytest.raises(NodeLost, match="Ray is gone: exit code -9"):
            other.start(other.own, threading.Event)
        assert not psutil.wait_procs([psutil.Process(pid) for pid in mine if psutil.pid_exists(pid)], timeout=90)[1]
    assert not folder.exists()


def test_an_actor_that_is_killed_is_lost_and_who_says_nothing_is_given_up(cluster: Cluster) -> None:
    """Within the time that the call has."""
    silent = cluster.start(cluster.own, threading.Event)
    with pytest.raises(NodeLost, match=r"node .* did not answer within 0\.5 s"):
        silent.call("wait", within_s=0.5)
    silent.end()
    parent = cluster.start(cluster.own, subprocess.Popen, ["sleep", "30"])
    child = psutil.Process(parent.call("__getattribute__", "pid"))
    os.kill(child.ppid(), signal.SIGKILL)
    with pytest.raises(NodeLost, match="died"):
        parent.call("poll")
    child.kill()
