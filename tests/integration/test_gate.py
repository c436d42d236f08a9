"""The gate as CI calls it, on real processes: the same code does not fail, a handler that became slower does, by name."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import sessions
from tests.integration.checkout import copy_checkout
from tests.sessions import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SLOWER = """
from time import perf_counter

_served = app.wsgi_app


def _slower(environ, start_response):
    began = perf_counter()
    body = list(_served(environ, start_response))
    until = perf_counter() + 0.5 * (perf_counter() - began)
    while perf_counter() < until:
        pass
    return body


app.wsgi_app = _slower
"""


def gated(root: Path, out: Path, max_time_s: float) -> tuple[int, str]:
    """A gate of 10 % against this very checkout, flask's single images alone."""
    options = ["--benchmark-only", "--engine=process", "--backend=flask", "-k", "flask-rest-single"]
    options += [f"--baseline={ROOT}", "--gate=10%", f"--report-dir={out}", f"--junit-xml={out}/junit.xml"]
    done = sessions.run(*options, f"--benchmark-max-time={max_time_s}", root=root)
    return done.returncode, done.stdout + done.stderr


def test_the_same_code_does_not_fail(tmp_path: Path) -> None:
    """It passes or says that it cannot tell; the figures stand in results.json, the words in both reports."""
    code, said = gated(ROOT, tmp_path, 0.3)
    assert code == 0, said
    assert "servebench gate" in said
    run = json.loads((tmp_path / "latest" / "results.json").read_text())
    (row,) = run["run"]["gate"]
    assert row["cell"] == "flask-rest-single"
    assert row["outcome"] in ("pass", "cannot tell")
    assert row["noise"] is not None
    assert {cell["backend"] for cell in run["cells"] if cell["role"] == "twin"} == {
        "flask-again",
        "flask-baseline",
        "flask-baseline-again",
    }
    for name in ("report.html", "report.md"):
        assert "Noise floor" in (tmp_path / "latest" / name).read_text()


def test_a_slower_handler_fails_by_name(tmp_path: Path) -> None:
    """Half as slow again: far beyond any noise; exit code 1, the cell in terminal and JUnit."""
    root = tmp_path / "checkout"
    copy_checkout(root)
    with (root / "fixtures" / "backends" / "flask" / "app.py").open("a") as file:
        file.write(SLOWER)
    code, said = gated(root, tmp_path / "out", 1.0)
    assert code == 1, said
    assert "flask-rest-single: gate: -" in said
    failures = {
        case.get("name"): failure.get("message")
        for case in ElementTree.parse(tmp_path / "out" / "junit.xml").iter("testcase")
        for failure in case.iter("failure")
    }
    assert set(failures) == {"test_throughput[flask-rest-single]"}
    assert "at most 10 % slower is allowed" in str(failures["test_throughput[flask-rest-single]"])
