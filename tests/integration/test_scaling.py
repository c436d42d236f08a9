"""Scaling as a user measures it, on the process engine: real servers on one CPU and on two, to the report."""

import json
import os
from pathlib import Path

import pytest

from tests import sessions

CPUS = sorted(os.sched_getaffinity(0))

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(len(CPUS) < 2, reason="one CPU is no two"),
]


def servebench(*options: str, code: int = 0) -> str:
    """What it printed; it ends with that exit code."""
    done = sessions.run("--engine=process", *options)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_flask_and_fastapi_on_one_cpu_and_on_two(tmp_path: Path) -> None:
    """The client on the last of the two: all right and verified, the shared CPU told in both reports, nothing else measured."""
    cpus = f"--server-cpus={CPUS[0]},{CPUS[1]}"
    options = ("--benchmark-only", "--backend=flask,fastapi", "-m", "scaling", "--cpus=1,2", cpus, f"--client-cpu={CPUS[1]}")
    servebench(*options, f"--report-dir={tmp_path / 'out'}")
    folder = tmp_path / "out" / "latest"
    results = json.loads((folder / "results.json").read_text())
    cells = {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in results["cells"]}
    servers = [f"{backend}-{endpoint}" for backend in ("flask", "fastapi") for endpoint in ("rest", "raw")]
    wires = ["null-v1-json", "null-raw"]
    assert set(cells) == {f"{name}-cpus{count:02}" for name in (*servers, *wires) for count in (1, 2)}
    for name in servers:
        one, two = cells[f"{name}-cpus01"], cells[f"{name}-cpus02"]
        for cell in (one, two):
            assert (cell["agreement"], cell["errors"]) == (1.0, 0)
            assert cell["answers_verified"] >= cell["exchanges"] > 0
            assert f"--cpus={cell['cpus']}" in cell["again"]
            assert cpus in cell["again"]
        assert (one["cpus"], one["cpu_efficiency"], two["cpus"]) == (1, 1.0, 2)
        assert two["cpu_efficiency_low"] <= two["cpu_efficiency"] <= two["cpu_efficiency_high"]
        assert two["verdict"] == "OVERSUBSCRIBED"
        assert f"the client has CPU {CPUS[1]} as well" in two["reason"]
        assert one["verdict"] != "OVERSUBSCRIBED"
    known = results["run"]["backends"]
    assert [known[f"fastapi-{count}cpus"]["server_cpus"] for count in (1, 2)] == [[CPUS[0]], [CPUS[0], CPUS[1]]]
    for name in ("report.html", "report.md"):
        told = (folder / name).read_text()
        assert "Scaling with CPUs" in told
        assert "On 2 CPUs the client had one of the server" in told
    assert (folder / "charts" / "scaling.svg").is_file()


def test_it_is_no_part_of_what_is_measured_by_default() -> None:
    """Nor of load: it takes a start of every server for each number of CPUs."""
    listed = ("--benchmark-only", "--backend=flask", "--collect-only", "-q")
    for options in ((), ("-m", "load")):
        assert "test_scaling" not in servebench(*listed, *options)
    assert "test_scaling[flask-rest-cpus01]" in servebench(*listed, "-m", "scaling")
