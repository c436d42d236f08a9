"""A run that is killed and resumed, as a user does it, on real processes: nothing is lost, nothing is measured twice."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from tests import sessions
from tests.sessions import ROOT

SCENARIOS = ("accuracy", "single", "batch128")

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def options(out: Path, *arguments: str) -> list[str]:
    """One endpoint of flask, no replay, nothing under load: three scenarios of two or three cells."""
    own = ["--benchmark-only", "--engine=process", "--backend=flask", "--benchmark-max-time=0.4"]
    own += ["-k", "raw or reference", "-m", "not replay", "--starts=0"]
    return [*own, *arguments, f"--report-dir={out}"]


def run(out: Path, *arguments: str) -> tuple[int, str]:
    done = sessions.run(*options(out, *arguments))
    return done.returncode, done.stdout + done.stderr


def killed_after(out: Path, cells: int, before: Callable[[], None] = lambda: None) -> Path:
    """Start a run, do something and then kill it once so many cells are on the disk; its folder."""
    with subprocess.Popen(
        sessions.command(*options(out)),
        cwd=ROOT,
        env=sessions.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        until = time.monotonic() + 240
        while time.monotonic() < until and process.poll() is None:
            lines = [line for path in out.glob("*/records.jsonl") for line in path.read_text().splitlines()]
            if len(lines) >= cells:
                break
            time.sleep(0.02)
        try:
            before()
        finally:
            process.send_signal(signal.SIGKILL)
    (folder,) = [path.parent for path in out.glob("*/records.jsonl")]
    return folder


def cells_of(folder: Path) -> dict[str, dict[str, Any]]:
    cells = json.loads((folder / "results.json").read_text())["cells"]
    return {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in cells}


def told(said: str, start: str) -> Sequence[str]:
    (line,) = [line for line in said.splitlines() if line.startswith(f"servebench resume: {start}")]
    return [name.strip() for name in line.rpartition(": ")[2].split(",")]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module go."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def killed(out: Path) -> Path:
    """The folder of a run that was killed (SIGKILL) while it measured its second scenario."""
    return killed_after(out, cells=2)


def test_a_run_that_still_goes_on_is_refused_by_name(tmp_path: Path) -> None:
    """Exit code 4, nothing measured, no folder made; the run that goes on is not touched."""
    refused: list[tuple[int, str]] = []
    folder = killed_after(tmp_path, cells=1, before=lambda: refused.append(run(tmp_path, "--resume=latest")))
    ((code, said),) = refused
    assert code == 4, said
    assert f"--resume {folder}: expected a run that has ended, seen one that still goes on" in said
    assert "starting" not in said


def test_a_killed_run_is_resumed(out: Path, killed: Path) -> None:
    """All cells are there; those finished before the kill are the very same, marked, durations included; the folder is new."""
    before = {path.name: path.read_bytes() for path in killed.iterdir() if path.is_file()}
    first = [json.loads(line) for line in (killed / "records.jsonl").read_text().splitlines()]
    code, said = run(out, "--resume=latest")
    assert code == 0, said
    resumed = (out / "latest").resolve()
    assert resumed != killed
    cells = cells_of(resumed)
    kept = {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in first}
    assert {cell["scenario"] for cell in cells.values()} == set(SCENARIOS)
    assert set(told(said, f"{len(kept)} cells taken over")) == set(kept)
    assert set(told(said, f"{len(cells) - len(kept)} cells missing")) == set(cells) - set(kept)
    old = json.loads((killed / "run.json").read_text())["run"]["id"]
    for name, cell in cells.items():
        if name in kept:
            assert cell == {**kept[name], "taken_from": old}
        else:
            assert cell["taken_from"] is None
            assert cell["exchanges"] > 0
    with np.load(resumed / "samples.npz") as samples:
        assert {name.partition("/")[0] for name in samples.files} == set(cells)
    assert {path.name: path.read_bytes() for path in killed.iterdir() if path.is_file()} == before, "it stays as it was"
    document = json.loads((resumed / "results.json").read_text())
    jsonschema.validate(document, json.loads((ROOT / "reports" / "store" / "schema.json").read_text()))
    assert any("taken over" in warning and old in warning for warning in document["run"]["warnings"])
    assert "taken over" in (resumed / "report.html").read_text()


def test_a_whole_run_is_resumed_without_a_measurement(out: Path) -> None:
    """Every cell is taken over from where it was measured; no server starts."""
    before = cells_of((out / "latest").resolve())
    code, said = run(out, f"--resume={out / 'latest'}")
    assert code == 0, said
    assert "starting" not in said
    after = cells_of((out / "latest").resolve())
    assert {name: cell["images_per_s"] for name, cell in after.items()} == {
        name: cell["images_per_s"] for name, cell in before.items()
    }
    assert all(cell["taken_from"] for cell in after.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--benchmark-max-time=0.5",), "option max_time_s: 0.4 then, 0.5 now"),
        (("--seed=7",), "option seed: 42 then, 7 now"),
        (("--server-cpus=0,1",), "server_cpus"),
        (("--model={model}",), "model: sha256"),
    ],
)
def test_what_differs_is_refused_by_name(
    out: Path, killed: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 4, nothing measured, nothing left; the command that the run was called with stands beside it."""
    if len(os.sched_getaffinity(0)) < 2 and "--server-cpus=0,1" in arguments:
        pytest.skip("one CPU")
    model = tmp_path / "other.onnx"
    content = (ROOT / "fixtures" / "model" / "emnist-mlp.onnx").read_bytes()
    model.write_bytes(content + b"\x32\x01x")  # a doc_string: another file with the same weights
    folders = sorted(out.iterdir())
    code, said = run(out, f"--resume={killed}", *(argument.format(model=model) for argument in arguments))
    assert code == 4, said
    assert words in said
    assert str(killed) in said
    assert "that run was: pytest" in said
    assert "starting" not in said
    assert sorted(out.iterdir()) == folders
