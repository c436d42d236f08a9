"""One declaration makes an option: in --help, as an ini key, checked, in the command that measures again, in results.json."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

TOY = """
from dataclasses import dataclass
import pytest
from bench.contract.errors import BadInput
from bench.contract.options import OptionGroup, option


def colour(text):
    if text not in (None, "red", "blue"):
        raise BadInput(f"--colour {text}: expected red or blue")
    return text


@dataclass(frozen=True, slots=True)
class Toy(OptionGroup):
    colour: str = option(colour, metavar="WORD", default="red", help="what it looks like", written_as="colour")


def pytest_addoption(parser):
    Toy.add_to(parser)


def pytest_configure(config):
    try:
        Toy.parse(config)
    except BadInput as error:
        raise pytest.UsageError(str(error)) from error
"""

ASKING = """
import json, shlex
from bench.contract.options import free_options, repeated_arguments, written_options


def test_it(pytestconfig):
    again = repeated_arguments(pytestconfig, {"--slo": "5ms"})
    print("\\nTOLD", json.dumps([again, written_options(pytestconfig), sorted(free_options(pytestconfig))]))
"""


def session(folder: Path, *arguments: str, ini: str = "") -> tuple[int, str]:
    """A session with all three plugins and the toy; its exit code and output."""
    (folder / "toy.py").write_text(TOY)
    (folder / "test_asking.py").write_text(ASKING)
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    plugins = ("bench.plugin", "fixtures.plugin", "reports.plugin", "toy")
    chosen = [word for name in plugins for word in ("-p", name)]
    kept = {name: value for name, value in os.environ.items() if name != "EMNIST_ARCHIVE" and not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, "-p", "no:cacheprovider", "-s", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def told(output: str) -> tuple[list[str], dict[str, object], list[str]]:
    """What the session's test saw."""
    (line,) = [line for line in output.splitlines() if line.startswith("TOLD ")]
    again, written, free = json.loads(line.removeprefix("TOLD "))
    return again, written, free


def test_what_was_given_is_repeated_and_written(tmp_path: Path) -> None:
    """With the seed, the measuring time and the way out; what says which cells there are is not repeated."""
    given = [
        "--colour=blue",
        "--seed=7",
        "--allow-egress",
        "--benchmark-max-time=0.25",
        "--engine=process",
        "--batch-sizes=1,8",
        "--may-load=one.example",
        "--may-load=two.example",
    ]
    code, output = session(tmp_path, *given, "--benchmark-precision=0.05", "--clients=1,2", "--starts=1", "--strict-backends")
    assert code == 0, output
    again, written, free = told(output)
    wanted = {*given, "--benchmark-precision=0.05", "--slo=5ms", "--client-priority=auto"}
    assert set(again) == wanted, shlex.join(again)
    assert written == {
        "ratio_to": None,
        "seed": 7,
        "strict": True,
        "max_time_s": 0.25,
        "min_rounds": 5,
        "precision": 0.05,
        "confidence": 0.99,
        "allow_egress": True,
        "timeout_s": None,
        "accuracy_batch": 0,
        "agents": 0,
        "ray": "",
        "tolerance": None,
        "random_inputs": None,
        "scores_output": "",
        "colour": "blue",
        "url": [],
        "may_load": ["one.example", "two.example"],
    }
    assert free == ["strict"]


def test_an_ini_key_holds_where_no_option_does(tmp_path: Path) -> None:
    """It is repeated as well, for another checkout may have another file."""
    code, output = session(tmp_path, "--seed=8", ini="seed = 7\ncolour = blue\nallow_egress = true\n")
    assert code == 0, output
    again, written, _ = told(output)
    assert (written["seed"], written["colour"], written["allow_egress"]) == (8, "blue", True)
    assert {"--seed=8", "--colour=blue", "--allow-egress"} <= set(again)


@pytest.mark.parametrize(("arguments", "ini"), [(("--colour=green",), ""), ((), "colour = green\n")])
def test_it_is_checked_wherever_it_stands(arguments: tuple[str, ...], ini: str, tmp_path: Path) -> None:
    """One line, exit code 4."""
    code, output = session(tmp_path, *arguments, ini=ini)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --colour green: expected red or blue" in output
    assert "Traceback" not in output


def test_help_shows_it_in_the_group(tmp_path: Path) -> None:
    """With its ini key and default."""
    group = session(tmp_path, "--help")[1].partition("servebench: benchmark of model serving:")[2].partition("\n\n")[0]
    assert "what it looks like (ini: colour; default: red)" in " ".join(group.split())
