"""Agents behind a link of their own, each on a Ray node in a network namespace, which reach head and server over it."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("ray")

from bench.agents.ray_place import RayPlace, agent_nodes
from bench.contract.cluster.connection import Cluster
from bench.contract.scenarios import Arrival
from bench.load.open_loop import schedule
from bench.load.scheduler import Settings
from tests.bench.agents.test_agents import CPUS, NICENESS, WARM_UP_WINDOWS, Watched, gone, measured, sending
from tests.bench.agents.test_shares import CRITICAL, distance
from tests.bench.sockets import answering, ok, serving
from tests.ray.namespaces import HERE, apart
from tests.ray.test_ray_agents import PATIENCE_S, SCENARIOS, checked

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.alone]

RATE_PER_S, LENGTH_S = 100.0, 20.0
ENDS_S = 60.0  # of an agent whose driver is out of reach


def place(cluster: Cluster) -> RayPlace:
    return RayPlace(cluster, agent_nodes(cluster, servers_at_home=False), CPUS[-1], NICENESS)


def test_agents_in_namespaces_measure_a_server_over_their_links() -> None:
    """Closed and open loop; every answer is verified, and clocks are known to a part of the round trip."""
    with (
        apart(1, 1) as (nodes, links),
        Cluster(nodes.address) as cluster,
        Watched(2, place(cluster), 5.0) as crew,
    ):
        for scenario in SCENARIOS:
            record = measured(crew, scenario, host=HERE)
            checked(record, 2)
            assert record.clock_uncertainty_s is not None
        assert {agent.started.address[0] for agent in crew.agents} == {link.ip for link in links}


def test_agents_beside_servers_keep_off_their_cpus() -> None:
    """As far as there are others."""
    with apart(1, 2) as (nodes, links), Cluster(nodes.address) as cluster:
        behind = {node.ip: node for node in cluster.nodes}
        cluster.serving.update({behind[link.ip].id: tuple(CPUS[-1:]) for link in links})
        agents = place(cluster)
        started = [agents.start(number, 3) for number in (1, 2, 3)]
        assert [each.cpu for each in started] == [CPUS[0]] * 3
        cluster.serving[behind[links[0].ip].id] = tuple(CPUS)
        assert agents.start(1, 1).cpu == CPUS[-1]


def test_what_three_agents_send_together_is_one_poisson_process() -> None:
    """As it was sent, a millisecond away; with one agent's sent twice it is none. Figures are those of all samples."""
    plan = schedule(Arrival.POISSON, RATE_PER_S, lead_in_s=0.1, window_s=LENGTH_S, rng=np.random.default_rng(8))
    with (
        apart(1, 2) as (nodes, _),
        Cluster(nodes.address) as cluster,
        serving(answering(ok), host=HERE) as endpoint,
        Watched(3, place(cluster), 5.0) as crew,
        sending(crew, endpoint) as sender,
    ):
        done = sender.schedule(iter(()), plan, connections=6)
    assert done.error is None
    (parts,) = crew.windows
    traces = [part.samples.arrays["trace"] for part in parts]
    sent = [trace[:, 1] for trace in traces]
    assert len(sent) == 3
    assert distance(np.concatenate(sent), RATE_PER_S) < CRITICAL
    assert distance(np.concatenate([*sent, sent[1] + 0.0005]), RATE_PER_S * 4 / 3) > CRITICAL
    together = np.concatenate(traces)
    timed = (together[:, 0] >= plan.lead_in_s) & (together[:, 0] < plan.lead_in_s + plan.window_s)
    latency_s = (together[:, 2] - together[:, 0])[timed]
    assert np.percentile(done.duration_s, [50, 99, 99.9]).tolist() == np.percentile(latency_s, [50, 99, 99.9]).tolist()


def test_a_cut_link_costs_windows_and_what_is_behind_it_ends_by_itself() -> None:
    """The agent behind it is named, and is gone some time after it last reached its driver."""
    with (
        apart(1, 1) as (nodes, links),
        Cluster(nodes.address) as cluster,
        Watched(2, place(cluster), PATIENCE_S) as crew,
    ):
        cut = next(agent for agent in crew.agents if agent.started.address[0] == links[0].ip)

        def run() -> None:
            while len(crew.windows) < WARM_UP_WINDOWS + 2:
                time.sleep(0.01)
            links[0].cut()

        thread = threading.Thread(target=run)
        thread.start()
        record = measured(crew, SCENARIOS[0], settings=Settings(max_time_s=2.5), host=HERE)
        thread.join()
        (loss,) = crew.losses()
        assert f"agent {cut.number} (pid {cut.started.pid} on " in loss
        assert "froze" in loss
        checked(record, 1)
        assert gone([cut.started.pid], ENDS_S)
