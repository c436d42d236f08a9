"""Ray nodes in network namespaces of this machine: agents that reach head and server over a link of their own."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

pytest.importorskip("ray")

from bench.agents.ray_place import RayPlace, agent_nodes
from bench.contract.cluster.connection import Cluster
from bench.load.scheduler import Settings
from tests.bench.agents.test_agents import CPUS, NICENESS, WARM_UP_WINDOWS, Watched, gone, measured
from tests.ray.nodes import Nodes, ray_nodes
from tests.ray.test_ray_agents import PATIENCE_S, SCENARIOS, checked

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.alone]

BRIDGE = "sbray0"
HERE = "10.203.77.1"
ENDS_S = 60.0  # of an agent whose driver is out of reach


def done(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def links(number: int) -> Iterator[list[tuple[str, str]]]:
    """Names and addresses of so many namespaces on a bridge of this machine, a millisecond away where the kernel can."""
    with ExitStack() as stack:
        stack.callback(done, "ip", "link", "del", BRIDGE)
        if not (done("ip", "link", "add", BRIDGE, "type", "bridge") and done("ip", "addr", "add", f"{HERE}/24", "dev", BRIDGE)):
            pytest.skip("this user may not make a bridge")
        done("ip", "link", "set", BRIDGE, "up")
        made = []
        for place in range(1, number + 1):
            name, ip = f"sbray{place}", f"10.203.77.{place + 1}"
            stack.callback(done, "ip", "netns", "del", name)
            if not done("ip", "netns", "add", name):
                pytest.skip("this user may not make a network namespace")
            stack.callback(done, "ip", "link", "del", f"{name}h")
            inside = ("ip", "-n", name)
            assert done("ip", "link", "add", f"{name}h", "type", "veth", "peer", "name", "e0", "netns", name)
            assert done("ip", "link", "set", f"{name}h", "master", BRIDGE, "up")
            assert done(*inside, "addr", "add", f"{ip}/24", "dev", "e0")
            assert done(*inside, "link", "set", "e0", "up")
            assert done(*inside, "link", "set", "lo", "up")
            done("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "e0", "root", "netem", "delay", "1ms")
            made.append((name, ip))
        yield made


@contextmanager
def apart() -> Iterator[tuple[Nodes, list[str]]]:
    """A head here and two nodes, each in a namespace, whose names these are."""
    with links(2) as made, ray_nodes(HERE) as nodes:
        for name, ip in made:
            nodes.join(ip=ip, within=("ip", "netns", "exec", name))
        yield nodes, [name for name, _ in made]


def test_agents_in_namespaces_measure_a_server_over_their_links() -> None:
    """Closed and open loop; every answer is verified, and clocks are known to a part of the round trip."""
    with (
        apart() as (nodes, _),
        Cluster(nodes.address) as cluster,
        Watched(2, RayPlace(cluster, agent_nodes(cluster, servers_at_home=False), CPUS[:1], CPUS[-1], NICENESS), 5.0) as crew,
    ):
        for scenario in SCENARIOS:
            record = measured(crew, scenario, host=HERE)
            checked(record, 2)
            assert record.clock_uncertainty_s is not None
        assert {agent.started.address[0] for agent in crew.agents} == {"10.203.77.2", "10.203.77.3"}


def test_a_cut_link_costs_windows_and_what_is_behind_it_ends_by_itself() -> None:
    """The agent behind it is named, and is gone some time after it last reached its driver."""
    with (
        apart() as (nodes, names),
        Cluster(nodes.address) as cluster,
        Watched(
            2, RayPlace(cluster, agent_nodes(cluster, servers_at_home=False), CPUS[:1], CPUS[-1], NICENESS), PATIENCE_S
        ) as crew,
    ):
        cut = next(agent for agent in crew.agents if agent.started.address[0] == "10.203.77.2")

        def run() -> None:
            while len(crew.windows) < WARM_UP_WINDOWS + 2:
                time.sleep(0.01)
            done("ip", "link", "set", f"{names[0]}h", "down")

        thread = threading.Thread(target=run)
        thread.start()
        record = measured(crew, SCENARIOS[0], settings=Settings(max_time_s=2.5), host=HERE)
        thread.join()
        (loss,) = crew.losses()
        assert f"agent {cut.number} (pid {cut.started.pid} on " in loss
        assert "froze" in loss
        checked(record, 1)
        assert gone([cut.started.pid], ENDS_S)
