"""A little world for tests of the campaign: a small model, its dataset, and scripted backends on real sockets."""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.agents.crew import Crew
from bench.analysis.standings import RatioTo
from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.errors import BackendFailed, ExchangeError
from bench.contract.records import Record, Samples
from bench.contract.resource_usage import ResourceUsage, own_resource_usage
from bench.contract.scenarios import Scenario
from bench.contract.system import Absence, Backend, Dataset, Instance, Model, Probe, Role, SystemUnderTest, Usage
from bench.contract.tensors import FloatArray, Predictor
from bench.contract.wire import Endpoint
from bench.experiments import experiment_of
from bench.experiments.checkpoint import Cells
from bench.experiments.resume import Resume
from bench.experiments.scenario_runner import Campaigns, Listener, Plan
from bench.load.scheduler import Settings
from bench.machine.priority import priority_of
from bench.verification.payloads import PayloadFactory
from tests.bench.sockets import answering, ok, serving
from tests.flat import RAW_CODEC as CODEC
from tests.flat import flat_dataset, flat_model, predictor_of

WIDTH, CLASSES, IMAGES = 16, 5, 24
Handler = Callable[[FloatArray], bytes]
"""A scripted backend: images asked -> body to answer."""

Records = dict[str, tuple[Record, Samples | None]]
"""What was emitted, by backend."""


WEIGHTS = np.random.default_rng(1).normal(size=(WIDTH, CLASSES))


def _little_predict() -> Callable[[FloatArray], FloatArray]:
    def predict(images: FloatArray) -> FloatArray:
        logits = 3.0 * images.astype(np.float64) @ WEIGHTS
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores: FloatArray = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        return scores

    return predict


PREDICT = _little_predict()


def little_dataset() -> Dataset:
    images = np.random.default_rng(2).random((IMAGES, WIDTH)).astype(np.float32)
    labels = PREDICT(images).argmax(axis=1).astype(np.int64)
    labels[0] = (labels[0] + 1) % CLASSES  # the model is wrong about one image: accuracy 23/24
    return flat_dataset(images, labels, tuple("abcde"))


def little_model() -> Model:
    return flat_model(PREDICT, WIDTH, CLASSES)


def little_factory() -> PayloadFactory:
    return PayloadFactory(little_dataset(), little_model())


def right(images: FloatArray) -> bytes:
    return CODEC.encode_answer(PREDICT(images))


def asked(body: bytes) -> FloatArray:
    rows = int.from_bytes(body[:4], "little")
    return np.frombuffer(body, dtype="<f4", offset=4).reshape(rows, WIDTH)


class ScriptedSystem:
    """A `SystemUnderTest` around a scripted server."""

    engine = "process"

    def __init__(self, backend: Backend, endpoint: Endpoint | None, predictor: Predictor | None = None) -> None:
        self.backend = backend
        self.endpoints: Mapping[str, Endpoint] = {backend.endpoints[0].name: endpoint or backend.endpoints[0]}
        self.predictor = predictor
        self.facts = BackendFacts()
        self.alive = True
        self.log = ""
        self.paused = False
        self.switches = 0
        self.burns = 0.0  # seconds on a CPU for each second that it is awake
        self.disobeys_from: tuple[str, int] | None = None  # `pause` or `resume` fails after so many switches
        self.dies_at: int | None = None  # switches
        self._cpu_s = 0.0
        self._looked_s = time.perf_counter()

    def usage(self) -> Usage | None:
        if not self.burns:
            return None
        now = time.perf_counter()
        self._cpu_s += 0.0 if self.paused else self.burns * (now - self._looked_s)
        self._looked_s = now
        return Usage(self._cpu_s, wait_s=None, throttled=0, threads=1)

    def peak_memory_bytes(self) -> int | None:
        return 123_000_000

    def resource_usage(self) -> ResourceUsage | None:
        return own_resource_usage()

    def pause(self) -> None:
        self._obey("pause")
        self.paused = True
        self.switches += 1
        self.alive = self.alive and self.switches != self.dies_at

    def resume(self) -> None:
        self._obey("resume")
        self.paused = False

    def _obey(self, order: str) -> None:
        if self.disobeys_from is not None and order == self.disobeys_from[0] and self.switches >= self.disobeys_from[1]:
            raise BackendFailed(f"{self.backend.name}: cannot {order}")

    def is_alive(self) -> bool:
        return self.alive

    def log_tail(self) -> str:
        return self.log


class ScriptedFleet:
    """A `Fleet` whose systems already run."""

    engine = "process"
    server_cpus = (0,)

    def __init__(self, systems: Mapping[str, SystemUnderTest], absent: Mapping[str, Absence]) -> None:
        self.running: dict[str, SystemUnderTest] = dict(systems)
        self.absent: dict[str, Absence] = dict(absent)

    def another(self, name: str) -> contextlib.AbstractContextManager[Instance]:
        raise BackendFailed(f"{name}: is not started again here")

    def owned_count(self) -> int:
        return len(self.running)

    def start(self, names: Collection[str], probe: Probe) -> None:
        for name in list(self.running):
            try:
                probe(self.running[name])
            except ExchangeError as error:
                self.absent[name] = Absence(str(error), failed=True)
                del self.running[name]


def backend(name: str, protocol: str = "raw", role: Role = Role.SERVER) -> Backend:
    return Backend(name, summary=name, runtime="script", endpoints=(Endpoint(name, "raw", protocol),), role=role)


@contextlib.contextmanager
def world(
    handlers: Mapping[str, Handler],
    scenario: Scenario,
    settings: Settings,
    absent: Mapping[str, Absence] | None = None,
    crew: Crew | None = None,
) -> Iterator[tuple[Campaigns, dict[str, Cell], Records]]:
    """Serve every handler; yields the campaigns, the cells by backend and the records emitted so far by backend."""
    with contextlib.ExitStack() as stack:
        systems: dict[str, SystemUnderTest] = {}
        for name, handler in handlers.items():
            systems[name] = stack.enter_context(scripted(name, handler))
        yield measuring(systems, scenario, settings, absent, crew=crew)


@contextlib.contextmanager
def scripted(name: str, handler: Handler, host: str = "127.0.0.1") -> Iterator[ScriptedSystem]:
    """Serve one handler."""
    with serving(answering(_http(handler)), host=host) as endpoint:
        declared = backend(name)
        yield ScriptedSystem(declared, declared.endpoints[0].located(str(endpoint.host), endpoint.port))


def measuring(
    servers: Mapping[str, SystemUnderTest],
    scenario: Scenario,
    settings: Settings,
    absent: Mapping[str, Absence] | None = None,
    resume: Resume | None = None,
    crew: Crew | None = None,
) -> tuple[Campaigns, dict[str, Cell], Records]:
    """Campaigns over servers that run, each by its first endpoint, and over the reference; see `world`."""
    records: Records = {}
    systems: dict[str, SystemUnderTest] = {
        "reference": ScriptedSystem(backend("reference", "in-process", Role.REFERENCE), None, predictor_of(PREDICT)),
        **servers,
    }
    if Role.REFERENCE not in experiment_of(scenario).roles:
        del systems["reference"]
    named = [system.backend for system in systems.values()] + [backend(name) for name in absent or {}]
    cells = {each.name: Cell(each, each.endpoints[0], scenario) for each in named}
    plan = plan_of(
        list(cells.values()), settings, lambda record, samples: records.__setitem__(record.backend, (record, samples)), resume
    )
    return Campaigns(replace(plan, crew=crew), ScriptedFleet(systems, absent or {}), little_factory()), cells, records


class Ears(Listener):
    """Hands records on to `emit`, and keeps what else was told."""

    def __init__(self, emit: Callable[[Record, Samples | None], None]) -> None:
        self._emit = emit
        self.known: dict[str, BackendFacts] = {}  # of the backends
        self.stood: list[Cells] = []  # under way

    def record(self, record: Record, samples: Samples | None) -> None:
        self._emit(record, samples)

    def facts(self, of_backends: Mapping[str, BackendFacts]) -> None:
        self.known.update(of_backends)

    def underway(self, cells: Cells) -> None:
        self.stood.append(cells)


def ears_of(campaigns: Campaigns) -> Ears:
    """Who listens to campaigns with a plan of `plan_of`."""
    found = campaigns._plan.listener
    assert isinstance(found, Ears)
    return found


def plan_of(
    cells: Sequence[Cell], settings: Settings, emit: Callable[[Record, Samples | None], None], resume: Resume | None = None
) -> Plan:
    """What a session would ask for, with nobody but `Ears` to listen."""
    return Plan(
        cells=cells,
        settings=settings,
        client_cpu=0,
        client_priority=priority_of("normal"),
        ratio_to=RatioTo(None),
        again=lambda cell: f"pytest -k {cell.id}",
        listener=Ears(emit),
        resume=resume or Resume(),
    )


class Refused(Exception):
    """A handler raises it to answer with that status line's rest, headers included."""


def _http(handler: Handler) -> Callable[[bytes], bytes]:
    lock = threading.Lock()

    def answer(body: bytes) -> bytes:
        with lock:
            try:
                return ok(handler(asked(body)))
            except Refused as refusal:
                return f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode()

    return answer


def spend(seconds: float) -> None:
    """Be busy, as a server that computes is; sleeping would be less exact."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
