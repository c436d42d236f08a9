"""The measuring side's pytest plugin: options, what is collected, the `campaign` fixture, the bridge to pytest-benchmark.

The fixtures of what is measured lie in `bench/session/measuring.py`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.session import PerformanceRegression

from bench.analysis.gate import gate_lines
from bench.analysis.standings import checked_ratio_to
from bench.contract import hooks
from bench.contract.cluster.address import check_reachable
from bench.contract.console import Console, encodable, stopwatch_of
from bench.contract.errors import BadInput
from bench.contract.interrupts import held_back, sigterm_as_ctrl_c
from bench.contract.options import value_of
from bench.contract.scenarios import Scenario
from bench.experiments.replay_2018 import replayed_cells
from bench.experiments.resume import Resume
from bench.session.benchmark_bridge import Replay, ReplayClock, one_table
from bench.session.foreign_options import check_foreign_options, check_groups
from bench.session.measuring import campaign, crew, factory, idle, resume, startup, study  # noqa: F401 - pytest finds them here
from bench.session.options import MeasuringOptions
from bench.session.selection import (
    cells_of,
    check_protocols,
    group_of,
    idle_agents,
    param_id,
    param_of,
    scenarios_for,
    scenarios_of_session,
    started_backends,
    turn_of,
    unasked_of,
)
from bench.session.state import SESSION, Session

_BENCH = Path(__file__).parent
_CLOCK = pytest.StashKey[ReplayClock]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that say how to measure."""
    MeasuringOptions.add_to(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make the hooks known through which fixtures and reports take part."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle what kind of session this is, before pytest-benchmark does."""
    scenarios = (
        "the traffic patterns that a benchmark is parametrised with; an experiment stands for those the session has of it"
    )
    config.addinivalue_line("markers", f"scenarios(*scenarios): {scenarios}")
    only, disable = bool(config.getoption("benchmark_only")), bool(config.getoption("benchmark_disable"))
    if only or disable:
        signals = ExitStack()
        config.add_cleanup(signals.close)
        signals.enter_context(sigterm_as_ctrl_c())
    if only and disable:
        # pytest-benchmark refuses the pair; here it means: the benchmarks only, one exchange each (smoke).
        config.option.benchmark_only = False
    try:
        check_foreign_options(config)
        options = MeasuringOptions.parse(config)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
    inside = config.invocation_params.dir.is_relative_to(_BENCH.parent)
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        # No path on the command line: the benchmarks if they are asked for, else the suite's own tests.
        config.args = [str(_BENCH if only or disable else _BENCH.with_name("tests"))]
    elif config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR and inside and (only or disable):
        config.args = [str(_BENCH)]
    stopwatch_of(config)
    now = datetime.now(UTC)
    config.stash[SESSION] = Session(
        smoke=disable,
        client_cpu=options.client_cpu,
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}",
        started_utc=now.isoformat(timespec="seconds"),
        gate=options.gate,
        scenarios=scenarios_of_session(options),
    )


def pytest_servebench_scenarios(config: pytest.Config) -> Sequence[Scenario]:
    """Those of all experiments, whatever is selected of them later."""
    return [scenario for of_one in config.stash[SESSION].scenarios.values() for scenario in of_one]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ask which backends are selected; a name that is none of theirs ends the session in one line."""
    config = session.config
    state = config.stash[SESSION]
    state.backends = config.hook.pytest_servebench_backends(config=config) or ()
    try:
        check_protocols(state.backends)
        state.ratio_to = checked_ratio_to(MeasuringOptions.of(config).ratio_to, state.backends)
        if config.getoption("benchmark_only") or state.smoke:
            if address := MeasuringOptions.of(config).ray:
                check_reachable(address)
            state.resume = Resume(config.hook.pytest_servebench_earlier(config=config))
            state.resume.check_kind(smoke=state.smoke, gated=state.gate is not None)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `cell` over the selected backends' endpoints and the test's scenarios, `study_cell` over 2018's."""
    if "started_backend" in metafunc.fixturenames:
        started = started_backends(metafunc.config)
        metafunc.parametrize("started_backend", started, ids=[backend.name for backend in started])
    marker = metafunc.definition.get_closest_marker("scenarios")
    if marker is None:
        return
    config = metafunc.config
    cells = [cell for arg in marker.args for scenario in scenarios_for(config, arg) for cell in cells_of(config, scenario)]
    if "study_cell" in metafunc.fixturenames:
        # who gates wants to know about the change, who brings a model about that, not about 2018
        now = config.stash[SESSION].gate is not None or value_of(config, "inputs") is not None
        replayed = [] if now else replayed_cells(cells)
        metafunc.parametrize("study_cell", replayed, ids=[study.id for study in replayed])
    if "cell" not in metafunc.fixturenames:
        return
    metafunc.parametrize("cell", cells, ids=[param_id(cell) for cell in cells])


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Order what is left of the selection; each benchmark gets its replay clock and its group in pytest-benchmark's table."""
    yield
    unasked = unasked_of(config, items)
    if unasked:
        config.hook.pytest_deselected(items=unasked)
    items[:] = sorted((item for item in items if item not in unasked), key=turn_of)
    for item in items:
        param = param_of(item)
        if param is not None:
            clock = item.stash[_CLOCK] = ReplayClock()
            item.add_marker(pytest.mark.benchmark(timer=clock.now, group=group_of(param)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse what pytest-benchmark could not group at the end; say once what --agents does not hold for."""
    try:
        check_groups(session.config, [item for item in session.items if param_of(item) is not None])
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
    if ignored := idle_agents(session.items, session.config):
        Console(session.config).line(ignored)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_benchmark_group_stats(
    config: pytest.Config, benchmarks: list[dict[str, Any]]
) -> list[tuple[str, list[dict[str, Any]]]] | None:
    """What stands in pytest-benchmark's tables."""
    return one_table(config, benchmarks)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """From the first Ctrl-C to the end's own care a second one waits: pytest would die of it while it words the first."""
    try:
        return (yield)
    except KeyboardInterrupt:
        session.config.stash[SESSION].interrupted.enter_context(held_back())
        raise


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Whoever ends the session while the reports are written gets them all the same, and the exit code of an interruption.

    Whoever insists gets what is written by then; either way without a traceback.
    """
    state, insisted = session.config.stash[SESSION], False
    state.interrupted.close()
    with held_back() as held:
        try:
            session.config.hook.pytest_servebench_end(config=session.config)
        except KeyboardInterrupt:
            insisted = True
        try:
            yield
        except KeyboardInterrupt:
            insisted = True
    if insisted or held.number is not None:
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    elif state.others_failed is not None and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = state.others_failed


# Outside of pytest-benchmark's, which saves and compares, and inside of the terminal's, which would sum nothing up.
@pytest.hookimpl(wrapper=True, specname="pytest_sessionfinish")
def pytest_others_finish(session: pytest.Session) -> Generator[None]:
    """Another plugin that fails now is a line and an exit code, not the end of the summary."""
    with _survived(session.config):
        yield


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Generator[None]:
    """What the gate says, cell by cell, and what others have to say."""
    rows = config.stash[SESSION].gate_rows
    if rows:
        terminalreporter.section("servebench gate")
        for line in gate_lines(rows):
            terminalreporter.write_line(encodable(line))
    with _survived(config):
        yield


@contextmanager
def _survived(config: pytest.Config) -> Iterator[None]:
    """Say what another plugin raises, and remember the exit code that it makes of a session that had none."""
    try:
        yield
    except Exception as error:  # whatever it is: all that was measured is written by now
        state = config.stash[SESSION]
        if isinstance(error, PerformanceRegression):  # pytest-benchmark has named the cells
            state.others_failed = pytest.ExitCode.TESTS_FAILED
            Console(config).line("--benchmark-compare-fail: slower than the saved run by more than it allows")
        else:
            state.others_failed = state.others_failed or pytest.ExitCode.INTERNAL_ERROR
            Console(config).line(f"WARNING: another plugin failed at the end: {type(error).__name__}: {error}")


@pytest.fixture
def replay(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Replay:
    """Hands this test's durations to pytest-benchmark."""
    return Replay(benchmark, request.node.stash[_CLOCK])
