"""Which cells a session has: what its options and selected backends come to, and what each collected test measures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import pytest

from bench.contract.cells import Cell
from bench.contract.errors import BadInput
from bench.contract.options import repeated_arguments
from bench.contract.scenarios import (
    ACCURACY,
    Kind,
    Scenario,
    clients_scenario,
    slo_scenario,
)
from bench.contract.system import Backend, Role
from bench.experiments.lane_builder import UNDER_LOAD
from bench.experiments.replay_2018 import StudyCell
from bench.protocols import protocol_names
from bench.session.load_options import open_loops_of, options_for
from bench.session.options import MeasuringOptions
from bench.session.state import SESSION

_TURNS = (Kind.ACCURACY, Kind.THROUGHPUT, Kind.CLIENTS, Kind.OPEN_LOOP, Kind.SLO)  # then the replay and the starts


def scenarios_of_kinds(options: MeasuringOptions) -> Mapping[Kind, Sequence[Scenario]]:
    """What the options say of the traffic, by kind."""
    return {
        Kind.THROUGHPUT: options.batch_sizes,
        Kind.CLIENTS: [clients_scenario(clients) for clients in options.clients],
        Kind.OPEN_LOOP: open_loops_of(options.loads, options.arrivals),
        Kind.SLO: [slo_scenario(options.slo)] if options.slo is not None else [],
    }


def scenarios_for(config: pytest.Config, asked: Scenario | Kind) -> Sequence[Scenario]:
    """What a benchmark's marker stands for: a scenario itself, or those of its kind; who gates wants none under load."""
    if isinstance(asked, Scenario):
        return (asked,)
    session = config.stash[SESSION]
    return session.scenarios[asked] if session.gate is None or asked not in UNDER_LOAD else ()


def started_backends(config: pytest.Config) -> list[Backend]:
    """The servers whose start-up is measured; who gates wants to know about the speed alone."""
    session = config.stash[SESSION]
    if session.gate is not None or not MeasuringOptions.of(config).starts:
        return []
    return [backend for backend in session.backends if backend.role is Role.SERVER]


def check_protocols(backends: Sequence[Backend]) -> None:
    """Raise BadInput for a backend that speaks what this side does not."""
    for endpoint in (endpoint for backend in backends for endpoint in backend.endpoints):
        if endpoint.protocol not in protocol_names():
            known = ", ".join(protocol_names())
            raise BadInput(
                f"backend {endpoint.backend}: endpoint {endpoint.name}: unknown protocol {endpoint.protocol!r}; known: {known}"
            )


def cells_of(config: pytest.Config, scenario: Scenario) -> list[Cell]:
    """The scenario's cells: the selected servers, and what they are held against."""
    session = config.stash[SESSION]
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


def param_id(cell: Cell) -> str:
    """What stands in brackets behind the test's name."""
    return cell.endpoint.id if cell.scenario == ACCURACY else cell.id


def param_of(item: pytest.Item) -> Cell | StudyCell | Backend | None:
    """What a benchmark of this suite measures; None for any other item, and for one that nothing was selected for."""
    if not isinstance(item, pytest.Function) or "replay" not in item.fixturenames:
        return None
    params = item.callspec.params
    param = params.get("cell", params.get("study_cell", params.get("started_backend")))
    return param if isinstance(param, Cell | StudyCell | Backend) else None


def selected_cells(items: Sequence[pytest.Item], config: pytest.Config) -> list[Cell]:
    """The cells of the collected tests, and the ceilings and the reference that they are held against."""
    chosen = [param for param in map(param_of, items) if isinstance(param, Cell)]
    known = {cell.id for cell in chosen}
    wires = {(cell.endpoint.protocol, cell.scenario) for cell in chosen if cell.backend.role is Role.SERVER}
    gated = {(cell.backend.name, cell.endpoint.name, cell.scenario) for cell in chosen}
    for scenario in dict.fromkeys(cell.scenario for cell in chosen):
        for cell in cells_of(config, scenario):
            needed = cell.backend.role is Role.REFERENCE or (cell.endpoint.protocol, scenario) in wires
            if cell.backend.role is Role.TWIN:
                needed = (cell.backend.twin_of, cell.endpoint.name, scenario) in gated
            if cell.backend.role is not Role.SERVER and needed and cell.id not in known:
                chosen.append(cell)
    return chosen


def turn_of(item: pytest.Item) -> int:
    """Who stops a session early keeps what most people ask for; items that measure nothing keep their places before."""
    param = param_of(item)
    if isinstance(param, Cell):
        return _TURNS.index(param.scenario.kind)
    return -1 if param is None else len(_TURNS)


def group_of(param: Cell | StudyCell | Backend) -> str:
    """Under which head it stands in pytest-benchmark's table."""
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


def again(config: pytest.Config, cell: Cell) -> str:
    """The command that measures this cell again, as this session did."""
    scene = repeated_arguments(config, options_for(cell.scenario))
    # With brackets the name of one cell is no part of another's: single is part of single-as-in-2018.
    return shlex.join(["pytest", "--benchmark-only", f"--backend={cell.backend.name}", "-k", f"[{param_id(cell)}]", *scene])
