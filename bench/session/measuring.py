"""The fixtures with which a session's benchmarks measure; `bench/plugin.py` exports them to pytest."""

from collections.abc import Iterator, Sequence

import pytest

from bench.agents.agent_sender import AgentSender
from bench.agents.crew import Crew
from bench.agents.places import ThisMachine, agent_cpus
from bench.agents.ray_place import RayPlace, agent_nodes
from bench.agents.sizing import Sizing
from bench.contract.cells import Cell
from bench.contract.cluster.connection import Cluster
from bench.contract.cluster.of_session import cluster_of
from bench.contract.console import Console, stopwatch_of
from bench.contract.errors import BadInput
from bench.contract.options import free_options
from bench.contract.rows import StartRow, StudyRow
from bench.contract.scenarios import CONNECTIONS
from bench.contract.system import Backend, Dataset, Fleet, Model, Role, Truth
from bench.experiments import experiment_of
from bench.experiments.lane_builder import agents_asking
from bench.experiments.replay_2018 import StudyCell, StudyPlan, StudyReplay
from bench.experiments.resume import Resume
from bench.experiments.scenario_runner import Campaigns, Plan
from bench.experiments.startup import StartPlan, StartUps
from bench.machine.host import usable_cpus
from bench.machine.idle_cpu import IdleWatch
from bench.session.attached import as_answered, look_at_attached
from bench.session.listener import ReportsListener
from bench.session.options import MeasuringOptions
from bench.session.selection import again, cells_of, param_of, selected_cells
from bench.session.state import SESSION, emit_beside, emit_record, emit_run, run_of
from bench.verification.payloads import PayloadFactory


@pytest.fixture(scope="session")
def factory(pytestconfig: pytest.Config, dataset: Dataset, model: Model) -> PayloadFactory:
    """The payloads for all servers and the expected answers; servers that run already are checked before anything else."""
    options, session = MeasuringOptions.of(pytestconfig), pytestconfig.stash[SESSION]
    try:
        session.facts.update(look_at_attached(session.backends, model))
        if model.truth is Truth.NOBODY:
            model = as_answered(model, dataset, session.backends, session.facts)
    except BadInput as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return PayloadFactory(dataset, model, accuracy_batch=options.accuracy_batch, tolerance=options.tolerance)


@pytest.fixture(scope="session")
def idle(pytestconfig: pytest.Config) -> IdleWatch:
    """Finds the servers of this session that burn CPU while idle, and pauses them; shared by all kinds of measuring."""
    return IdleWatch(Console(pytestconfig).line)


@pytest.fixture(scope="session")
def crew(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, fleet: Fleet, factory: PayloadFactory
) -> Iterator[Crew | None]:
    """The load agents of --agents and --ray, which start when a cell under load is measured; None without these options."""
    options, session = MeasuringOptions.of(pytestconfig), pytestconfig.stash[SESSION]
    cluster = session.cluster = cluster_of(pytestconfig)
    if not options.agents and cluster is None:
        yield None
        return
    loaded = _loaded(request.session.items, pytestconfig)
    niceness = options.client_priority.beside(session.client_cpu, fleet.server_cpus).niceness
    number = options.agents
    place: ThisMachine | RayPlace = ThisMachine(agent_cpus(usable_cpus(), fleet.server_cpus, session.client_cpu), niceness)
    if cluster is not None:
        try:
            place = _on_nodes(cluster, pytestconfig, fleet, loaded, niceness)
            number = number or min(len(place.nodes), place.room)
            if isinstance(number, int):
                place.check(number)
        except BadInput as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)

    def ask_null(crew: Crew) -> AgentSender | None:
        null = [cell for cell in loaded if cell.backend.role is Role.CEILING and cell.server in fleet.running]
        return agents_asking(null[0], crew, fleet, factory, options.seed) if null else None

    auto = Sizing(place, min(place.room, CONNECTIONS), ask_null, Console(pytestconfig).line, session.null_by_agents)
    with Crew(number if isinstance(number, int) else auto, place) as agents:
        session.crew = agents
        yield agents


def _loaded(items: Sequence[pytest.Item], config: pytest.Config) -> list[Cell]:
    """The cells under load that this session measures; for the soak, whose test has no cells, those of all its backends."""
    scenarios = [scenario for of_kind in config.stash[SESSION].scenarios.values() for scenario in of_kind]
    cells = selected_cells(items, config) or [cell for scenario in scenarios for cell in cells_of(config, scenario)]
    return [cell for cell in cells if experiment_of(cell.scenario).loads]


def _on_nodes(cluster: Cluster, config: pytest.Config, fleet: Fleet, loaded: Sequence[Cell], niceness: int) -> RayPlace:
    """The nodes that agents run on; says on the terminal if only this machine's can reach all servers. Raises BadInput."""
    at_home = any(cell.endpoint.is_near for cell in loaded if cell.backend.attached or fleet.engine != "ray")
    if at_home:
        cluster.serving[cluster.own.id] = (*cluster.serving.get(cluster.own.id, ()), *fleet.server_cpus)
    nodes = agent_nodes(cluster, servers_at_home=at_home)
    if at_home and len({node.ip for node in cluster.nodes}) > 1:
        Console(config).line(
            "--ray: servers listen on this machine's loopback, so all load agents run on this machine; other nodes reach "
            "servers that run already elsewhere (--url)"
        )
    return RayPlace(cluster, nodes, config.stash[SESSION].client_cpu, niceness)


@pytest.fixture(scope="session")
def resume(request: pytest.FixtureRequest, fleet: Fleet, factory: PayloadFactory) -> Resume:
    """What is taken over from the run to be resumed; its records go to the reports before anything is measured."""
    config, session = request.config, request.config.stash[SESSION]
    resume, say = session.resume, Console(config).line
    if resume.is_empty:
        return resume
    try:
        resume.check(run_of(config, fleet, factory), free_options(config))
    except BadInput as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    session.facts.update(resume.facts)
    session.study, session.disagreements = resume.with_study(()), resume.disagreements
    session.startup = tuple(resume.startup)
    for line in resume.told(selected_cells(request.session.items, config)):
        say(line)
    emit_run(config, fleet, factory, {})
    for record, samples in resume.records:
        emit_record(config, record, samples)
    return resume


@pytest.fixture(scope="session")
def campaign(
    request: pytest.FixtureRequest, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch, resume: Resume, crew: Crew | None
) -> Campaigns:
    """The campaigns of this session; measures a scenario when the result of its first cell is requested."""
    config, session = request.config, request.config.stash[SESSION]
    return Campaigns(
        Plan(
            cells=selected_cells(request.session.items, config),
            settings=MeasuringOptions.of(config).settings,
            client_cpu=session.client_cpu,
            client_priority=MeasuringOptions.of(config).client_priority,
            ratio_to=session.ratio_to,
            again=lambda cell: again(config, cell),
            listener=ReportsListener(config, fleet, factory),
            strict=MeasuringOptions.of(config).strict_backends,
            smoke=session.smoke,
            gate=session.gate,
            resume=resume,
            stopwatch=stopwatch_of(config),
            may_load=MeasuringOptions.of(config).may_load,
            crew=crew,
        ),
        fleet,
        factory,
        idle,
    )


@pytest.fixture(scope="session")
def study(
    request: pytest.FixtureRequest, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch, resume: Resume
) -> StudyReplay:
    """The replay of 2018; measures a scenario when the result of its first cell is requested."""
    config, session = request.config, request.config.stash[SESSION]

    def emit(rows: Sequence[StudyRow]) -> None:
        session.study = () if session.smoke else resume.with_study(rows)
        emit_beside(config, fleet, factory, idle)

    params = map(param_of, request.session.items)
    plan = StudyPlan(
        cells=[param for param in params if isinstance(param, StudyCell)],
        settings=MeasuringOptions.of(config).settings,
        client_cpu=session.client_cpu,
        smoke=session.smoke,
        say=Console(config).line,
        emit=emit,
        taken=resume.study,
        stopwatch=stopwatch_of(config),
    )
    return StudyReplay(plan, fleet, factory, idle)


@pytest.fixture(scope="session")
def startup(request: pytest.FixtureRequest, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch, resume: Resume) -> StartUps:
    """The start-up of all collected backends; measured when the result of the first one is requested."""
    config, session = request.config, request.config.stash[SESSION]

    def emit(rows: Sequence[StartRow]) -> None:
        session.startup = () if session.smoke else tuple(rows)
        emit_beside(config, fleet, factory, idle)

    params, starts = map(param_of, request.session.items), MeasuringOptions.of(config).starts
    plan = StartPlan(
        backends=[param for param in params if isinstance(param, Backend)],
        starts=min(starts, 1) if session.smoke and starts else starts,
        client_cpu=session.client_cpu,
        strict=MeasuringOptions.of(config).strict_backends,
        smoke=session.smoke,
        say=Console(config).line,
        emit=emit,
        taken=resume.startup,
        stopwatch=stopwatch_of(config),
    )
    return StartUps(plan, fleet, factory, idle)
