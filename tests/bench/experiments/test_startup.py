"""Fresh starts over real sockets: what each step waits for, what a start that fails leaves, and that no start stays behind."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.errors import BackendFailed, ConnectionLost
from bench.contract.rows import StartRow
from bench.contract.system import Absence, Instance, SystemUnderTest
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint
from bench.experiments import start_timing
from bench.experiments.start_timing import tcp_probe, undisturbed_s, warm_at
from bench.experiments.startup import StartPlan, StartUps, starts_of
from tests.bench.scripted import PREDICT, ScriptedFleet, ScriptedSystem, asked, backend, little_factory, right
from tests.bench.sockets import answering, ok, serving
from tests.flat import RAW_CODEC as CODEC

EXCHANGES = start_timing.BLOCK * start_timing.LEAST_BLOCKS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter looks than in earnest."""
    monkeypatch.setattr(start_timing, "ASK_S", 0.0)
    monkeypatch.setattr(start_timing, "_ALIVE_EVERY_S", 0.0)
    # but for this one: a busy machine's scripted server drops a connection later than a proxy does
    monkeypatch.setattr(start_timing, "_HOLD_S", 0.25)


@dataclass
class ScriptedInstance:
    """An `Instance` whose server answers in this process once it was launched."""

    answer: Callable[[FloatArray], bytes] = right
    drops: int = 0  # connections that are taken and dropped, as an engine's proxy does
    refuses: int = 0  # status pages that do not say ready
    tells_ready: bool = False
    ready_timeout_s: float = 5.0
    fails: bool = False
    dies: bool = False
    ports_lost: int = 0
    journal: list[str] = field(default_factory=list)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def launch(self) -> SystemUnderTest:
        self.journal.append("launch")
        if self.fails:
            raise BackendFailed("a: exec format error")
        endpoint = self.stack.enter_context(serving(self._talk))
        declared = backend("a")
        system = ScriptedSystem(declared, declared.endpoints[0].located(str(endpoint.host), endpoint.port))
        system.alive = not self.dies and self.ports_lost == 0
        system.log = "its last words"
        return system

    def _talk(self, connection: socket.socket) -> None:
        if self.drops > 0 or self.dies or self.ports_lost > 0:
            self.drops -= 1
            return
        answering(lambda body: ok(self._answered(body)))(connection)

    def _answered(self, body: bytes) -> bytes:
        self.journal.append("ask")
        return self.answer(asked(body))

    def check_ready(self) -> None:
        self.journal.append("status")
        self.refuses -= 1
        if self.refuses >= 0:
            raise ConnectionLost("a: not yet")

    def lost_its_port(self) -> bool:
        self.ports_lost -= 1
        return self.ports_lost >= 0

    def stop(self) -> None:
        self.journal.append("stop")
        self.stack.close()


class StartingFleet(ScriptedFleet):
    """A `Fleet` in which `a` runs and can be started again."""

    def __init__(self, instance: ScriptedInstance, running: SystemUnderTest, absent: dict[str, Absence]) -> None:
        super().__init__({"a": running}, absent)
        self._instance = instance

    @contextlib.contextmanager
    def another(self, name: str) -> Iterator[Instance]:
        assert name == "a"
        try:
            yield self._instance
        finally:
            self._instance.stop()


@contextlib.contextmanager
def starting(
    instance: ScriptedInstance, *, starts: int | None = 1, smoke: bool = False, absent: dict[str, Absence] | None = None
) -> Iterator[tuple[StartUps, list[Sequence[StartRow]]]]:
    """The starts of `a` and of absent ones; yields what was emitted as well."""
    emitted: list[Sequence[StartRow]] = []
    declared = backend("a")
    with serving(answering(lambda body: ok(right(asked(body))))) as endpoint:
        running = ScriptedSystem(declared, declared.endpoints[0].located(str(endpoint.host), endpoint.port))
        running.facts = BackendFacts(start_s=0.5)
        fleet = StartingFleet(instance, running, absent or {})
        plan = StartPlan(
            backends=[declared, *(backend(name) for name in absent or {})],
            starts=starts,
            client_cpu=0,
            strict=False,
            smoke=smoke,
            say=lambda text: None,
            emit=emitted.append,
        )
        yield StartUps(plan, fleet, little_factory()), emitted


def test_each_start_has_its_steps_in_order_and_is_stopped() -> None:
    """Every row goes out at once; the word of its own comes before the first request."""
    instance = ScriptedInstance(drops=2, refuses=2, tells_ready=True)
    with starting(instance, starts=2) as (startup, emitted):
        result = startup.result(backend("a"))
        assert startup.result(backend("a")).rows == result.rows, "measured once"
    assert [[row.repeat for row in rows] for rows in emitted] == [[1], [1, 2]]
    for row in result.rows:
        assert not row.problem
        steps = (row.launch_s, row.port_open_s, row.ready_s, row.first_answer_s)
        assert None not in steps
        assert list(steps) == sorted(step or 0.0 for step in steps)
        assert row.stop_s is not None
        assert row.warm_s is None or row.warm_s > (row.first_answer_s or 0.0)
    first = instance.journal[: instance.journal.index("stop")]
    assert first[:5] == ["launch", "status", "status", "status", "ask"]
    assert first.count("ask") == 1 + EXCHANGES
    assert result.duration_s == [row.first_answer_s for row in result.rows]
    result.require_measured()
    result.require_right()
    assert result.extra_info() == {"starts": [row.as_dict() for row in result.rows]}


def test_smoke_asks_once_and_no_more() -> None:
    """`--benchmark-disable` shows that a start works, not how long it takes to get warm."""
    instance = ScriptedInstance()
    with starting(instance, smoke=True) as (startup, _):
        (row,) = startup.result(backend("a")).rows
    assert row.first_answer_s is not None
    assert row.warm_s is None
    assert instance.journal.count("ask") == 1


@pytest.mark.parametrize(
    ("instance", "reached", "words"),
    [
        (ScriptedInstance(fails=True), set(), "exec format error"),
        (ScriptedInstance(dies=True), {"launch_s", "stop_s"}, "its last words"),
        (ScriptedInstance(drops=1 << 30, ready_timeout_s=0.05), {"launch_s", "stop_s"}, "no right answer within 0.05 s"),
        (
            ScriptedInstance(refuses=1 << 30, tells_ready=True, ready_timeout_s=0.05),
            {"launch_s", "port_open_s", "stop_s"},
            "not yet",
        ),
        (
            ScriptedInstance(lambda images: CODEC.encode_answer(PREDICT(images) + 1), ready_timeout_s=0.05),
            {"launch_s", "port_open_s", "stop_s"},
            "the reference says",
        ),
    ],
    ids=["no launch", "dies", "no port", "never ready", "wrong answers"],
)
def test_a_start_that_fails_is_a_row_with_its_problem_and_the_last_one(
    instance: ScriptedInstance, reached: set[str], words: str
) -> None:
    """Only what was reached has a figure; its test fails; another start would take its whole time-out again."""
    with starting(instance, starts=3) as (startup, _):
        result = startup.result(backend("a"))
    (row,) = result.rows
    assert {name for name, value in row.as_dict().items() if name.endswith("_s") and value is not None} == reached
    assert words in row.problem
    assert instance.journal[-1] == "stop"
    with pytest.raises(pytest.fail.Exception, match="a did not start"):
        result.require_measured()


def test_wrong_answers_while_it_gets_warm_are_a_problem() -> None:
    """Every answer is verified; the first one came, so the start has its figure, and the test fails nevertheless."""
    answers = iter(range(1 << 30))

    def later_wrong(images: FloatArray) -> bytes:
        return CODEC.encode_answer(PREDICT(images) + np.float32(next(answers) % (1 + EXCHANGES) > 20))

    with starting(ScriptedInstance(later_wrong), starts=2) as (startup, _):
        result = startup.result(backend("a"))
    assert len(result.duration_s) == 2, "it did start: it is started again"
    assert "the reference says" in result.problem
    assert result.rows[0].warm_s is None
    result.require_measured()
    with pytest.raises(pytest.fail.Exception, match="did not start well"):
        result.require_right()


def test_the_start_that_the_run_needed_is_told_without_another() -> None:
    """What the fleet timed; nothing is started again, and who could not be had says why."""
    instance = ScriptedInstance()
    with starting(instance, starts=None, absent={"b": Absence("no registry answers")}) as (startup, emitted):
        result = startup.result(backend("a"))
        assert result.duration_s == [0.5]
        assert [row.problem for row in startup.result(backend("b")).rows] == ["no registry answers"]
    assert instance.journal == []
    assert [(row.backend, row.repeat) for row in emitted[-1]] == [("b", 1), ("a", 0)]


def test_a_taken_port_is_another_try() -> None:
    """Another program was faster: that is no fault of the backend's; the row is that of the start that had its port."""
    instance = ScriptedInstance(ports_lost=2)
    with starting(instance) as (startup, emitted):
        (row,) = startup.result(backend("a")).rows
    assert not row.problem
    assert row.first_answer_s is not None
    assert instance.journal.count("launch") == 3
    assert len(emitted) == 1


def test_absent_ones_say_why() -> None:
    """What cannot be had is skipped, what failed fails; both have their row, and the others are started."""
    absent = {"b": Absence("no registry answers"), "c": Absence("exit code 1", failed=True)}
    with starting(ScriptedInstance(), absent=absent) as (startup, emitted):
        result = startup.result(backend("b"))
        assert [row.problem for row in result.rows] == ["no registry answers"]
        with pytest.raises(pytest.skip.Exception, match="no registry answers"):
            result.require_measured()
        with pytest.raises(pytest.fail.Exception, match="exit code 1"):
            startup.result(backend("c")).require_measured()
        assert startup.result(backend("a")).duration_s
    assert {row.backend for row in emitted[-1]} == {"a", "b", "c"}


def test_an_interrupt_leaves_no_instance() -> None:
    """Ctrl-C in the middle of a start: it is stopped, and what came before is kept."""

    instance = ScriptedInstance(tells_ready=True)
    with starting(instance, starts=2) as (startup, emitted):
        stops = iter(range(1 << 30))
        plain = instance.check_ready

        def second_is_interrupted() -> None:
            if next(stops) == 1:
                raise KeyboardInterrupt
            plain()

        instance.check_ready = second_is_interrupted  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            startup.result(backend("a"))
    assert instance.journal[-1] == "stop"
    assert [row.repeat for row in emitted[-1]] == [1]


def test_a_connection_that_is_dropped_at_once_is_no_open_port() -> None:
    """A proxy takes connections before anybody listens behind it; a server that says nothing, or speaks first, is open."""

    def speaks_first(connection: socket.socket) -> None:
        connection.sendall(b"settings")
        connection.recv(1)

    with serving(lambda connection: None) as endpoint, pytest.raises(ConnectionLost, match="dropped at once"):
        tcp_probe(endpoint)
    with serving(speaks_first) as endpoint:
        tcp_probe(endpoint)
    with serving(answering(ok)) as endpoint:
        tcp_probe(endpoint)
    with pytest.raises(ConnectionLost, match="refused"):
        tcp_probe(Endpoint("a", "raw", "raw", host="127.0.0.1", port=endpoint.port))
    assert threading.active_count() < 50, "no connection was left open"


def blocks(*latency_ms: float) -> list[tuple[float, float]]:
    return [(10.0 + place, latency / 1e3) for place, latency in enumerate(latency_ms)]


@pytest.mark.parametrize(
    ("latency_ms", "warm"),
    [
        ([1.0] * 8, 10.0),
        ([5.0, 2.0, 1.05, 1.0, 1.0, 1.0, 1.0, 1.0], 12.0),
        ([5.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0], 11.0),  # a stall is no relapse
        ([5.0, 1.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0], None),  # two are: it was not warm yet in the first half
        ([5.0, 1.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 15.0),
        ([0.5] * 4 + [1.0] * 4, 10.0),  # faster than its steady state is warm enough
        ([2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0], 10.0),  # restless, as it stays
        ([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], None),
        ([], None),
        ([1.0], None),
    ],
)
def test_warm_is_where_the_latency_has_come_down_to_stay(latency_ms: list[float], warm: float | None) -> None:
    """Within 10 % of the second half's median, or its own unrest, from there on in three of four blocks, before that half."""
    assert warm_at(blocks(*latency_ms)) == warm


def test_what_others_take_of_the_machine_does_not_count() -> None:
    """The lower tenth: some slow exchanges among quick ones are the host's, a cold server is slow in all of them."""
    assert undisturbed_s([0.009] * 15 + [0.001] * 5) == 0.001
    assert undisturbed_s([0.002] * 19 + [0.001]) == 0.002, "one alone is chance"


@pytest.mark.parametrize(("text", "starts"), [("0", 0), ("3", 3), ("100", 100), ("own", None)])
def test_number_of_starts(text: str, starts: int | None) -> None:
    """A whole number, none to a hundred; or no fresh ones."""
    assert starts_of(text) == starts
