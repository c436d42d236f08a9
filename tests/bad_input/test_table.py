"""Every entry of the table: a clear error, the documented exit code, and never a traceback."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.contract.options import OptionGroup
from bench.session.options import MeasuringOptions
from fixtures.options import PreparingOptions
from reports.plugin import ReportOptions
from tests.bad_input import files, options, results
from tests.bad_input.case import Case
from tests.bad_input.jobs import Job, Outcomes, assert_refused, outcomes_of

CASES: Sequence[Case] = [*options.cases(), *files.cases(), *results.cases()]


def job(number: int, case: Case, parent: Path) -> Job:
    """What the worker is told; prepares the case's folder."""
    here = parent / f"{number:04}"
    here.mkdir()
    case.write(here)
    if not (here / "pytest.ini").exists():
        (here / "pytest.ini").write_text("[pytest]\n")
    return Job(
        case.name,
        case.program,
        str(here),
        [argument.replace("{here}", str(here)) for argument in case.arguments],
        {name: value.replace("{here}", str(here)) for name, value in case.environment.items()},
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Outcomes:
    """What became of each selected entry."""
    parent = tmp_path_factory.mktemp("bad-input")
    params = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [spec.params.get("case") for spec in params if spec is not None]
    wanted = {case.name for case in chosen if isinstance(case, Case)}
    return outcomes_of([job(number, case, parent) for number, case in enumerate(CASES) if case.name in wanted], parent)


def test_no_name_stands_twice() -> None:
    """Else an entry would be judged by another's outcome."""
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input_is_told_clearly(case: Case, outcomes: Outcomes) -> None:
    """The exit code that is documented, the words that help, no traceback."""
    assert_refused(outcomes, case.name, case.code, case.words)


def test_every_option_is_in_the_table() -> None:
    """One that is added gets its entries; switches take no value."""
    groups: tuple[type[OptionGroup], ...] = (MeasuringOptions, PreparingOptions, ReportOptions)
    declared = {each.flag for group in groups for each in group.declared().values() if not each.is_switch}
    tried = {argument.partition("=")[0] for case in options.cases() for argument in case.arguments}
    tried |= {argument.partition("=")[0] for case in files.cases() for argument in case.arguments}
    assert len(declared) > 15
    assert declared <= tried


def test_the_documentation_counts_the_entries() -> None:
    """Part by part: an entry that is added is counted in docs/reliability.md."""
    parts = {
        "options, ini keys, environment variables": [*options.cases()],
        "archives, models, inputs, `backend.toml`, caches, the page": [*files.cases()],
        "results and runs": [*results.cases()],
        "all": CASES,
    }
    text = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for name, cases in parts.items():
        assert f"| {name} | {len(cases):,} | 0 |" in text
