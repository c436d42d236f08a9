"""The reporter in a pytest session of its own, fed through the hooks as the measuring side does it."""

import json
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
CONFTEST = """
import sys
sys.path.insert(0, {root!r})
import bench.contract.hooks
pytest_plugins = ["reports.plugin"]

def pytest_addhooks(pluginmanager):
    pluginmanager.add_hookspecs(bench.contract.hooks)

def pytest_sessionfinish(session):
    session.config.hook.pytest_servebench_end(config=session.config)
"""
BROKEN_RENDERING = """
import reports.renderers.files

def broken(folder, stored):
    raise ZeroDivisionError("chart")

reports.renderers.files.write_reports = broken
"""
MEASURING = """
from tests.reports.records import a_record, a_run, some_samples, unmeasured

def test_measures(pytestconfig):
    hook = pytestconfig.hook
    hook.pytest_servebench_run(config=pytestconfig, run=a_run(warnings=()))
    record = a_record()
    hook.pytest_servebench_record(config=pytestconfig, record=record, samples=some_samples(record))
    hook.pytest_servebench_record(config=pytestconfig, record=unmeasured("tfs", "single"), samples=None)
    hook.pytest_servebench_underway(config=pytestconfig, cells=())
    print("campaigns go on")
    hook.pytest_servebench_run(config=pytestconfig, run=a_run(warnings=("grown",)))
"""


@pytest.fixture
def session(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the reporter and one measuring test; every warning is an error."""
    pytester.makeconftest(CONFTEST.format(root=str(ROOT)))
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(MEASURING)
    return pytester


def run(session: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """In a process of its own: matplotlib cannot be imported twice into one."""
    return session.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments)


def test_session_with_records_leaves_results_and_reports(session: pytest.Pytester) -> None:
    """Below the root directory, `latest` pointing at it; the terminal shows the table at once and again at the end."""
    result = run(session, "-s")
    assert result.ret == 0
    folder = session.path / "reports" / "out" / "latest"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"results.json", "results.csv", "records.jsonl", "samples.npz", "report.md", "report.html", "charts"}
    assert {path.suffix for path in (folder / "charts").iterdir()} == {".svg", ".png"}
    assert json.loads((folder / "results.json").read_text())["run"]["warnings"] == ["grown"]
    result.stdout.fnmatch_lines(
        [
            *("Single images", "*flask-rest*612*VALID*", "campaigns go on"),
            *("*= servebench =*", "*flask-rest*612*VALID*", "NOT_MEASURED: tfs-rest*", "Report: *report.html"),
            "Time: *report * s, the rest * s",
        ]
    )
    result.stdout.no_fnmatch_line("WARNING:*")


def test_session_without_records_leaves_nothing(session: pytest.Pytester) -> None:
    """Unit tests of the suite make no folder and print nothing."""
    session.makepyfile("def test_nothing(): pass")
    result = run(session)
    assert result.ret == 0
    assert not (session.path / "reports").exists()
    result.stdout.no_fnmatch_line("*servebench*")


@pytest.mark.parametrize(
    ("arguments", "ini", "expected"),
    [
        ((), "", "reports/out"),
        ((), "report_dir = kept", "kept"),
        (("--report-dir", "mine"), "report_dir = kept", "elsewhere/mine"),
        (("--report-dir", "/abs"), "", "/abs"),
    ],
)
def test_report_dir_is_relative_to_where_it_was_written(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], ini: str, expected: str
) -> None:
    """On the command line: to where it was typed; in the ini file, or not at all: to that file."""
    (session.path / "elsewhere").mkdir()
    session.makeini(f"[pytest]\n{ini}\n")
    monkeypatch.chdir(session.path / "elsewhere")
    config = session.parseconfigure("--rootdir", "..", "-c", "../tox.ini", *arguments, "..")
    assert config.pluginmanager.getplugin("servebench-reporter").parent == session.path / expected


def test_unwritable_report_dir_does_not_stop_the_session(session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes to a temporary folder, and a warning says where; the exit code is that of the tests."""
    monkeypatch.setenv("TMPDIR", str(session.path))
    (session.path / "blocked").write_text("a file")
    result = run(session, "--report-dir", "blocked")
    assert result.ret == 0
    (warning,) = [line for line in result.stdout.lines if line.startswith("WARNING: Results could not be written")]
    (report,) = [line for line in result.stdout.lines if line.startswith("Report:")]
    folder = Path(report.removeprefix("Report:").strip()).parent
    assert str(folder) in warning
    assert (folder / "results.json").is_file()
    assert (folder / "report.html").is_file()


def test_mistake_in_rendering_loses_no_result(session: pytest.Pytester) -> None:
    """Results are written first; the warning holds the command that renders again."""
    session.makeconftest(CONFTEST.format(root=str(ROOT)) + BROKEN_RENDERING)
    result = run(session)
    assert result.ret == 0
    folder = (session.path / "reports" / "out" / "latest").resolve()
    assert len(json.loads((folder / "results.json").read_text())["cells"]) == 2
    result.stdout.fnmatch_lines(
        [f"WARNING: The report could not be rendered*python -m reports {folder}*ZeroDivisionError: chart*"]
    )
    result.stdout.no_fnmatch_line("Report: *")


def test_interrupted_session_keeps_what_was_measured(session: pytest.Pytester) -> None:
    """Ctrl-C in the middle: the finished cells are in the report."""
    session.makepyfile(MEASURING + "\ndef test_stops():\n    raise KeyboardInterrupt\n")
    result = run(session)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    folder = session.path / "reports" / "out" / "latest"
    assert len(json.loads((folder / "results.json").read_text())["cells"]) == 2
    assert (folder / "report.html").is_file()


def test_option_stands_in_the_help(session: pytest.Pytester) -> None:
    """With its ini key."""
    result = run(session, "--help")
    result.stdout.fnmatch_lines(["*--report-dir*DIR*"])
    assert "report_dir" in result.stdout.str()


RESUMING = """
import pytest
from bench.contract.errors import BadInput
from tests.reports.records import a_record, a_run

def test_asks_for_itself(pytestconfig):
    hook = pytestconfig.hook
    hook.pytest_servebench_run(config=pytestconfig, run=a_run())
    hook.pytest_servebench_record(config=pytestconfig, record=a_record(), samples=None)
    with pytest.raises(BadInput, match=f"--resume .*-bench-1: .*still goes on .run {a_run().id}.; wait"):
        hook.pytest_servebench_earlier(config=pytestconfig)

def test_asks_for_one_that_ended(pytestconfig):
    assert pytestconfig.hook.pytest_servebench_earlier(config=pytestconfig).run.id == a_run().id
"""


def test_a_run_that_still_goes_on_cannot_be_resumed(session: pytest.Pytester) -> None:
    """Refused by name while its session lives; afterwards it can be."""
    session.makepyfile(RESUMING)
    assert run(session, "--resume=latest", "-k", "itself").ret == 0
    assert run(session, "--resume=latest", "-k", "ended").ret == 0
