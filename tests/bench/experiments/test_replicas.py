"""Replicas over real sockets: connections spread evenly, each number of them a start of its own, all answers verified."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import pytest

from bench.agents.agent_sender import AgentSender
from bench.agents.work import work_message
from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Scenario
from bench.contract.system import Role, SystemUnderTest, in_replicas
from bench.contract.wire import Endpoint
from bench.experiments.replicas import EXPERIMENT, replicas_scenario
from bench.experiments.scenario_runner import Campaigns
from bench.load.connection_pool import ConnectionPool
from bench.load.scheduler import Settings
from bench.transports.connect import open_connections
from tests.bench.agents.test_agents import Watched, here
from tests.bench.scripted import ScriptedFleet, ScriptedSystem, asked, backend, little_factory, plan_of, right
from tests.bench.sockets import ok, read_request, serving

QUICK = Settings(max_time_s=0.2)
CLIENT_CPU = 0


class Instances:
    """So many servers that answer rightly, and count by their number who connected to them and what they answered."""

    def __init__(self, *, wrong: int | None = None) -> None:
        self.connected: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()
        self._wrong = wrong
        self._lock = threading.Lock()

    def talk(self, number: int, connection: socket.socket) -> None:
        with self._lock:
            self.connected[number] += 1
        while (body := read_request(connection)) is not None:
            images = asked(body)
            with self._lock:
                self.answered[number] += 1
            connection.sendall(ok(right(images[:, ::-1] if number == self._wrong else images)))

    @contextmanager
    def serving(self, count: int) -> Iterator[Endpoint]:
        with ExitStack() as stack:
            located = [
                stack.enter_context(serving(lambda connection, number=number: self.talk(number, connection)))  # type: ignore[misc]
                for number in range(count)
            ]
            yield replace(located[0], further=tuple((str(each.host), each.port) for each in located[1:]))


@pytest.mark.parametrize(("clients", "instances", "expected"), [(32, 2, [16, 16]), (11, 3, [4, 4, 3]), (5, 1, [5])])
def test_connections_are_spread_evenly(clients: int, instances: int, expected: list[int]) -> None:
    """As many to each instance, or one less, as the instances themselves count them."""
    counting = Instances()
    with counting.serving(instances) as endpoint:
        pool = ConnectionPool(open_connections(endpoint, 64))
        pool.gather(clients)
        factory = little_factory()
        for number in range(clients):
            pool.start(number, pool.prepare(factory.payload_set(endpoint, 1).payloads[0]))
        while pool.busy:
            pool.take(1.0, lambda number, body: None)
        pool.close()
    assert [counting.connected[number] for number in range(instances)] == expected
    assert [counting.answered[number] for number in range(instances)] == expected


@pytest.mark.alone
def test_connections_of_several_agents_are_counted_through() -> None:
    """Six clients of one agent and five of the other: together as even as those of one process; also after fewer asked."""
    counting = Instances()
    with counting.serving(3) as endpoint, Watched(2, here()) as crew:
        factory = little_factory()
        work = work_message(crew.new_key(), endpoint, factory.payload_set(endpoint, 1), factory, canned=False)
        sender = AgentSender(crew, work, endpoint.deadline_s, np.random.default_rng(3))
        for clients, expected in ((11, [4, 4, 3]), (4, [2, 1, 1])):
            counting.connected.clear()
            sender.close()
            for agent in crew.agents:
                agent.has.clear()
            done = sender.clients(clients, iter(()), slice_s=0.2)
            assert done.error is None
            assert done.exchanges > 0
            assert sorted(counting.connected.values(), reverse=True) == expected


def measured(wrong: int | None = None, dead: bool = False) -> dict[str, Record]:
    """A server in one instance and in two, the client on a CPU that the second of the two has."""
    free = backend("free")
    cells = [Cell(free, free.endpoints[0], replicas_scenario(count)) for count in (1, 2)]
    kept: dict[str, Record] = {}
    with ExitStack() as stack:
        running: dict[str, SystemUnderTest] = {}
        for count, cpus in ((1, (1,)), (2, (1, CLIENT_CPU))):
            name = in_replicas("free", count)
            endpoint = stack.enter_context(Instances(wrong=wrong if count == 2 else None).serving(count))
            system = ScriptedSystem(backend(name), replace(endpoint, backend=name))
            system.facts = BackendFacts(server_cpus=cpus)
            system.alive = not (dead and count == 2)
            running[name] = system
        plan = plan_of(cells, QUICK, lambda record, _: kept.__setitem__(record.id, record))
        campaigns = Campaigns(plan, ScriptedFleet(running, {}), little_factory())
        assert plan.client_cpu == CLIENT_CPU
        for cell in cells:
            campaigns.result(cell)
    return kept


def test_each_number_of_replicas_is_a_cell_of_the_same_backend() -> None:
    """Verified, by the backend's own name, and what each replica is worth: exactly 1 with the fewest."""
    records = measured()
    assert set(records) == {"free-raw-replicas01", "free-raw-replicas02"}
    for record in records.values():
        assert (record.kind, record.cpus, record.concurrency, record.errors) == ("replicas", None, 32, 0)
        assert (record.replicas, record.title) in ((1, "1 replica"), (2, "2 replicas"))
    one, two = records["free-raw-replicas01"], records["free-raw-replicas02"]
    assert (one.agreement, two.agreement) == (1.0, 1.0)
    assert (one.cpu_efficiency, one.cpu_efficiency_low, one.cpu_efficiency_high) == (1.0, 1.0, 1.0)
    assert one.images_per_s is not None
    assert two.images_per_s is not None
    assert two.cpu_efficiency == pytest.approx(0.5 * two.images_per_s / one.images_per_s, rel=0.5)
    assert two.verdict is Verdict.OVERSUBSCRIBED
    assert f"the client has CPU {CLIENT_CPU} as well" in two.reason
    assert one.verdict is not Verdict.OVERSUBSCRIBED


def test_one_wrong_instance_makes_its_start_wrong() -> None:
    """Its answers are as many as the other's; the start with one instance is right."""
    records = measured(wrong=1)
    assert records["free-raw-replicas02"].verdict is Verdict.WRONG_ANSWERS
    assert records["free-raw-replicas01"].verdict is not Verdict.WRONG_ANSWERS


def test_one_dead_instance_fails_its_start_alone() -> None:
    """Whatever the others still answer."""
    records = measured(dead=True)
    assert records["free-raw-replicas02"].verdict is Verdict.FAILED
    assert "the server died" in records["free-raw-replicas02"].reason
    assert records["free-raw-replicas01"].images_per_s


def test_who_runs_already_is_as_often_as_it_is() -> None:
    """Nobody here starts it again."""
    attached = replace(backend("far"), attached=True)
    refusal = EXPERIMENT.refusal(Cell(attached, attached.endpoints[0], replicas_scenario(2)))
    assert refusal == "it runs already: how often is not ours to choose"


@pytest.mark.parametrize(("replicas", "clients"), [(1, 32), (4, 32), (6, 48), (96, 64)])
def test_more_clients_ask_than_all_replicas_serve_at_once(replicas: int, clients: int) -> None:
    """As many as ask a server with so many CPUs."""
    assert replicas_scenario(replicas).concurrency == clients


def test_a_server_is_asked_where_it_has_the_scenarios_replicas() -> None:
    """An instrument is the same for all."""
    free, null = backend("free"), backend("null", role=Role.CEILING)
    scenarios = (replicas_scenario(2), Scenario("single", 1))
    cells = [Cell(each, each.endpoints[0], scenario) for each in (free, null) for scenario in scenarios]
    assert [cell.server for cell in cells] == ["free-2replicas", "free", "null", "null"]
