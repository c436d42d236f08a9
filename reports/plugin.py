"""The report side of a pytest session: stores what the measuring side hands over, renders it at the end, prints where it is.

Once measuring has begun, no hook raises: a full disk or a mistake in a chart must not cost an hour of measuring.
"""

import platform
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.contract.console import REPORT, Console, encodable, stopwatch_of
from bench.contract.errors import BadInput
from bench.contract.options import OptionGroup, as_given, given_path, option, path_option
from bench.contract.records import EarlierRun, Record, Run, Samples
from reports.store.folder_lock import is_held
from reports.store.store import RunStore, load_run, named_run

_DEFAULT = "reports/out"
_UNKNOWN_RUN = Run(id="unknown", started_utc="", command="", engine="unknown", environment={}, dataset={}, model={}, options={})


def _report_dir(text: str | None, config: pytest.Config) -> Path:
    """The report folder: relative to the working directory if typed, to pytest's root if from the ini file or the default."""
    given = text or _DEFAULT
    base = config.rootpath if given == (config.getini("report_dir") or _DEFAULT) else config.invocation_params.dir
    return given_path("--report-dir", given, base)


@dataclass(frozen=True, slots=True)
class ReportOptions(OptionGroup):
    """Where reports go, and which run is resumed."""

    report_dir: Path = path_option(
        _report_dir,
        metavar="DIR",
        default=_DEFAULT,
        help="where each run gets its folder with results and reports",
        repeated=False,
    )
    resume: str | None = option(
        as_given,  # read only when the session measures
        metavar="RUN",
        help="measure only what is missing in this run: its folder, or latest for the newest in --report-dir, ended or not",
        repeated=False,
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options: where reports go, and which run is resumed."""
    ReportOptions.add_to(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Parse the options and register one `Reporter`; raises pytest.UsageError for wrong options."""
    try:
        options = ReportOptions.parse(config)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(Reporter(options.report_dir), "servebench-reporter")


class Reporter:
    """Implements the measuring side's hooks; makes a folder only with the first result, so that other sessions leave none."""

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self._run = _UNKNOWN_RUN
        self._store: RunStore | None = None
        self._problems: list[str] = []
        self._shown = False
        self._told = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_servebench_earlier(self, config: pytest.Config) -> EarlierRun | None:
        """The run to resume, None without --resume; raises BadInput if it cannot be read or is still running."""
        given = ReportOptions.of(config).resume
        if given is None:
            return None
        folder = named_run(given, config.invocation_params.dir, self.parent)
        stored = load_run(folder)
        if is_held(folder):
            raise BadInput(
                f"--resume {folder}: expected a run that has ended, seen one that still goes on (run {stored.run.id}); "
                "wait for its end or stop it, or name another run's folder"
            )
        return EarlierRun(str(folder), stored.run, stored.records, stored.samples)

    @pytest.hookimpl(optionalhook=True)
    def pytest_servebench_run(self, run: Run) -> None:
        """Keep the newest facts of the run."""
        self._run = run
        if run.study or run.startup or run.soak:  # these are results too: they need a folder even if no cell was measured
            self._guard("What was measured beside the cells could not be kept", lambda: self._opened().update_run(run))
        store = self._store
        if store is not None:
            self._guard("The run's facts could not be kept", lambda: store.update_run(run))

    @pytest.hookimpl(optionalhook=True)
    def pytest_servebench_record(self, record: Record, samples: Samples | None) -> None:
        """Write a finished cell to disk at once."""
        self._guard(f"The cell {record.id} could not be kept", lambda: self._opened().add(record, samples))

    @pytest.hookimpl(optionalhook=True)
    def pytest_servebench_underway(self, config: pytest.Config, cells: Sequence[tuple[Record, Samples]]) -> None:
        """Keep the cells under way beside the finished ones; when none is under way any more, show the first table, once."""
        store = self._store
        if cells or store is not None:
            self._guard("The cells under way could not be kept", lambda: self._opened().keep_underway(cells))
        if not cells and store is not None and not self._shown:
            self._guard("The first table could not be shown", lambda: self._show_first(store, Console(config)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_servebench_end(self, config: pytest.Config) -> None:
        """Complete the results first, then render the reports."""
        with stopwatch_of(config).phase(REPORT):
            self._finish()

    def _finish(self) -> None:
        store = self._store
        if store is None:
            return
        self._guard("The results could not be completed", store.finish)
        folder = store.folder
        if folder is not None:
            again = f"The results are safe; render them again with: python -m reports {folder}"
            self._guard(f"The report could not be rendered. {again}", lambda: _render(store, folder))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Generator[None]:
        """Print the answer below pytest-benchmark's own tables, even if those raise."""
        try:
            yield
        finally:
            self._sum_up(terminalreporter, config)

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """If no summary was printed (--no-summary, a plugin that failed), at least print where the results are."""
        if self._store is not None and not self._told:
            for line in (*_places(self._store), *self._warnings()):
                Console(config).line(line)

    def _sum_up(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        store = self._store
        if store is None and not self._problems:
            return
        self._told = True
        terminalreporter.section("servebench")
        if store is not None:
            self._guard("The summary could not be made", lambda: _summarise(store, terminalreporter))
            for line in ("", *_places(store), f"Time:    {stopwatch_of(config).told()}"):
                terminalreporter.write_line(encodable(line))
        for warning in self._warnings():
            terminalreporter.write_line(encodable(warning), yellow=True)

    def _warnings(self) -> list[str]:
        problems = (*(self._store.problems if self._store is not None else ()), *self._problems)
        return [f"WARNING: {problem}" for problem in problems]

    def _show_first(self, store: RunStore, console: Console) -> None:
        """Print the first table as soon as its speeds are known; the whole answer comes at the end."""
        # This imports matplotlib: see _render.
        from reports.renderers.terminal import first_table

        for line in first_table(store.stored):
            self._shown = True
            console.plain(line)

    def _opened(self) -> RunStore:
        if self._store is None:
            host = str(self._run.environment.get("host") or platform.node())
            self._store = RunStore(self.parent, self._run, host)
        return self._store

    def _guard(self, what: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # any error: see the module's docstring
            self._problems.append(f"{what} ({type(error).__name__}: {error})")


def _render(store: RunStore, folder: Path) -> None:
    # matplotlib takes a second to import: a session without a record (unit tests, --help) must not pay for it.
    from reports.renderers.files import write_reports

    write_reports(folder, store.stored)


def _summarise(store: RunStore, terminalreporter: pytest.TerminalReporter) -> None:
    # The sections import the charts, and so matplotlib: see _render.
    from reports.renderers.terminal import summary_lines
    from reports.sections.report import build_report

    for line in summary_lines(build_report(store.stored)):
        terminalreporter.write_line(encodable(line))


def _places(store: RunStore) -> list[str]:
    """Lines with the paths of the report, if there is one, and of the results; none without a folder."""
    if store.folder is None:
        return []
    report, results = store.folder / "report.html", store.folder / "results.json"
    return [f"Report:  {report}", f"Results: {results}"] if report.exists() else [f"Results: {results}"]
