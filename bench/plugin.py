"""The measuring side's pytest plugin: options, what is collected, the `campaign` fixture, the bridge to pytest-benchmark."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import hooks
from bench.campaign import Campaigns, Plan
from bench.cells import Cell
from bench.confusion import Confusion, Disagreement
from bench.console import Console
from bench.contract import Backend, BadInput, Dataset, Fleet, Model, Role
from bench.environment import environment, warnings_about
from bench.gate import GateRow, gate_lines, threshold_of
from bench.host import client_cpu
from bench.idle import IdleWatch
from bench.lane_maker import UNDER_LOAD
from bench.load.interleave import Settings
from bench.load_options import ARRIVALS, clients_of, limit_of, open_loops_of, options_for
from bench.mistakes import confusion_of
from bench.options import add_flag, add_option, get_flag, get_option, whole_number
from bench.payloads import PayloadPress
from bench.progress import ProgressLine
from bench.protocols import protocol_names
from bench.ratio import RatioTo, checked_ratio_to
from bench.records import Record, Run, Samples, StartRow, StudyRow
from bench.replay import Replay, ReplayClock
from bench.resume import Resume
from bench.scenarios import (
    ACCURACY,
    CLIENTS,
    DEFAULT_BATCH_SIZES,
    LOADS,
    Kind,
    Scenario,
    clients_scenario,
    slo_scenario,
    throughput_scenarios,
)
from bench.startup import StartPlan, StartUps, starts_of
from bench.study import StudyCell, StudyPlan, StudyReplay, replayed_cells


@dataclass(slots=True)
class _Session:
    """What this plugin knows of the session from its start on."""

    smoke: bool
    client_cpu: int
    run_id: str
    started_utc: str
    backends: Sequence[Backend] = ()
    ratio_to: RatioTo = field(default_factory=lambda: RatioTo(None))
    study: tuple[StudyRow, ...] = ()
    startup: tuple[StartRow, ...] = ()
    facts: dict[str, Mapping[str, object]] = field(default_factory=dict)
    confusion: Confusion | None = None
    disagreements: list[Disagreement] = field(default_factory=list)
    # read once, at the start: later this process is pinned, and loads the machine
    machine: Mapping[str, Any] | None = None
    gate: float | None = None
    gate_rows: Sequence[GateRow] = ()
    scenarios: Mapping[Kind, Sequence[Scenario]] = field(default_factory=dict)
    resume: Resume = field(default_factory=Resume)


_SETS_THE_SCENE = ("--engine", "--emnist", "--model", "--inputs", "--batch-sizes", "--server-cpus", "--client-cpu")

_TURNS = (Kind.ACCURACY, Kind.THROUGHPUT, Kind.CLIENTS, Kind.OPEN_LOOP, Kind.SLO)  # then the replay and the starts

_MOST_S = 24 * 3600
_MOST_ROUNDS = 1_000_000_000

_SESSION = pytest.StashKey[_Session]()
_CLOCK = pytest.StashKey[ReplayClock]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that say how to measure."""
    add_option(parser, "--client-cpu", metavar="N", help="CPU that the client is pinned to; the last usable one if not given")
    add_option(
        parser,
        "--ratio-to",
        metavar="NAME",
        help="backend or endpoint that speeds are compared with; the first of the 2018 study that is measured if not given",
    )
    add_option(
        parser,
        "--batch-sizes",
        metavar="N[,N...]",
        default=DEFAULT_BATCH_SIZES,
        help="images a request of the throughput scenarios: 1 is `single`, 8 is `batch8`; accuracy is asked 128 at a time",
    )
    add_option(parser, "--seed", metavar="N", default="42", help="seed of the order of slices and of the bootstrap")
    add_option(
        parser, "--gate", metavar="PERCENT", help="fail a cell that is surely slower than its --baseline by more than this: 5%%"
    )
    add_option(
        parser,
        "--clients",
        metavar="LIST",
        default=",".join(map(str, CLIENTS)),
        help="numbers of clients of the concurrency sweep, each in a closed loop",
    )
    add_option(
        parser,
        "--loads",
        metavar="LIST",
        default=",".join(f"{100 * load:g}%" for load in LOADS),
        help="what the open loop offers: parts of what a server carries, like 70%%, or requests a second, like 200/s",
    )
    arrivals = "|".join(ARRIVALS)
    add_option(parser, "--arrivals", metavar=arrivals, default="poisson", help="gaps of the open loop's schedule")
    add_option(
        parser,
        "--slo",
        metavar="TIME",
        default="15ms",
        help="limit of the 99th percentile of latency, for which the highest rate is looked for, like 15ms; 0 looks for none",
    )
    add_option(parser, "--starts", metavar="N", default="3", help="how often each backend is started for the start-up; 0: not")
    add_flag(parser, "--strict-backends", help="a backend that cannot be measured fails instead of being skipped")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the hooks known through which fixtures and reports take part."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle what kind of session this is, before pytest-benchmark does."""
    scenarios = "the traffic patterns that a benchmark is parametrised with; Kind.THROUGHPUT: those of --batch-sizes"
    config.addinivalue_line("markers", f"scenarios(*scenarios): {scenarios}")
    only, disable = bool(config.getoption("benchmark_only")), bool(config.getoption("benchmark_disable"))
    if only and disable:
        # pytest-benchmark refuses the pair; here it means: the benchmarks only, one exchange each (smoke).
        config.option.benchmark_only = False
    try:
        cpu = client_cpu(get_option(config, "--client-cpu"))
        gate = threshold_of(get_option(config, "--gate"))
        planned = _scenarios_of_kinds(config)
        _settings(config)
        starts_of(get_option(config, "--starts"))
        get_flag(config, "--strict-backends")
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        # No path on the command line: the benchmarks if they are asked for, else the suite's own tests.
        config.args = [str(config.rootpath / ("bench" if only or disable else "tests"))]
    now = datetime.now(UTC)
    config.stash[_SESSION] = _Session(
        smoke=disable,
        client_cpu=cpu,
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}",
        started_utc=now.isoformat(timespec="seconds"),
        gate=gate,
        scenarios=planned,
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ask which backends are selected; a name that is none of theirs ends the session in one line."""
    config = session.config
    known = config.stash[_SESSION]
    known.backends = config.hook.pytest_servebench_backends(config=config) or ()
    try:
        _check_protocols(known.backends)
        known.ratio_to = checked_ratio_to(get_option(config, "--ratio-to"), known.backends)
        if config.getoption("benchmark_only") or known.smoke:
            known.resume = Resume(config.hook.pytest_servebench_earlier(config=config))
            known.resume.check_kind(smoke=known.smoke, gated=known.gate is not None)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `cell` over the selected backends' endpoints and the test's scenarios, `study_cell` over 2018's."""
    if "started_backend" in metafunc.fixturenames:
        started = _started(metafunc.config)
        metafunc.parametrize("started_backend", started, ids=[backend.name for backend in started])
    marker = metafunc.definition.get_closest_marker("scenarios")
    if marker is None:
        return
    config = metafunc.config
    cells = [cell for arg in marker.args for scenario in _scenarios(config, arg) for cell in _cells(config, scenario)]
    if "study_cell" in metafunc.fixturenames:
        # who gates wants to know about the change, who brings a model about that, not about 2018
        now = config.stash[_SESSION].gate is not None or get_option(config, "--inputs") is not None
        replayed = [] if now else replayed_cells(cells)
        metafunc.parametrize("study_cell", replayed, ids=[study.id for study in replayed])
    if "cell" not in metafunc.fixturenames:
        return
    metafunc.parametrize("cell", cells, ids=[_param_id(cell) for cell in cells])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every benchmark its replay clock and its group in pytest-benchmark's table; what is asked for most comes first."""
    items.sort(key=_turn)
    for item in items:
        param = _param_of(item)
        if param is not None:
            clock = item.stash[_CLOCK] = ReplayClock()
            item.add_marker(pytest.mark.benchmark(timer=clock.now, group=_group(param)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What the gate says, cell by cell."""
    rows = config.stash[_SESSION].gate_rows
    if rows:
        terminalreporter.section("servebench gate")
        for line in gate_lines(rows):
            terminalreporter.write_line(line)


@pytest.fixture
def replay(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Replay:
    """Hands this test's durations to pytest-benchmark."""
    return Replay(benchmark, request.node.stash[_CLOCK])


@pytest.fixture(scope="session")
def idle(pytestconfig: pytest.Config) -> IdleWatch:
    """Who of this session's servers burns CPU while idle: those are paused, whatever measures."""
    return IdleWatch(Console(pytestconfig).line)


@pytest.fixture(scope="session")
def resume(request: pytest.FixtureRequest, fleet: Fleet, emnist: Dataset, model: Model) -> Resume:
    """What is taken over from the run to be resumed; its records are this run's before anything is measured."""
    config, session = request.config, request.config.stash[_SESSION]
    resume, say = session.resume, Console(config).line
    if resume.is_empty:
        return resume
    try:
        resume.check(_run(config, fleet, emnist, model))
    except BadInput as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    session.facts.update(resume.facts)
    session.study, session.disagreements = resume.with_study(()), resume.disagreements
    session.startup = tuple(resume.startup)
    for line in resume.told(_selected_cells(request.session.items, config)):
        say(line)
    _emit_run(config, fleet, emnist, model, {})
    for record, samples in resume.records:
        _emit(config, record, samples)
    return resume


@pytest.fixture(scope="session")
def campaign(
    request: pytest.FixtureRequest, fleet: Fleet, emnist: Dataset, model: Model, idle: IdleWatch, resume: Resume
) -> Campaigns:
    """All measuring of this session; measures a scenario when its first cell is asked for."""
    config, session = request.config, request.config.stash[_SESSION]
    console = Console(config)
    return Campaigns(
        Plan(
            cells=_selected_cells(request.session.items, config),
            settings=_settings(config),
            client_cpu=session.client_cpu,
            ratio_to=session.ratio_to,
            strict=get_flag(config, "--strict-backends"),
            smoke=session.smoke,
            again=lambda cell: _again(config, cell),
            progress=lambda name: ProgressLine(name, console),
            say=console.line,
            emit_run=lambda facts: _emit_run(config, fleet, emnist, model, facts),
            emit=lambda record, samples: _emit(config, record, samples),
            emit_disagreements=session.disagreements.extend,
            emit_gate=lambda rows: setattr(session, "gate_rows", tuple(rows)),
            gate=session.gate,
            resume=resume,
        ),
        fleet,
        emnist,
        model,
        idle,
    )


@pytest.fixture(scope="session")
def study(
    request: pytest.FixtureRequest, fleet: Fleet, emnist: Dataset, model: Model, idle: IdleWatch, resume: Resume
) -> StudyReplay:
    """The replay of 2018; measures a scenario when its first cell is asked for."""
    config, session = request.config, request.config.stash[_SESSION]

    def emit(rows: Sequence[StudyRow]) -> None:
        session.study = () if session.smoke else resume.with_study(rows)
        _emit_beside(config, fleet, emnist, model, idle)

    params = map(_param_of, request.session.items)
    plan = StudyPlan(
        cells=[param for param in params if isinstance(param, StudyCell)],
        settings=_settings(config),
        client_cpu=session.client_cpu,
        smoke=session.smoke,
        say=Console(config).line,
        emit=emit,
        taken=resume.study,
    )
    return StudyReplay(plan, fleet, PayloadPress(emnist, model.predictor), idle)


def _scenarios_of_kinds(config: pytest.Config) -> Mapping[Kind, Sequence[Scenario]]:
    """What the options say of the traffic, by kind; raises BadInput."""
    limit_s = limit_of(get_option(config, "--slo"))
    return {
        Kind.THROUGHPUT: throughput_scenarios(get_option(config, "--batch-sizes") or DEFAULT_BATCH_SIZES),
        Kind.CLIENTS: [clients_scenario(clients) for clients in clients_of(get_option(config, "--clients"))],
        Kind.OPEN_LOOP: open_loops_of(get_option(config, "--loads"), get_option(config, "--arrivals")),
        Kind.SLO: [slo_scenario(limit_s)] if limit_s is not None else [],
    }


def _scenarios(config: pytest.Config, asked: Scenario | Kind) -> Sequence[Scenario]:
    """What a benchmark's marker stands for: a scenario itself, or those of its kind; who gates wants none under load."""
    if isinstance(asked, Scenario):
        return (asked,)
    session = config.stash[_SESSION]
    return session.scenarios[asked] if session.gate is None or asked not in UNDER_LOAD else ()


@pytest.fixture(scope="session")
def startup(
    request: pytest.FixtureRequest, fleet: Fleet, emnist: Dataset, model: Model, idle: IdleWatch, resume: Resume
) -> StartUps:
    """The start-up of all collected backends; measured when the first is asked for."""
    config, session = request.config, request.config.stash[_SESSION]

    def emit(rows: Sequence[StartRow]) -> None:
        session.startup = () if session.smoke else tuple(rows)
        _emit_beside(config, fleet, emnist, model, idle)

    params = map(_param_of, request.session.items)
    plan = StartPlan(
        backends=[param for param in params if isinstance(param, Backend)],
        starts=1 if session.smoke else starts_of(get_option(config, "--starts")),
        client_cpu=session.client_cpu,
        strict=get_flag(config, "--strict-backends"),
        smoke=session.smoke,
        say=Console(config).line,
        emit=emit,
        taken=resume.startup,
    )
    return StartUps(plan, fleet, PayloadPress(emnist, model.predictor), idle)


def _started(config: pytest.Config) -> list[Backend]:
    """The servers whose start-up is measured; who gates wants to know about the speed alone."""
    session = config.stash[_SESSION]
    if session.gate is not None or not starts_of(get_option(config, "--starts")):
        return []
    return [backend for backend in session.backends if backend.role is Role.SERVER]


def _check_protocols(backends: Sequence[Backend]) -> None:
    for endpoint in (endpoint for backend in backends for endpoint in backend.endpoints):
        if endpoint.protocol not in protocol_names():
            known = ", ".join(protocol_names())
            raise BadInput(
                f"backend {endpoint.backend}: endpoint {endpoint.name}: unknown protocol {endpoint.protocol!r}; known: {known}"
            )


def _seed(config: pytest.Config) -> int:
    text = get_option(config, "--seed") or "0"
    seed = whole_number(text, 0, 2**32 - 1)
    if seed is None:
        raise BadInput(f"--seed {text[:200]}: expected a whole number from 0 to {2**32 - 1}")
    return seed


def _settings(config: pytest.Config) -> Settings:
    """What pytest-benchmark's options mean here, where a cell has its whole time; raises BadInput."""
    max_time_s, min_rounds = float(config.getoption("benchmark_max_time")), int(config.getoption("benchmark_min_rounds"))
    if not 0 < max_time_s <= _MOST_S:  # also where it is no number
        raise BadInput(f"--benchmark-max-time {max_time_s:g}: expected seconds a cell, above 0 and at most {_MOST_S:,}")
    if min_rounds > _MOST_ROUNDS:
        raise BadInput(f"--benchmark-min-rounds {min_rounds}: expected rounds a cell, at most {_MOST_ROUNDS:,}")
    return Settings(
        max_time_s=max_time_s,
        min_rounds=min_rounds,
        precision=config.getoption("benchmark_precision"),
        confidence=float(config.getoption("benchmark_confidence")),
        seed=_seed(config),
    )


def _cells(config: pytest.Config, scenario: Scenario) -> list[Cell]:
    session = config.stash[_SESSION]
    wires = {endpoint.protocol for backend in session.backends if backend.role is Role.SERVER for endpoint in backend.endpoints}
    if scenario.kind in UNDER_LOAD:
        return [
            Cell(backend, endpoint, scenario)
            for backend in session.backends
            for endpoint in backend.endpoints
            # The reference has no wire that more than one could use, and null no limit to look for.
            if backend.role is Role.SERVER
            or (backend.role is Role.CEILING and scenario.kind is not Kind.SLO and (endpoint.protocol in wires or not wires))
        ]
    return [
        Cell(backend, endpoint, scenario)
        for backend in session.backends
        for endpoint in backend.endpoints
        # A ceiling is measured where something is held against it, or where it was asked for alone; it has no accuracy.
        # A baseline is there for its speed alone.
        if backend.role not in (Role.CEILING, Role.TWIN)
        or (scenario != ACCURACY and (backend.role is Role.TWIN or endpoint.protocol in wires or not wires))
    ]


def _param_id(cell: Cell) -> str:
    """What stands in brackets behind the test's name."""
    return cell.endpoint.id if cell.scenario == ACCURACY else cell.id


def _param_of(item: pytest.Item) -> Cell | StudyCell | Backend | None:
    """What a benchmark of this suite measures; None for any other item, and for one that nothing was selected for."""
    if not isinstance(item, pytest.Function) or "replay" not in item.fixturenames:
        return None
    params = item.callspec.params
    param = params.get("cell", params.get("study_cell", params.get("started_backend")))
    return param if isinstance(param, Cell | StudyCell | Backend) else None


def _selected_cells(items: Sequence[pytest.Item], config: pytest.Config) -> list[Cell]:
    """The cells of the collected tests, and the ceilings and the reference that they are held against."""
    chosen = [param for param in map(_param_of, items) if isinstance(param, Cell)]
    known = {cell.id for cell in chosen}
    wires = {(cell.endpoint.protocol, cell.scenario) for cell in chosen if cell.backend.role is Role.SERVER}
    gated = {(cell.backend.name, cell.endpoint.name, cell.scenario) for cell in chosen}
    for scenario in dict.fromkeys(cell.scenario for cell in chosen):
        for cell in _cells(config, scenario):
            needed = cell.backend.role is Role.REFERENCE or (cell.endpoint.protocol, scenario) in wires
            if cell.backend.role is Role.TWIN:
                needed = (cell.backend.twin_of, cell.endpoint.name, scenario) in gated
            if cell.backend.role is not Role.SERVER and needed and cell.id not in known:
                chosen.append(cell)
    return chosen


def _turn(item: pytest.Item) -> int:
    """Who stops a session early keeps what most people ask for; items that measure nothing keep their places before."""
    param = _param_of(item)
    if isinstance(param, Cell):
        return _TURNS.index(param.scenario.kind)
    return -1 if param is None else len(_TURNS)


def _group(param: Cell | StudyCell | Backend) -> str:
    if isinstance(param, Backend):
        return "start-up: seconds from the order to the first right answer, one fresh start each"
    if isinstance(param, StudyCell):
        return f"replay of 2018, {param.cell.scenario.name}: one after the other unless interleaved"
    scenario = param.scenario
    if scenario == ACCURACY:
        return "accuracy: one pass over all images, 128 a request, not interleaved"
    if scenario.kind is Kind.CLIENTS:
        return f"{scenario.name}: seconds an exchange of 1 image with {scenario.concurrency} client(s) at once"
    if scenario.kind in UNDER_LOAD:
        return f"{scenario.name}: seconds from the scheduled send, 1 image"
    return f"{scenario.name}: seconds an exchange of {scenario.batch_size} image{'s' if scenario.batch_size > 1 else ''}"


def _again(config: pytest.Config, cell: Cell) -> str:
    """The command that measures this cell again, as this session did."""
    given = {**{flag: get_option(config, flag) for flag in _SETS_THE_SCENE}, **options_for(cell.scenario)}
    # With "=": pytest takes a separate word that is an existing path for the place where it should look for its ini file.
    scene = [f"{flag}={value}" for flag, value in given.items() if value is not None]
    # With brackets the name of one cell is no part of another's: single is part of single-as-in-2018.
    return shlex.join(["pytest", "--benchmark-only", f"--backend={cell.backend.name}", "-k", f"[{_param_id(cell)}]", *scene])


def _emit_beside(config: pytest.Config, fleet: Fleet, dataset: Dataset, model: Model, idle: IdleWatch) -> None:
    """Tell the reports what was measured beside the cells; nothing in the smoke run."""
    if not config.stash[_SESSION].smoke:
        facts = {name: {**system.facts, **idle.facts(name)} for name, system in fleet.running.items()}
        _emit_run(config, fleet, dataset, model, facts)


def _emit_run(
    config: pytest.Config, fleet: Fleet, dataset: Dataset, model: Model, facts: Mapping[str, Mapping[str, object]]
) -> None:
    """Tell the reports what this run is; called again when more is known of the backends."""
    session = config.stash[_SESSION]
    for backend in session.backends:  # also those that could not be had
        varied = {"variant_of": backend.variant_of, "differs": backend.differs} if backend.variant_of else {}
        session.facts.setdefault(backend.name, {"summary": backend.summary, "sets": sorted(backend.sets), **varied})
    for name, known in facts.items():
        session.facts[name] = {**session.facts.get(name, {}), **known}
    config.hook.pytest_servebench_run(config=config, run=_run(config, fleet, dataset, model))


def _run(config: pytest.Config, fleet: Fleet, dataset: Dataset, model: Model) -> Run:
    session = config.stash[_SESSION]
    if session.confusion is None and dataset.labels is not None:
        session.confusion = confusion_of(dataset, model.predictor(dataset.images))
    if session.machine is None:
        session.machine = environment(session.client_cpu, fleet.server_cpus)
    machine = session.machine
    warnings = session.resume.warnings(warnings_about(machine))
    if dataset.synthetic:
        warnings.append(f"The images are a synthetic stand-in ({dataset.source}): accuracy says nothing about EMNIST.")
    return Run(
        id=session.run_id,
        started_utc=session.started_utc,
        command=shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        engine=fleet.engine,
        environment=machine,
        dataset={
            "name": dataset.name,
            "n": len(dataset),
            "sha256": dataset.sha256,
            "synthetic": dataset.synthetic,
            "labelled": dataset.labels is not None,
            "own": get_option(config, "--inputs") is not None,
        },
        model={
            "name": model.name,
            "sha256": model.given_sha256 or model.sha256,
            "input_width": model.input_width,
            "input_shape": list(model.input_shape),
            "classes": model.classes,
        },
        options={
            **asdict(_settings(config)),
            "ratio_to": session.ratio_to.wanted,
            "strict": get_flag(config, "--strict-backends"),
        },
        backends=dict(session.facts),
        warnings=tuple(warnings),
        study=session.study,
        startup=session.startup,
        confusion=session.confusion,
        disagreements=tuple(session.disagreements),
        gate=tuple(session.gate_rows),
    )


def _emit(config: pytest.Config, record: Record, samples: Samples | None) -> None:
    config.hook.pytest_servebench_record(config=config, record=record, samples=samples)
