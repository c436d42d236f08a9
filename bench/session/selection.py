"""Selects a session's cells: from its options and selected backends, and by what each collected test measures."""

import re
import shlex
from collections.abc import Mapping, Sequence

import pytest

from bench.contract.cells import Cell
from bench.contract.errors import BadInput
from bench.contract.options import repeated_arguments
from bench.contract.scenarios import LOADING_MARKS, Scenario
from bench.contract.system import Backend, Role
from bench.contract.wire import UNKNOWN
from bench.experiments import experiment_of, experiments
from bench.experiments.experiment import Experiment
from bench.experiments.replay_2018 import StudyCell
from bench.protocols import protocol_names
from bench.session.options import MeasuringOptions
from bench.session.state import SESSION


def scenarios_of_session(options: MeasuringOptions) -> Mapping[str, Sequence[Scenario]]:
    """The session's scenarios of each experiment, by the experiment's kind."""
    return {kind: experiment.scenarios(options) for kind, experiment in experiments().items()}


def scenarios_for(config: pytest.Config, asked: Scenario | Experiment) -> Sequence[Scenario]:
    """The scenarios that a benchmark's marker stands for: a scenario itself, or the session's scenarios of an experiment.

    None of an experiment that a session with --gate leaves out.
    """
    if isinstance(asked, Scenario):
        return (asked,)
    session = config.stash[SESSION]
    return session.scenarios[asked.kind] if session.gate is None or asked.with_gate else ()


def started_backends(config: pytest.Config) -> list[Backend]:
    """The servers whose start-up is measured: those that the suite starts; none with --gate, which is about speed alone."""
    session = config.stash[SESSION]
    if session.gate is not None or MeasuringOptions.of(config).starts == 0:
        return []
    return [backend for backend in session.backends if backend.role is Role.SERVER and not backend.attached]


def check_protocols(backends: Sequence[Backend]) -> None:
    """Raise BadInput for a backend whose protocol the measuring side does not support."""
    for endpoint in (endpoint for backend in backends for endpoint in backend.endpoints):
        if endpoint.protocol not in (*protocol_names(), UNKNOWN):
            known = ", ".join(protocol_names())
            raise BadInput(
                f"backend {endpoint.backend}: endpoint {endpoint.name}: unknown protocol {endpoint.protocol!r}; known: {known}"
            )


def cells_of(config: pytest.Config, scenario: Scenario) -> list[Cell]:
    """The scenario's cells: those of the selected servers, and those that they are compared with."""
    session = config.stash[SESSION]
    roles = experiment_of(scenario).roles
    cells = [
        Cell(backend, endpoint, scenario)
        for backend in session.backends
        if backend.role in roles
        for endpoint in backend.endpoints
    ]
    servers = [cell for cell in cells if cell.backend.role is Role.SERVER]
    near = {cell.endpoint.protocol for cell in servers if not cell.is_far}
    # A ceiling is measured if a server is compared with it, which a far one is not, or if no server is selected.
    return [cell for cell in cells if cell.backend.role is not Role.CEILING or cell.endpoint.protocol in near or not servers]


def param_id(cell: Cell) -> str:
    """The cell's id in the brackets after the test's name."""
    return experiment_of(cell.scenario).label(cell)


def param_of(item: pytest.Item) -> Cell | StudyCell | Backend | None:
    """What a benchmark of this suite measures; None for any other item, and for one whose selection is empty."""
    if not isinstance(item, pytest.Function) or "replay" not in item.fixturenames:
        return None
    params = item.callspec.params
    param = params.get("cell", params.get("study_cell", params.get("started_backend")))
    return param if isinstance(param, Cell | StudyCell | Backend) else None


def selected_cells(items: Sequence[pytest.Item], config: pytest.Config) -> list[Cell]:
    """The cells of the collected tests, and the ceilings, reference and twins that they are compared with."""
    chosen = [param for param in map(param_of, items) if isinstance(param, Cell)]
    ids = {cell.id for cell in chosen}
    wires = {(cell.endpoint.protocol, cell.scenario) for cell in chosen if cell.backend.role is Role.SERVER and not cell.is_far}
    gated = {(cell.backend.name, cell.endpoint.name, cell.scenario) for cell in chosen}
    for scenario in dict.fromkeys(cell.scenario for cell in chosen):
        for cell in cells_of(config, scenario):
            needed = cell.backend.role is Role.REFERENCE or (cell.endpoint.protocol, scenario) in wires
            if cell.backend.role is Role.TWIN:
                needed = (cell.backend.copy_of, cell.endpoint.name, scenario) in gated
            if cell.backend.role is not Role.SERVER and needed and cell.id not in ids:
                chosen.append(cell)
    return chosen


def unasked_of(config: pytest.Config, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The long benchmarks (load, scaling, replicas) to deselect: those that -m does not name; none if all selected are such."""
    asked = set(re.findall(r"\w+", config.option.markexpr))
    measuring = [item for item in items if param_of(item) is not None]
    unasked = [item for item in measuring if any(mark in item.keywords for mark in LOADING_MARKS - asked)]
    return unasked if len(unasked) < len(measuring) else []


def idle_agents(items: Sequence[pytest.Item], config: pytest.Config) -> str:
    """A sentence on what the session measures without its load agents; empty if there are no agents, or nothing is."""
    params = [param for param in map(param_of, items) if param is not None]
    alone = [param for param in params if not (isinstance(param, Cell) and experiment_of(param.scenario).loads)]
    options = MeasuringOptions.of(config)
    if not (options.agents or options.ray) or not alone:
        return ""
    names = sorted({param.scenario.name for param in alone if isinstance(param, Cell)})
    if len(alone) > sum(isinstance(param, Cell) for param in alone):
        names.append("the replay and start-up")
    given = f"--agents {options.agents}" if options.agents else f"--ray {options.ray}"
    return f"{given}: ignored by {', '.join(names)}, which one client asks; several send what is under load"


def turn_of(item: pytest.Item) -> int:
    """A test's sort key: the experiments in their order, then replay and start-up; items that measure nothing come first."""
    param = param_of(item)
    kinds = list(experiments())
    if isinstance(param, Cell):
        return kinds.index(param.scenario.kind)
    return -1 if param is None else len(kinds)


def group_of(param: Cell | StudyCell | Backend) -> str:
    """Its heading in pytest-benchmark's table."""
    if isinstance(param, Backend):
        return "start-up: seconds from the order to the first right answer, one fresh start each"
    if isinstance(param, StudyCell):
        return f"replay of 2018, {param.cell.scenario.name}: one after the other unless interleaved"
    return experiment_of(param.scenario).head(param.scenario)


def again(config: pytest.Config, cell: Cell) -> str:
    """The command that measures this cell again in the same way."""
    scene = repeated_arguments(config, experiment_of(cell.scenario).rerun_options(cell.scenario))
    # The brackets select this cell alone: without them, single would also select single-as-in-2018.
    name = cell.backend.given_as or cell.backend.name
    return shlex.join(["pytest", "--benchmark-only", f"--backend={name}", "-k", f"[{param_id(cell)}]", *scene])
