"""A session's beginning and end with the options of pytest and pytest-benchmark: what was measured is kept, its path said.

Each entry is a session with the project's plugins, in a folder and a process of its own; what it measures is replayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_benchmark.plugin

from tests.bad_input.case import USAGE, Write
from tests.bad_input.jobs import Job, Outcomes, outcomes_of

OK, FAILED, PLUGIN_FAILED = 0, 1, 3
CONFTEST = """
import sys, types, warnings
sys.modules["reports.renderers.files"] = types.SimpleNamespace(
    write_reports=lambda folder, stored: (folder / "report.html").write_text("drawn elsewhere")
)
pytest_plugins = ["bench.plugin", "fixtures.plugin", "reports.plugin"]
"""
CELL = """
import os
import pytest
from bench.session.benchmark_bridge import ReplayClock
from tests.reports.records import a_record, a_run, some_samples

clock = ReplayClock()

@pytest.mark.benchmark(timer=clock.now)
def test_cell(benchmark, pytestconfig):
    hook, record = pytestconfig.hook, a_record()
    hook.pytest_servebench_run(config=pytestconfig, run=a_run())
    hook.pytest_servebench_record(config=pytestconfig, record=record, samples=some_samples(record))
    clock.load([float(os.environ.get("DURATION_S", "0.001"))] * 5)
    benchmark.pedantic(clock.advance, rounds=5)
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """A session with `arguments` ends with `code`, says `words`, leaves `files`; refused (4) it has measured nothing.

    `{here}` is its folder, `{saved}` one that all share, with a run that was saved in the first of them. `conftest` stands in
    its conftest.py behind the plugins.
    """

    name: str
    arguments: tuple[str, ...]
    code: int = OK
    words: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    conftest: str = ""
    write: Write = lambda here: None
    environment: Mapping[str, str] = field(default_factory=dict)
    measures: bool = True


def shut(name: str) -> Write:
    """Makes a folder that may be looked at and not written to."""
    return lambda here: (here / name).mkdir(mode=0o555)


SAVED = ("--benchmark-storage={saved}",)
COMPARE = (*SAVED, "--benchmark-compare")
SLOW = {"DURATION_S": "0.002"}
FAILING = "def {hook}(): raise OSError(28, 'No space left on device')\n"

ENDINGS: Sequence[Ending] = [
    Ending("saved first", (*SAVED, "--benchmark-autosave", "--benchmark-save-data")),
    Ending("nothing special", ()),
    # pytest-benchmark: what is written
    Ending("json", ("--benchmark-json=x.json",), files=("x.json",)),
    Ending("json: again", ("--benchmark-json=x.json",), files=("x.json",), write=lambda here: (here / "x.json").touch()),
    Ending("json: no folder", ("--benchmark-json=new/x.json",), USAGE, ("--benchmark-json new/x.json", "folder that exists")),
    Ending("json: a folder", ("--benchmark-json=.",), USAGE, ("--benchmark-json .", "expected a file")),
    Ending("json: shut", ("--benchmark-json=a/x.json",), USAGE, ("--benchmark-json a/x.json", "written"), write=shut("a")),
    Ending("json: no value", ("--benchmark-json",), USAGE, ("expected one argument",)),
    Ending("save", ("--benchmark-save=mine",), files=(".benchmarks",)),
    Ending("save: shut", ("--benchmark-save=mine", "--benchmark-storage=a"), USAGE, ("--benchmark-save",), write=shut("a")),
    Ending("save: bad name", ("--benchmark-save=a/b",), USAGE, ("Must not contain",)),
    Ending("autosave: shut", ("--benchmark-autosave", "--benchmark-storage=a/b"), USAGE, ("autosave",), write=shut("a")),
    Ending("storage: unknown", ("--benchmark-autosave", "--benchmark-storage=s3://a"), USAGE, ("--benchmark-storage s3://a",)),
    Ending(
        "histogram: no pygal",
        ("--benchmark-histogram",),
        USAGE,
        ("pip install pygal",),
        conftest="sys.modules['pygal'] = None\n",
    ),
    # pytest-benchmark: what is compared
    Ending("compare: nothing saved", ("--benchmark-compare",), words=("Can't compare. No benchmark files",)),
    Ending("compare", COMPARE, words=("Comparing against benchmarks from", "(NOW)")),
    Ending("compare: named", (*COMPARE[:-1], "--benchmark-compare=0001"), words=("(0001_",)),
    Ending("compare: no such", (*COMPARE[:-1], "--benchmark-compare=0007"), USAGE, ("--benchmark-compare 0007",)),
    Ending("compare: no pattern", ("--benchmark-compare=a/b/c",), USAGE, ("--benchmark-compare a/b/c",)),
    Ending("compare, fail: passes", (*COMPARE, "--benchmark-compare-fail=mean:500%")),
    Ending(
        "compare, fail: fails",
        (*COMPARE, "--benchmark-compare-fail=mean:5%"),
        FAILED,
        ("slower than the saved",),
        environment=SLOW,
    ),
    Ending("compare-fail alone", ("--benchmark-compare-fail=mean:5%",), USAGE, ("--benchmark-compare beside it",)),
    Ending("compare, fail: nothing saved", ("--benchmark-compare", "--benchmark-compare-fail=mean:5%"), USAGE, ("seen none",)),
    Ending("compare-fail: no value", ("--benchmark-compare", "--benchmark-compare-fail=often"), USAGE, ("often",)),
    # pytest-benchmark: what is shown
    Ending(
        "shown", ("--benchmark-sort=name", "--benchmark-columns=min,ops", "--benchmark-name=long", "--benchmark-time-unit=ms")
    ),
    Ending("sort: unknown", ("--benchmark-sort=x",), USAGE, ("Unacceptable value: 'x'",)),
    Ending("group-by", ("--benchmark-group-by=fullfunc,param",)),
    Ending("group-by: unknown", ("--benchmark-group-by=x",), USAGE, ("--benchmark-group-by x",)),
    Ending("quiet", ("--benchmark-quiet",)),
    Ending("verbose", ("--benchmark-verbose",)),
    # pytest-benchmark: what a replay cannot do
    Ending("cprofile", ("--benchmark-cprofile=tottime",), USAGE, ("no function to profile",)),
    Ending("cprofile-dump", ("--benchmark-cprofile-dump=x",), USAGE, ("no function to profile",)),
    Ending("timer", ("--benchmark-timer=time.process_time",), USAGE, ("--benchmark-timer time.process_time",)),
    Ending("several workers", ("-n2",), USAGE, ("-n: expected one process",)),
    # pytest
    Ending("junit", ("--junit-xml=new/x.xml",), files=("new/x.xml",)),
    Ending("junit: shut", ("--junit-xml=a/x.xml",), USAGE, ("--junit-xml a/x.xml",), write=shut("a")),
    Ending("junit: a folder", ("--junit-xml=.",), USAGE, ("must be a filename",)),
    Ending("log-file", ("--log-file=x.log",), files=("x.log",)),
    Ending("log-file: shut", ("--log-file=a/x.log",), USAGE, ("--log-file a/x.log",), write=shut("a")),
    Ending("warnings are errors", ("-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning")),
    Ending("no cache", ("-p", "no:cacheprovider")),
    Ending("cache: shut", ("-o", "cache_dir=a/b"), words=("could not create cache path",), write=shut("a")),
    Ending("no terminal", ("-p", "no:terminal")),
    Ending("no summary", ("--no-summary",)),
    Ending("no warnings", ("-p", "no:warnings")),
    Ending("hardly a word", ("-qq", "--tb=no", "--no-header")),
    Ending("strict", ("--strict",)),
    Ending("first failure", ("-x", "--maxfail=1", "--durations=3", "--setup-show", "--capture=no")),
    Ending("debug", ("--debug=x", "--basetemp=t"), files=("x",)),
    Ending("only fixtures", ("--setup-plan",), words=("fixtures used",), measures=False),
    # other plugins
    Ending(
        "another's end fails",
        (),
        PLUGIN_FAILED,
        ("another plugin failed", "No space"),
        conftest=FAILING.format(hook="pytest_sessionfinish"),
    ),
    Ending(
        "another's summary fails", (), PLUGIN_FAILED, ("No space",), conftest=FAILING.format(hook="pytest_terminal_summary")
    ),
    Ending("another warns", (), words=("I warn",), conftest="def pytest_sessionfinish(): warnings.warn('I warn')\n"),
]


def job(ending: Ending, number: int, parent: Path) -> Job:
    """What the worker is told; prepares the session's folder."""
    here = parent / f"{number:02}"
    here.mkdir()
    ending.write(here)
    (here / "pytest.ini").write_text("[pytest]\n")
    (here / "conftest.py").write_text(CONFTEST + ending.conftest)
    (here / "test_cell.py").write_text(CELL)
    places = {"{here}": str(here), "{saved}": str(parent / "saved")}
    arguments = ["--benchmark-only", "--engine=process", "--backend=null", "--report-dir=out", *ending.arguments]
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    return Job(ending.name, "session", str(here), arguments, ending.environment)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below it each session has its folder."""
    return tmp_path_factory.mktemp("endings")


@pytest.fixture(scope="module")
def outcomes(place: Path) -> Outcomes:
    """What became of each."""
    return outcomes_of([job(ending, number, place) for number, ending in enumerate(ENDINGS)], place)


@pytest.mark.parametrize("ending", ENDINGS, ids=[ending.name for ending in ENDINGS])
def test_nothing_measured_is_lost(ending: Ending, outcomes: Outcomes, place: Path) -> None:
    """The documented exit code, no traceback, the report written and its path said wherever something was measured."""
    code, said = outcomes[ending.name]
    assert "Traceback" not in said, said
    assert "INTERNALERROR" not in said, said
    assert code == ending.code, said
    for word in ending.words:
        assert word in said
    here = place / f"{ENDINGS.index(ending):02}"
    measured = ending.measures and code != USAGE
    assert (here / "out").exists() == measured
    if measured:
        folder = (here / "out" / "latest").resolve()
        assert {"results.json", "samples.npz", "report.html"} <= {each.name for each in folder.iterdir()}
        assert f"Report:  {folder / 'report.html'}" in said
        assert f"Results: {folder / 'results.json'}" in said
    for name in ending.files:
        assert (here / name).exists()


class Declared:
    """Notes which options a plugin declares."""

    def __init__(self) -> None:
        self.flags: set[str] = set()

    def getgroup(self, name: str) -> Declared:
        return self

    def addoption(self, flag: str, *more: str, **_: Any) -> None:
        self.flags.add(flag)


def test_every_option_of_pytest_benchmark_is_decided() -> None:
    """In the table above or that of bad input; or it says how to measure a function, which nothing here is."""
    declared = Declared()
    pytest_benchmark.plugin.pytest_addoption(declared)  # type: ignore[no-untyped-call]
    tried = {argument.partition("=")[0] for ending in ENDINGS for argument in ending.arguments}
    tried |= {"--benchmark-max-time", "--benchmark-min-rounds", "--benchmark-precision", "--benchmark-confidence"}
    tried |= {"--benchmark-only", "--benchmark-disable"}
    about_functions = {
        *("--benchmark-min-time", "--benchmark-calibration-precision", "--benchmark-warmup", "--benchmark-warmup-iterations"),
        *("--benchmark-disable-gc", "--benchmark-skip", "--benchmark-enable", "--benchmark-netrc"),
        *("--benchmark-cprofile-loops", "--benchmark-cprofile-top"),
    }
    assert declared.flags - about_functions == {flag for flag in tried if flag.startswith("--benchmark")}
