"""Every entry of the table: a clear error, the documented exit code, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bad_input import files, options, results
from tests.bad_input.case import Case

CASES: Sequence[Case] = [*options.cases(), *files.cases(), *results.cases()]
WORKER = Path(__file__).with_name("worker.py")
LEFT_OUT = ("EMNIST_ARCHIVE", "PYTEST_ADDOPTS", "COLUMNS", "DOCKER_HOST")
TIMEOUT_S = 900


def job(number: int, case: Case, parent: Path) -> dict[str, object]:
    """What the worker is told; prepares the case's folder."""
    here = parent / f"{number:04}"
    here.mkdir()
    case.write(here)
    if not (here / "pytest.ini").exists():
        (here / "pytest.ini").write_text("[pytest]\n")
    return {
        "name": case.name,
        "program": case.program,
        "folder": str(here),
        "arguments": [argument.replace("{here}", str(here)) for argument in case.arguments],
        "environment": {name: value.replace("{here}", str(here)) for name, value in case.environment.items()},
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, tuple[int, str]]:
    """By name, exit code and output of each selected entry."""
    parent = tmp_path_factory.mktemp("bad-input")
    params = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [spec.params.get("case") for spec in params if spec is not None]
    wanted = {case.name for case in chosen if isinstance(case, Case)}
    jobs = [job(number, case, parent) for number, case in enumerate(CASES) if case.name in wanted]
    environment = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    with (parent / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, str(WORKER)],
            input=json.dumps(jobs),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**environment, "COLUMNS": "200", "XDG_CACHE_HOME": str(parent / "cache")},
            timeout=TIMEOUT_S,
            check=False,
        )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    return {name: (code, output) for name, code, output in said}


def test_no_name_stands_twice() -> None:
    """Else an entry would be judged by another's outcome."""
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input_is_told_clearly(case: Case, outcomes: dict[str, tuple[int, str]]) -> None:
    """The exit code that is documented, the words that help, no traceback."""
    assert case.name in outcomes, "the worker died or hung before it, or with it"
    code, said = outcomes[case.name]
    assert "Traceback" not in said, said
    assert "INTERNALERROR" not in said, said
    assert code == case.code, said[-3000:]
    for word in case.words:
        assert word in said, (word, said[-3000:])


def test_every_option_is_in_the_table() -> None:
    """One that is added gets its entries; switches take no value."""
    root = Path(__file__).parents[2]
    plugins = [(root / package / "plugin.py").read_text() for package in ("bench", "fixtures", "reports")]
    declared = {flag for text in plugins for flag in re.findall(r'add_option\(\s*parser,\s*"(--[a-z-]+)"', text)}
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
