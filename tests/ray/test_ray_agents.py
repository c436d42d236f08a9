"""Load agents on Ray nodes: they measure what agents of this machine measure, and what is lost of them costs windows alone."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("ray")

from bench.agents.ray_place import RayPlace, agent_nodes, ray_facts
from bench.contract.cluster.connection import Cluster
from bench.contract.errors import BadInput
from bench.contract.records import Record
from bench.contract.scenarios import Arrival, Scenario
from bench.experiments.clients import clients_scenario
from bench.experiments.open_loop import open_loop_scenario
from bench.load.open_loop import schedule
from bench.load.scheduler import Settings
from tests.bench.agents.test_agents import CPUS, NICENESS, WARM_UP_WINDOWS, Watched, gone, measured, sending
from tests.bench.sockets import answering, ok, serving
from tests.ray.nodes import Nodes, program, ray_nodes

pytestmark = [pytest.mark.integration, pytest.mark.alone]

PATIENCE_S = 3.0
SCENARIOS = [clients_scenario(4), open_loop_scenario(Arrival.POISSON, rate_per_s=200)]
DRIVER = Path(__file__).parents[1] / "standins" / "ray_driver.py"


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head, and two nodes with a CPU for an agent each."""
    with ray_nodes() as started:
        started.join()
        started.join()
        yield started


@pytest.fixture(scope="module")
def cluster(nodes: Nodes) -> Iterator[Cluster]:
    with Cluster(nodes.address) as connected:
        yield connected


def place(cluster: Cluster) -> RayPlace:
    return RayPlace(cluster, agent_nodes(cluster, servers_at_home=True), CPUS[-1], NICENESS)


def checked(record: Record, agents: int) -> None:
    assert not record.verdict.fails_test, record.reason
    assert record.agents == agents
    assert record.agreement == 1.0
    assert record.answers_verified > record.exchanges > 0


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_cell_is_measured_by_agents_on_two_nodes(cluster: Cluster, scenario: Scenario) -> None:
    """Every answer is verified; the facts say which agent runs where."""
    with Watched(2, place(cluster), PATIENCE_S) as crew:
        record = measured(crew, scenario)
        facts = ray_facts(cluster, crew)
        parents = [psutil.Process(agent.started.pid).ppid() for agent in crew.agents]
        pids = [agent.started.pid for agent in crew.agents]
    checked(record, 2)
    runs = [node["runs"] for node in facts["nodes"].values()]
    assert sorted(word for words in runs for word in words if word.startswith("agent")) == ["agent 1", "agent 2"]
    assert [sum(word.startswith("agent") for word in words) for words in runs].count(1) == 2
    assert facts["version"] == cluster.version
    assert gone([*pids, *parents])


def test_figures_are_those_of_all_samples_together_bit_for_bit(cluster: Cluster) -> None:
    """And each request of the schedule was one agent's."""
    plan = schedule(Arrival.POISSON, 300.0, lead_in_s=0.1, window_s=1.0, rng=np.random.default_rng(7))
    crew = Watched(2, place(cluster), PATIENCE_S)
    with serving(answering(ok)) as endpoint, crew, sending(crew, endpoint) as sender:
        done = sender.schedule(iter(()), plan, connections=4)
    assert done.error is None
    (parts,) = crew.windows
    traces = [part.samples.arrays["trace"] for part in parts]
    assert [len(trace) > 50 for trace in traces] == [True] * 2
    together = np.concatenate(traces)
    assert np.sort(together[:, 0]).tolist() == plan.due_s.tolist()
    timed = (together[:, 0] >= 0.1) & (together[:, 0] < 1.1)
    expected = (together[:, 2] - together[:, 0])[timed]
    assert done.duration_s == expected.tolist()
    assert np.percentile(done.duration_s, [50, 99]).tolist() == np.percentile(expected, [50, 99]).tolist()


def test_more_agents_than_cpus_are_refused_with_both_numbers(cluster: Cluster) -> None:
    with pytest.raises(BadInput, match=r"--agents 3: expected at most 2, .* 1 of node"):
        place(cluster).check(3)


def strike(crew: Watched, pid: int, what: signal.Signals) -> threading.Thread:
    """Send it a signal in the middle of what is measured, behind the warm-up's windows."""

    def run() -> None:
        while len(crew.windows) < WARM_UP_WINDOWS + 2:
            time.sleep(0.01)
        os.kill(pid, what)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def struck(cluster: Cluster, of: str, what: signal.Signals) -> tuple[Record, list[str], list[int]]:
    """The record, why agents were lost, and the pids of agents and actors, where one agent's process is struck."""
    with Watched(2, place(cluster), PATIENCE_S) as crew:
        chosen = next(agent for agent in crew.agents if agent.started.node != cluster.own.id[:8])
        agents = [agent.started.pid for agent in crew.agents]
        actors = [psutil.Process(pid).ppid() for pid in agents]
        process = psutil.Process(chosen.started.pid)
        pid = {"agent": process.pid, "actor": process.ppid(), "raylet": psutil.Process(process.ppid()).ppid()}[of]
        thread = strike(crew, pid, what)
        lasts_s = 8.0 if of == "raylet" else 2.5  # an actor looks for its raylet now and then
        record = measured(crew, clients_scenario(4), settings=Settings(max_time_s=lasts_s))
        thread.join()
        losses = crew.losses()
        for loss in losses:
            assert f"agent {chosen.number} (pid {chosen.started.pid} on " in loss
            assert f", node {chosen.started.node}, CPU " in loss
    return record, losses, [*agents, *actors]


@pytest.mark.parametrize(
    ("of", "what"),
    [("agent", signal.SIGKILL), ("agent", signal.SIGSTOP), ("actor", signal.SIGKILL)],
    ids=lambda value: str(value),
)
def test_an_agent_that_is_lost_costs_its_window(cluster: Cluster, of: str, what: signal.Signals) -> None:
    """The other one goes on; agent and node are named, and nothing is left of either."""
    record, losses, pids = struck(cluster, of, what)
    checked(record, 1)
    assert record.windows_repeated
    assert len(losses) == 1
    assert ("froze" if what is signal.SIGSTOP else "died") in losses[0]
    assert gone(pids)


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_is_left_when_the_driver_is_killed(nodes: Nodes, stopped: bool) -> None:
    """In the middle of a window; nor where an agent is stopped."""
    with serving(answering(ok)) as endpoint:
        command = [sys.executable, str(DRIVER), nodes.address, str(endpoint.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
            assert driver.stdout is not None
            agents = list(map(int, driver.stdout.readline().split()))
            assert len(agents) == 2
            assert int(driver.stdout.readline()) > 0, "they send"
            below = [child.pid for child in psutil.Process(driver.pid).children(recursive=True)]
            pids = [*agents, *(psutil.Process(pid).ppid() for pid in agents), *below]
            if stopped:
                os.kill(agents[1], signal.SIGSTOP)
            driver.kill()
            driver.wait()
        assert gone(pids)


@pytest.mark.slow
@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_a_node_that_goes_takes_its_agent_along_and_nobody_else(what: signal.Signals) -> None:
    """A node whose Ray is only stopped loses nothing: what is timed needs no Ray."""
    with ray_nodes() as nodes:
        started = [program(nodes.join(), "raylet"), program(nodes.join(), "raylet")]
        with Cluster(nodes.address) as cluster:
            record, losses, pids = struck(cluster, "raylet", what)
        for each in started:
            if each.is_running():
                each.resume()
        checked(record, 1 if what is signal.SIGKILL else 2)
        assert len(losses) == (1 if what is signal.SIGKILL else 0)
    assert gone(pids)


@pytest.mark.slow
@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_a_head_that_goes_ends_no_campaign(what: signal.Signals) -> None:
    """Agents that run need no head; the end waits for it no longer than it may, and leaves nothing."""
    with ray_nodes() as nodes:
        nodes.join()
        nodes.join()
        gcs = program(nodes.head, "gcs_server")
        with Cluster(nodes.address) as cluster, Watched(2, place(cluster), PATIENCE_S) as crew:
            agents = [agent.started.pid for agent in crew.agents]
            thread = strike(crew, gcs.pid, what)
            record = measured(crew, clients_scenario(4), settings=Settings(max_time_s=2.5))
            thread.join()
            losses = crew.losses()
        assert not record.verdict.fails_test, record.reason
        assert record.agreement == 1.0
        assert len(losses) < 2
        assert gone(agents)
