"""The replay of 2018 over real sockets: how each step asks, and that a wrong answer is no figure."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from bench.contract.cells import Cell
from bench.contract.rows import StudyRow, StudyStep
from bench.contract.scenarios import Scenario
from bench.contract.system import Absence, Backend, SystemUnderTest
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint
from bench.experiments.replay_2018 import SYSTEMS, StudyCell, StudyPlan, StudyReplay, replayed_cells
from bench.load.scheduler import Settings
from bench.machine import idle_cpu
from bench.transports.clients_2018 import client_of_2018
from tests.bench.scripted import IMAGES, PREDICT, ScriptedFleet, ScriptedSystem, little_dataset, little_factory, little_model
from tests.bench.sockets import ok, read_request, serving
from tests.flat import flat_codec as codec
from tests.flat import images_of

SINGLE = Scenario("single", batch_size=1)
BATCH = Scenario("batch5", batch_size=5)
V1 = codec("v1-json")


class CountingServer:
    """A v1 JSON server that counts connections and keeps every batch that it was asked for."""

    def __init__(self, answer: Callable[[FloatArray], FloatArray] = PREDICT) -> None:
        self.connections = 0
        self.batches: list[FloatArray] = []
        self._answer = answer

    def talk(self, connection: socket.socket) -> None:
        """One connection."""
        self.connections += 1
        while (body := read_request(connection)) is not None:
            images = np.asarray(json.loads(body)["instances"], dtype=np.float32)
            self.batches.append(images)
            connection.sendall(ok(V1.encode_answer(self._answer(images)), "Content-Type: application/json\r\n"))


@contextlib.contextmanager
def replaying(
    server: CountingServer, scenario: Scenario, *, smoke: bool = False, burns: float = 0.0
) -> Iterator[tuple[StudyReplay, list[StudyCell], list[Sequence[StudyRow]]]]:
    """The replay of one system called flask, and one that is absent; yields what it emitted as well."""
    emitted: list[Sequence[StudyRow]] = []
    with serving(server.talk, protocol="v1-json") as endpoint:
        declared = [
            Backend(name, name, "script", (Endpoint(name, "rest", "v1-json"),), sets=frozenset({SYSTEMS}))
            for name in ("flask", "tensorflow-serving")
        ]
        located = declared[0].endpoints[0].located(str(endpoint.host), endpoint.port)
        flask = ScriptedSystem(declared[0], located)
        flask.burns = burns
        systems: dict[str, SystemUnderTest] = {"flask": flask}
        cells = replayed_cells([Cell(each, each.endpoints[0], scenario) for each in declared])
        plan = StudyPlan(cells, Settings(max_time_s=0.1), 0, smoke, say=lambda text: None, emit=emitted.append)
        fleet = ScriptedFleet(systems, {"tensorflow-serving": Absence("no registry answers")})
        yield StudyReplay(plan, fleet, little_factory()), cells, emitted


def test_each_step_is_measured_for_systems_that_run_and_absent_ones_say_why() -> None:
    """Five steps of the one that runs, emitted once; nothing is invented for the other."""
    with replaying(CountingServer(), SINGLE) as (replay, cells, emitted):
        results = {cell.id: replay.result(cell) for cell in cells}
        assert len(emitted) == 1
        assert [row.step for row in emitted[0]] == list(StudyStep)
        for row in emitted[0]:
            assert not row.problem
            assert row.agreement == 1.0
            assert row.images_per_s is not None
            assert row.exchanges > 0
        assert results["tensorflow-serving-rest-single-as-in-2018"] is None
        assert replay.why_absent("tensorflow-serving") == "no registry answers"


def test_a_system_that_burns_while_idle_is_paused_but_for_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the campaigns; it is woken for each step, and measured all the same."""
    monkeypatch.setattr(idle_cpu, "_SETTLE_S", 0.01)
    monkeypatch.setattr(idle_cpu, "_WINDOW_S", 0.05)
    monkeypatch.setattr(idle_cpu, "_LEAST_SLICE_S", 0.01)
    monkeypatch.setattr(idle_cpu, "_WAKE_S", 0.001)
    server = CountingServer()
    with replaying(server, SINGLE, burns=0.2) as (replay, cells, emitted):
        replay.result(cells[0])
        system = replay._fleet.running["flask"]
        assert isinstance(system, ScriptedSystem)
        assert system.paused
        assert system.switches > len(StudyStep)
        assert [row.problem for row in emitted[0]] == [""] * len(StudyStep)


def test_batches_wrap_around_and_are_never_empty() -> None:
    """The study's loop ran past its data and sent empty batches; each batch here is full, also the last of the images."""
    server = CountingServer()
    with replaying(server, BATCH) as (replay, cells, _):
        replay.result(cells[0])
    sizes = {len(batch) for batch in server.batches}
    assert sizes == {1, 5}  # 1 is the readiness probe
    last_image = images_of(little_dataset())[IMAGES - 1]
    first_image = images_of(little_dataset())[0]
    around = [batch for batch in server.batches if (np.abs(batch - last_image).max(axis=1) < 1e-6).any() and len(batch) == 5]
    assert around
    assert all((np.abs(batch - first_image).max(axis=1) < 1e-6).any() for batch in around)


def test_connections_are_new_for_each_request_of_2018_and_kept_afterwards() -> None:
    """What `requests.post` does, against one session."""
    images = images_of(little_dataset())
    for kept, expected in ((False, 3), (True, 1)):
        server = CountingServer()
        with serving(server.talk, protocol="v1-json") as endpoint:
            client = client_of_2018(endpoint, little_model(), images, kept=kept)
            client.connect()
            for number in range(3):
                body = client.exchange(images[[number]])
                assert np.allclose(V1.decode(body), PREDICT(images[[number]]), atol=1e-6)
            client.close()
        assert server.connections == expected


def test_wrong_answers_are_a_problem_and_no_figure() -> None:
    """A figure stands only where every answer was right."""
    server = CountingServer(lambda images: np.ascontiguousarray(np.roll(PREDICT(images), 1, axis=1)))
    with replaying(server, SINGLE) as (replay, cells, emitted):
        replay._fleet.start = lambda names, probe: None  # type: ignore[method-assign]  # the probe would find it out before
        result = replay.result(cells[0])
        assert result is not None
        for row in emitted[0]:
            assert "the reference says" in row.problem
            assert row.images_per_s is None


def test_smoke_asks_once_a_step() -> None:
    """`--benchmark-disable` shows that it works and measures nothing."""
    server = CountingServer()
    with replaying(server, SINGLE, smoke=True) as (replay, cells, _):
        result = replay.result(cells[0])
        assert result is not None
        assert result.row.exchanges == 1
    assert len(server.batches) == 1 + len(StudyStep)  # the readiness probe, and one a step


def test_replayed_are_the_first_endpoints_of_the_set_that_speak_what_2018_spoke() -> None:
    """Not its raw endpoint, not gRPC, not a backend outside the set."""
    sets = frozenset({SYSTEMS})
    endpoints = (Endpoint("a", "raw", "raw"), Endpoint("a", "rest", "v1-json"), Endpoint("a", "dev", "v1-json"))
    backends = [
        Backend("a", "", "", endpoints, sets=sets),
        Backend("b", "", "", (Endpoint("b", "grpc", "tfserving-grpc"),), sets=sets),
        Backend("c", "", "", (Endpoint("c", "rest", "v1-json"),)),
    ]
    cells = [Cell(backend, endpoint, SINGLE) for backend in backends for endpoint in backend.endpoints]
    assert {study.cell.endpoint.id for study in replayed_cells(cells)} == {"a-rest"}
