"""Real agents, as processes of this machine, and servers of which everything is known."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.agents.agent_link import AgentLink
from bench.agents.agent_sender import AgentSender
from bench.agents.crew import Crew, Part
from bench.agents.messages import Message
from bench.agents.places import Place, Started, ThisMachine, agent_cpus
from bench.agents.work import work_message
from bench.contract.errors import ConnectionLost
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Arrival, Scenario
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint
from bench.experiments.clients import clients_scenario
from bench.experiments.open_loop import open_loop_scenario
from bench.experiments.slo import slo_scenario
from bench.load import slo_search
from bench.load.open_loop import schedule
from bench.load.scheduler import Settings
from tests.bench.scripted import Handler, little_factory, measuring, right, scripted
from tests.bench.sockets import answering, ok, serving

pytestmark = pytest.mark.alone

STANDINS = Path(__file__).parents[2] / "standins"
CPUS = sorted(os.sched_getaffinity(0))
NICENESS = os.getpriority(os.PRIO_PROCESS, 0)
QUICK = Settings(max_time_s=0.5)
WARM_UP_WINDOWS = 4
SHORT_S = 1.0  # of the deadlines and the patience, where an agent says nothing any more


class Watched(Crew):
    """A crew that keeps what each window brought."""

    def __init__(self, agents: int, place: Place, patience_s: float = SHORT_S) -> None:
        super().__init__(agents, place, patience_s=patience_s)
        self.windows: list[list[Part]] = []

    def together(self, orders: Mapping[AgentLink, Message], *, opens_s: float, takes_s: float) -> list[Part]:
        parts = super().together(orders, opens_s=opens_s, takes_s=takes_s)
        self.windows.append(parts)
        return parts


class Shifted:
    """A place whose agents' clocks are off, by (seconds, seconds in each second) for each agent in turn."""

    def __init__(self, *clocks: tuple[float, float]) -> None:
        self._clocks = clocks

    def start(self, number: int, agents: int) -> Started:
        script, clock = str(STANDINS / "shifted_agent.py"), map(str, self._clocks[number - 1])
        return ThisMachine(CPUS, NICENESS, (sys.executable, script, *clock)).start(number, agents)


def here() -> ThisMachine:
    return ThisMachine(CPUS, NICENESS)


def measured(
    crew: Crew, scenario: Scenario, handler: Handler = right, settings: Settings = QUICK, host: str = "127.0.0.1"
) -> Record:
    """The record of a scripted server's only cell."""
    with scripted("a", handler, host) as system:
        system.endpoints = {name: replace(each, deadline_s=SHORT_S) for name, each in system.endpoints.items()}
        campaigns, cells, _ = measuring({"a": system}, scenario, settings, crew=crew)
        return campaigns.result(cells["a"]).record


@contextmanager
def sending(crew: Crew, endpoint: Endpoint) -> Iterator[AgentSender]:
    factory = little_factory()
    work = work_message(crew.new_key(), endpoint, factory.payload_set(endpoint, 1), factory, canned=False)
    yield AgentSender(crew, work, endpoint.deadline_s, np.random.default_rng(3))


SCENARIOS = [clients_scenario(3), open_loop_scenario(Arrival.POISSON, rate_per_s=400), slo_scenario(1.0)]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_two_agents_measure_a_cell_and_every_answer_is_verified(monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> None:
    """Answers stay where they arrive; the record has what it has without agents, and how many there were."""
    monkeypatch.setattr(slo_search, "_RESOLUTION", 0.25)
    with Watched(2, here()) as crew:
        record = measured(crew, scenario)
    assert not record.verdict.fails_test, record.reason
    assert (record.agents, record.errors) == (2, 0)
    assert record.answers_verified > record.exchanges > 0
    assert record.agreement == 1.0
    assert record.accuracy == pytest.approx(23 / 24)
    assert record.answer_bytes == len(right(np.zeros((1, 16), np.float32)))
    assert record.images_per_s
    assert record.clock_uncertainty_s is not None
    assert record.client_share is not None
    assert all(facts["windows"] for facts in crew.facts().values())


def test_a_wrong_answer_is_found_at_the_agent_that_got_it() -> None:
    """And told in the words of a session without agents."""

    asked = itertools.count()

    def wrong(images: FloatArray) -> bytes:
        return right(images[:, ::-1] if next(asked) > 50 else images)

    with Watched(2, here()) as crew:
        record = measured(crew, clients_scenario(2), wrong)
    assert record.verdict is Verdict.WRONG_ANSWERS
    assert "the reference says" in record.reason


def test_agents_send_the_schedule_and_nothing_else() -> None:
    """Each request once, by one of them, all of them at it; and the figures are those of all their samples, bit for bit."""
    plan = schedule(Arrival.POISSON, 300.0, lead_in_s=0.1, window_s=1.0, rng=np.random.default_rng(7))
    with serving(answering(ok)) as endpoint, Watched(3, here()) as crew, sending(crew, endpoint) as sender:
        done = sender.schedule(iter(()), plan, connections=3)
    assert done.error is None
    (parts,) = crew.windows
    traces = [part.samples.arrays["trace"] for part in parts]
    assert [len(trace) > 50 for trace in traces] == [True] * 3
    together = np.concatenate(traces)
    assert np.sort(together[:, 0]).tolist() == plan.due_s.tolist()
    assert (together[:, 1] >= together[:, 0]).all()
    timed = (together[:, 0] >= 0.1) & (together[:, 0] < 1.1)
    assert done.duration_s == (together[:, 2] - together[:, 0])[timed].tolist()
    assert done.scheduled == len(done.duration_s)


@pytest.mark.parametrize("scenario", SCENARIOS[:2], ids=lambda scenario: scenario.name)
def test_clocks_three_minutes_off_and_drifting_change_no_latency(scenario: Scenario) -> None:
    """Whatever an agent's clock shows: an answer that took a millisecond took no three minutes, nor less than nothing."""
    with Watched(3, Shifted((180.0, 1e-4), (-180.0, -1e-4), (0.0, 0.0))) as crew:
        record = measured(crew, scenario)
    assert record.verdict is not Verdict.DESYNCED
    assert not record.verdict.fails_test, record.reason
    assert record.latency_p50_s is not None
    samples = [part.samples.arrays["trace"] for parts in crew.windows for part in parts]
    durations = np.concatenate([trace[:, 2] - trace[:, 1] for trace in samples])
    assert durations.min() > 0
    assert durations.max() < 30
    offsets = [facts["clock_offset_s"] for facts in crew.facts().values()]
    # a clock that drifts has gained or lost something since it began at 0, which may be long ago
    assert offsets[0] > 179
    assert offsets[1] < -179
    assert abs(offsets[2]) < 1
    drifts = [part.fit.drift for part in crew.windows[-1]]
    assert drifts == pytest.approx([1e-4, -1e-4, 0.0], abs=5e-3)


def test_a_clock_that_cannot_be_known_makes_the_cell_desynced() -> None:
    """A fifth of a second gained in each: within a window more than a tenth of it."""
    with Watched(2, Shifted((0.0, 0.0), (60.0, 0.2))) as crew:
        record = measured(crew, open_loop_scenario(Arrival.CONSTANT, rate_per_s=400))
    assert record.verdict is Verdict.DESYNCED, record.reason
    assert "2 load agents' windows may lie" in record.reason
    assert record.clock_uncertainty_s is not None
    assert record.clock_uncertainty_s > 0.1 * 0.25


def strike(crew: Watched, number: int, what: signal.Signals) -> threading.Thread:
    """Send an agent a signal in the middle of what it measures, behind the warm-up's windows."""
    agent = crew.agents[number]

    def run() -> None:
        while len(crew.windows) < WARM_UP_WINDOWS + 2:
            time.sleep(0.01)
        os.kill(agent.started.pid, what)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("scenario", "what"), [(SCENARIOS[0], signal.SIGSTOP), (SCENARIOS[1], signal.SIGKILL)], ids=["frozen", "killed"]
)
def test_an_agent_that_is_lost_voids_its_windows_and_the_others_go_on(scenario: Scenario, what: signal.Signals) -> None:
    """The cell is measured by who is left, and says so; the one that was lost is named, and gone."""
    with Watched(2, here()) as crew:
        pids = [agent.started.pid for agent in crew.agents]
        thread = strike(crew, 1, what)
        record = measured(crew, scenario, settings=Settings(max_time_s=1.5))
        thread.join()
        losses, warnings = crew.losses(), crew.warnings()
        assert gone(pids[1:])
    assert not record.verdict.fails_test, record.reason
    assert record.agents == 1
    assert record.windows_repeated
    assert record.agreement == 1.0
    assert len(losses) == 1
    assert f"agent 2 (pid {pids[1]} on " in losses[0]
    assert ("died" if what is signal.SIGKILL else "froze") in losses[0]
    assert any(losses[0] in warning for warning in warnings)
    assert gone(pids)


def test_a_cell_that_lost_all_its_agents_is_failed_and_names_them() -> None:
    """Nobody is left to measure its windows again."""
    with Watched(1, here()) as crew:
        (agent,) = crew.agents
        thread = strike(crew, 0, signal.SIGKILL)
        record = measured(crew, clients_scenario(2), settings=Settings(max_time_s=1.5))
        thread.join()
    assert record.verdict is Verdict.FAILED
    assert f"no load agent is left: agent 1 (pid {agent.started.pid} on " in record.reason
    assert "exit code -9" in record.reason


def test_agents_that_do_not_start_fail_the_cell_in_words() -> None:
    """With what the process said."""
    with Watched(2, ThisMachine(CPUS, NICENESS, (sys.executable, "-c", "raise SystemExit('no such luck')"))) as crew:
        record = measured(crew, clients_scenario(2))
    assert record.verdict is Verdict.FAILED
    assert "did not start" in record.reason
    assert "no such luck" in record.reason


def test_a_server_that_fails_is_not_the_agents_fault() -> None:
    """Its error comes over as this process would have had it, and no agent is lost."""
    with serving(lambda connection: None) as endpoint, Watched(2, here()) as crew, sending(crew, endpoint) as sender:
        done = sender.clients(2, iter(()), slice_s=0.1)
        assert not crew.losses()
    assert isinstance(done.error, ConnectionLost)
    assert "connection closed before an answer" in str(done.error)


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_is_left_when_the_driver_is_killed(stopped: bool) -> None:
    """In the middle of a window; an agent that is stopped hears nothing, and is gone as well."""
    with serving(answering(ok)) as endpoint:
        command = [sys.executable, str(STANDINS / "agents_driver.py"), str(endpoint.port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
            assert driver.stdout is not None
            pids = list(map(int, driver.stdout.readline().split()))
            assert len(pids) == 3
            assert int(driver.stdout.readline()) > 0, "they send"
            if stopped:
                os.kill(pids[1], signal.SIGSTOP)
            driver.kill()
            driver.wait()
        assert gone(pids)


def gone(pids: Sequence[int], within_s: float = 20.0) -> bool:
    """Whether none of them is left a little later; one that ended and was not yet taken notice of is gone."""
    give_up_at = time.monotonic() + within_s
    while left := [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > give_up_at:
            pytest.fail(f"still there: {left}")
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(
    ("clients", "server_cpus", "expected"),
    [
        (1, (), [(0.001, False)]),
        (2, (), [(0.001, True)] * 2),
        (1, tuple(CPUS[-1:]), [(0.0, False)]),
        (2, tuple(CPUS[-1:]), [(0.0, False)] * 2),
    ],
)
def test_who_polls_busily_in_a_window_and_who_takes_turns(
    clients: int, server_cpus: Sequence[int], expected: list[tuple[float, bool]]
) -> None:
    """Nobody where a server has the CPU; another agent that sends nothing takes nothing."""
    told: list[tuple[float, bool]] = []

    class Told(Watched):
        def together(self, orders: Mapping[AgentLink, Message], *, opens_s: float, takes_s: float) -> list[Part]:
            told.extend((order.fields["busy_poll_s"], order.fields["takes_turns"]) for order in orders.values())
            return super().together(orders, opens_s=opens_s, takes_s=takes_s)

    crew = Told(2, ThisMachine(CPUS[-1:], NICENESS))
    with serving(answering(ok)) as endpoint, crew, sending(crew, endpoint) as sender:
        sender.busy_poll_s, sender.server_cpus = 0.001, server_cpus
        done = sender.clients(clients, iter(()), slice_s=0.3)
    assert done.error is None
    assert told[: len(expected)] == expected  # a window may be measured again


def test_an_agent_that_stops_before_it_is_reached_is_given_up() -> None:
    """Within the patience, and in words; the kernel takes a connection for it all the same."""

    class Stopped:
        def start(self, number: int, agents: int) -> Started:
            started = here().start(number, agents)
            if number == 1:
                os.kill(started.pid, signal.SIGSTOP)
            return started

    with Watched(2, Stopped()) as crew:
        record = measured(crew, SCENARIOS[0])
        (loss,) = crew.losses()
    assert loss.startswith("load agent 1 cannot be reached")
    assert (record.agents, record.agreement) == (1, 1.0)


@pytest.mark.parametrize(
    ("usable", "servers", "client", "expected"),
    [([0, 1], [0], 1, [1]), ([0, 1, 2, 3], [0], 3, [3, 1, 2]), ([0], [0], 0, [0]), ([0, 1, 2], [0, 1], 2, [2])],
)
def test_agents_send_from_cpus_that_no_server_has(
    usable: list[int], servers: list[int], client: int, expected: list[int]
) -> None:
    """The client's own first, which sleeps meanwhile; where all are servers', it alone."""
    assert agent_cpus(usable, servers, client) == expected
