"""Whole sessions over Ray nodes that have a network each: what is measured there, and what is left when something goes."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray")

from bench.contract.records import Verdict
from fixtures.host.run_identity import RUN_VARIABLE
from tests import sessions
from tests.bench.agents.test_agents import gone
from tests.integration.test_attached import MODEL
from tests.ray.namespaces import HERE, Link, apart
from tests.ray.nodes import Nodes, program
from tests.standins.elsewhere import Elsewhere, elsewhere

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.alone]

LONGEST_S = 1500.0
STRIKES_S = 4.0  # after the first campaign began, which takes three times that at least
LASTS = ("--benchmark-max-time=3", "--clients=1,8", "--backend=flask", "--engine=ray", "--agents=2", "-k", "concurrency")
ENDS_S = 150.0  # of what is behind a cut link: Ray there gives its head up first


@pytest.fixture
def cluster() -> Iterator[tuple[Nodes, list[Link]]]:
    """The suite's head, a node that servers run on, and two for load agents, one of them with two CPUs."""
    with apart(1, 1, 2) as (nodes, links):
        yield nodes, links


def run(nodes: Nodes, out: Path, *options: str, during: Callable[[], object] | None = None) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what was printed, and the results of a session; `during` is called in the middle of its first campaign."""
    command = sessions.command("--benchmark-only", "-m", "load", f"--ray={nodes.address}", f"--report-dir={out}", *options)
    said = []
    with subprocess.Popen(
        command, cwd=sessions.ROOT, env=sessions.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        late = threading.Timer(LONGEST_S, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if during is not None and "warm-up, cell 1 of" in line:
                    threading.Timer(STRIKES_S, during).start()
                    during = None
            code = process.wait()
        finally:
            late.cancel()
            process.kill()
    told = "".join(said)
    assert during is None, told
    return code, told, json.loads((out / "latest" / "results.json").read_text())


def servers() -> list[int]:
    """Processes that a run of the suite started, on whatever node of this machine."""
    found = []
    for process in psutil.process_iter():
        try:
            if RUN_VARIABLE in process.environ():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def right(cell: Mapping[str, Any]) -> None:
    """Measured, and every answer verified."""
    assert not Verdict[cell["verdict"]].fails_test, (cell["id"], cell["reason"])
    assert cell["errors"] == 0
    assert cell["backend"] == "null" or cell["agreement"] == 1.0
    assert cell["answers_verified"] >= cell["exchanges"] > 0


def test_the_default_set_under_load(cluster: tuple[Nodes, list[Link]], tmp_path: Path) -> None:
    """Servers on one node, three agents on two others: each cell is right, and the run says what was where."""
    nodes, (serving, first, second) = cluster
    options = ("--benchmark-max-time=0.5", "--engine=ray", "--agents=3", "--clients=1,8", "--loads=50%", "--slo=0")
    code, told, results = run(nodes, tmp_path / "out", *options)
    assert code == 0, told
    measured = [cell for cell in results["cells"] if cell["verdict"] != "NOT_MEASURED"]
    assert {cell["backend"] for cell in measured} > {"flask", "fastapi", "nnef", "null"}
    for cell in measured:
        right(cell)
        assert (cell["engine"], cell["agents"]) == ("ray", 1 if cell["scenario"] == "c01" else 3)
    runs = {node["ip"]: node["runs"] for node in results["environment"]["ray"]["nodes"].values()}
    assert runs[serving.ip] == ["servers"]
    assert len(runs[first.ip]) == 1
    assert len(runs[second.ip]) == 2
    assert not servers()


def test_a_server_elsewhere_is_loaded_from_all_nodes(cluster: tuple[Nodes, list[Link]], tmp_path: Path) -> None:
    """As docs/cluster.md has it: none of this suite's own servers is needed, which other nodes could not reach."""
    nodes, links = cluster
    with elsewhere(Elsewhere(MODEL, host=HERE)) as served:
        url = f"--url=mine=v2-json@http://{HERE}:{served.rest_port}/v2/models/emnist"
        options = (
            url,
            f"--may-load={HERE}",
            f"--model={MODEL}",
            "--benchmark-max-time=0.5",
            "--clients=8",
            "--loads=50%",
            "--slo=0",
        )
        code, told, results = run(nodes, tmp_path / "out", *options)
    assert code == 0, told
    assert {cell["backend"] for cell in results["cells"]} == {"mine"}
    assert len(results["cells"]) == 2
    for cell in results["cells"]:
        right(cell)
        assert cell["agents"] == len(links)
    runs = {node["ip"]: node["runs"] for node in results["environment"]["ray"]["nodes"].values()}
    assert [len(runs[link.ip]) for link in links] == [1] * len(links)


def test_the_servers_node_behind_a_cut_link(cluster: tuple[Nodes, list[Link]], tmp_path: Path) -> None:
    """Its rows are FAILED and say where it was; what is behind the link ends by itself."""
    nodes, (serving, *_) = cluster
    behind: list[int] = []

    def cut() -> None:
        behind.extend(servers())
        serving.cut()

    code, told, results = run(nodes, tmp_path / "out", *LASTS, during=cut)
    assert code == pytest.ExitCode.TESTS_FAILED, told
    assert behind
    failed = [cell for cell in results["cells"] if cell["verdict"] == "FAILED"]
    assert failed
    assert any(serving.ip in cell["reason"] for cell in failed)
    assert (tmp_path / "out" / "latest" / "report.html").is_file()
    assert gone(behind, ENDS_S)


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_the_head_goes_while_agents_send(cluster: tuple[Nodes, list[Link]], tmp_path: Path, what: signal.Signals) -> None:
    """They need it no more: all is measured, verified and reported, and nothing of the suite is left."""
    nodes, _ = cluster
    gcs = program(nodes.head, "gcs_server")
    code, told, results = run(nodes, tmp_path / "out", *LASTS, during=lambda: os.kill(gcs.pid, what))
    assert code == 0, told
    for cell in results["cells"]:
        right(cell)
        assert cell["agents"] == min(2, cell["concurrency"])
    assert not servers()
