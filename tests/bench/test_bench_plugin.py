"""The command line as a user meets it: what is collected, what bad input gets, and the smoke run. Real pytest processes."""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bench.session.options import MeasuringOptions
from fixtures.options import PreparingOptions
from reports.plugin import ReportOptions
from tests import sessions
from tests.fixtures.models import convolutional
from tests.sessions import ROOT


def run(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in sessions.environment(variables).items() if name != "EMNIST_ARCHIVE"}
    return subprocess.run(sessions.command(*arguments), cwd=cwd, env=kept, capture_output=True, text=True, timeout=240)


def test_plain_pytest_collects_the_tests_and_no_benchmark() -> None:
    """`pytest` runs the suite's own tests; which of them is not asked here, so that they need not be imported."""
    found = run("--collect-only", "-q", "--ignore-glob=*/tests/[b-z]*/*", "--ignore-glob=*/test_[b-z]*").stdout
    assert "tests/test_alone.py" in found
    assert "bench/test_throughput.py" not in found


def test_benchmark_only_collects_the_benchmarks_and_no_test() -> None:
    """`pytest --benchmark-only` runs the benchmarks of the selected backends, the instruments included."""
    found = run("--benchmark-only", "--collect-only", "-q", "--backend", "flask").stdout
    assert "test_throughput[flask-rest-single]" in found
    assert "test_throughput[flask-raw-batch128]" in found
    assert "test_throughput[null-v1-json-single]" in found
    assert "test_accuracy[flask-rest]" in found
    assert "test_accuracy[reference-in-process]" in found
    assert "fastapi" not in found
    assert "null-graphpipe" not in found, "a ceiling is measured only where something is held against it"
    assert "test_startup[flask]" in found
    assert "test_startup[null]" not in found
    assert "test_startup[reference]" not in found
    assert "tests/" not in found
    assert "test_replay_2018[flask-rest-single" in found
    assert "slo15ms" not in found, "load takes long"


@pytest.mark.parametrize(
    ("options", "ceilings"),
    [
        (["--url=mine=raw@http://192.0.2.7:80/"], set()),
        (["--url=mine=raw@http://127.0.0.1:80/"], {"raw"}),
        (["--url=mine=raw@http://192.0.2.7:80/", "--backend=flask"], {"raw", "v1-json"}),
        (["--url=mine=v2-json@http://192.0.2.7:80/v2/models/m", "--backend=flask"], {"raw", "v1-json"}),
    ],
)
def test_null_is_measured_for_servers_of_this_machine_alone(options: list[str], ceilings: set[str]) -> None:
    """It is no ceiling of a server elsewhere, and load agents elsewhere could not reach it."""
    found = run("--benchmark-only", "--collect-only", "-q", "-k", "c08", "-m", "load", *options).stdout
    assert "test_concurrency[mine-" in found
    assert set(re.findall(r"\[null-(\S+)-c08\]", found)) == ceilings


@pytest.mark.parametrize(
    ("options", "load", "mission"),
    [
        (("-m", "load"), True, False),
        (("-m", "load or not load"), True, True),
        (("-m", "not replay"), False, True),
        (("-k", "slo15ms"), True, False),
        (("-k", "flask"), False, True),
    ],
)
def test_load_is_measured_where_it_is_asked_for(options: tuple[str, ...], load: bool, mission: bool) -> None:
    """By a word of -m, or by -k where nothing else has that name."""
    found = run("--benchmark-only", "--collect-only", "-q", "--backend=flask", *options).stdout
    assert ("test_slo[flask-rest-slo15ms]" in found) == load
    assert ("test_throughput[flask-rest-single]" in found) == mission


@pytest.mark.parametrize("inside", [True, False])
def test_no_path_is_needed_elsewhere(inside: bool, tmp_path: Path) -> None:
    """In a folder of the checkout, and in any other with the checkout's `-c FILE`, the benchmarks are found all the same."""
    done = run("--benchmark-only", "--collect-only", "-q", "--backend", "flask", cwd=ROOT / "docs" if inside else tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test_throughput[flask-rest-single]" in done.stdout


@pytest.mark.parametrize("option", ["--starts=0", "--gate=5%"])
def test_start_up_can_be_left_out(option: str) -> None:
    """By its number of starts; and who gates wants to know about the speed alone."""
    more = ("--baseline=HEAD",) if option.startswith("--gate") else ()
    found = run("--benchmark-only", "--collect-only", "-q", "--backend", "flask", option, *more).stdout
    assert "test_throughput[flask-rest-single]" in found
    assert "test_startup[flask]" not in found


def test_batch_sizes_are_scenarios() -> None:
    """Each its own cells, smallest first; the ceiling goes along; accuracy and the replay stay as they are."""
    found = run("--benchmark-only", "--collect-only", "-q", "--backend=flask", "--batch-sizes=8,1,32").stdout
    cells = [
        line.partition("[flask-raw-")[2].rstrip("]") for line in found.splitlines() if "test_throughput[flask-raw-" in line
    ]
    assert cells == ["single", "batch8", "batch32"]
    assert "test_throughput[null-raw-batch32]" in found
    assert "test_accuracy[flask-rest]" in found
    assert "test_replay_2018[flask-rest-batch128" in found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-m", "load"), []),
        (("-k", "single and not replay"), ["ignored by single, which one client asks"]),
        ((), ["ignored by accuracy, batch128, single, the replay and start-up, which one client asks"]),
    ],
)
def test_what_several_agents_do_not_send_is_said_once(options: tuple[str, ...], said: list[str]) -> None:
    """What is under load they send; all else is measured as without them."""
    found = run("--benchmark-only", "--collect-only", "-q", "--backend=flask", "--agents=2", *options).stdout
    lines = [line for line in found.splitlines() if "--agents 2: " in line]
    assert [line.partition("--agents 2: ")[2].partition(";")[0] for line in lines] == said


def test_help_shows_every_option_in_one_group() -> None:
    """Options and ini keys of all three plugins stand in `pytest --help`."""
    text = run("--help").stdout
    group = text[text.index("servebench: benchmark of model serving") :]
    for declared in (MeasuringOptions, PreparingOptions, ReportOptions):
        for each in declared.declared().values():
            assert each.is_borrowed or f"  {each.flag}" in group
    assert "ratio_to" in group


@pytest.mark.integration
def test_a_model_of_ones_own_is_asked_about_its_own_inputs(tmp_path: Path) -> None:
    """Its shape, its inputs, no labels: the reference and null answer, the report says what was not measured."""
    convolutional(tmp_path / "mine.onnx")
    np.savez(tmp_path / "mine.npz", inputs=np.random.default_rng(0).random((20, 1, 28, 28), dtype=np.float32))
    done = run(
        *(
            "--benchmark-only",
            "--backend=null",
            "--engine=process",
            "--benchmark-max-time=0.05",
            "--batch-sizes=1,8",
        ),
        *(f"--model={tmp_path / 'mine.onnx'}", f"--inputs={tmp_path / 'mine.npz'}", f"--report-dir={tmp_path / 'out'}"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out" / "latest" / "results.json").read_text())
    reference = {cell["scenario"]: cell for cell in results["cells"] if cell["backend"] == "reference"}
    assert set(reference) == {"single", "batch8", "accuracy"}
    for cell in reference.values():
        assert (cell["verdict"], cell["accuracy"], cell["agreement"]) == ("VALID", None, 1.0)
    assert [each["shape"] for each in results["model"]["inputs"]] == [[-1, 1, 28, 28]]
    assert results["model"]["sha256"] == hashlib.sha256((tmp_path / "mine.onnx").read_bytes()).hexdigest()
    assert (results["dataset"]["name"], results["dataset"]["n"], results["dataset"]["labelled"]) == ("mine", 20, False)
    assert results["run"]["confusion"] is None
    assert results["run"]["study"] == []
    page = (tmp_path / "out" / "latest" / "report.html").read_text()
    assert "no labels" in page
    assert "2018 and today" not in page


@pytest.mark.integration
def test_smoke_run_does_one_exchange_a_cell_and_leaves_no_report(tmp_path: Path) -> None:
    """`--benchmark-only --benchmark-disable`: real servers, one verified exchange a cell, no statistics, no report."""
    done = run(
        *("--benchmark-only", "--benchmark-disable", "--backend", "null", "--engine", "process"),
        *("--report-dir", str(tmp_path / "out")),
        EMNIST_ARCHIVE=os.environ.get("EMNIST_ARCHIVE", ""),
        XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "null: starting" in done.stdout + done.stderr
    assert "OPS" not in done.stdout
    assert not (tmp_path / "out").exists()
