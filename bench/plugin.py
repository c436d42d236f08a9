"""The measuring side's pytest plugin: options, collection, session state, the bridge to pytest-benchmark.

The fixtures that measure are in `bench/session/measuring.py`.
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
    """Add the options of how to measure."""
    MeasuringOptions.add_to(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hooks through which fixtures and reports take part."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, choose what pytest collects, create the session's state; before pytest-benchmark is configured."""
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
        # pytest-benchmark rejects both together; here they mean: only the benchmarks, one exchange each (smoke).
        config.option.benchmark_only = False
    try:
        check_foreign_options(config)
        options = MeasuringOptions.parse(config)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
    inside = config.invocation_params.dir.is_relative_to(_BENCH.parent)
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        # No path on the command line: the benchmarks with --benchmark-only or -disable, else the suite's own tests.
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
    """The session's scenarios of all experiments, whichever tests are selected later."""
    return [scenario for of_one in config.stash[SESSION].scenarios.values() for scenario in of_one]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Get the selected backends, and check the options that need them; what is wrong ends the session with one line."""
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
    """Parametrise `cell` over the selected backends' endpoints and the test's scenarios, `study_cell` over 2018's.

    `started_backend` is parametrised over the servers whose start-up is measured.
    """
    if "started_backend" in metafunc.fixturenames:
        started = started_backends(metafunc.config)
        metafunc.parametrize("started_backend", started, ids=[backend.name for backend in started])
    marker = metafunc.definition.get_closest_marker("scenarios")
    if marker is None:
        return
    config = metafunc.config
    cells = [cell for arg in marker.args for scenario in scenarios_for(config, arg) for cell in cells_of(config, scenario)]
    if "study_cell" in metafunc.fixturenames:
        # no replay with --gate, which is about a change, or with the user's own inputs, which are not those of 2018
        now = config.stash[SESSION].gate is not None or value_of(config, "inputs") is not None
        replayed = [] if now else replayed_cells(cells)
        metafunc.parametrize("study_cell", replayed, ids=[study.id for study in replayed])
    if "cell" not in metafunc.fixturenames:
        return
    metafunc.parametrize("cell", cells, ids=[param_id(cell) for cell in cells])


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Deselect long benchmarks that -m does not name, order the rest, give each its replay clock and its table heading."""
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
    """Refuse a grouping that pytest-benchmark could not do at the end; say once what is measured without load agents."""
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
    """Choose the cells in pytest-benchmark's tables, see `one_table`."""
    return one_table(config, benchmarks)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """After a Ctrl-C, hold back a second one until `pytest_sessionfinish`: pytest would die of it while reporting the first."""
    try:
        return (yield)
    except KeyboardInterrupt:
        session.config.stash[SESSION].interrupted.enter_context(held_back())
        raise


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Write the reports, even if Ctrl-C or SIGTERM comes meanwhile; the exit code is then that of an interruption.

    A second signal stops the writing, and what is written by then stays. Neither shows a traceback.
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


# Runs around pytest-benchmark's hook, which saves and compares, and within the terminal's, which then still shows the summary.
@pytest.hookimpl(wrapper=True, specname="pytest_sessionfinish")
def pytest_others_finish(session: pytest.Session) -> Generator[None]:
    """Turn a failure of another plugin into a line and an exit code, so that the summary is still shown."""
    with _survived(session.config):
        yield


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Generator[None]:
    """Show the gate's rows, cell by cell, then the summaries of other plugins."""
    rows = config.stash[SESSION].gate_rows
    if rows:
        terminalreporter.section("servebench gate")
        for line in gate_lines(rows):
            terminalreporter.write_line(encodable(line))
    with _survived(config):
        yield


@contextmanager
def _survived(config: pytest.Config) -> Iterator[None]:
    """Print what another plugin raises as one line, and keep the exit code for it, which holds if nothing else failed."""
    try:
        yield
    except Exception as error:  # of any kind: all that was measured is written by now
        state = config.stash[SESSION]
        if isinstance(error, PerformanceRegression):  # pytest-benchmark has listed the cells
            state.others_failed = pytest.ExitCode.TESTS_FAILED
            Console(config).line("--benchmark-compare-fail: slower than the saved run by more than it allows")
        else:
            state.others_failed = state.others_failed or pytest.ExitCode.INTERNAL_ERROR
            Console(config).line(f"WARNING: another plugin failed at the end: {type(error).__name__}: {error}")


@pytest.fixture
def replay(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> Replay:
    """What passes this test's durations to pytest-benchmark."""
    return Replay(benchmark, request.node.stash[_CLOCK])
