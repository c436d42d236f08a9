"""Real servers on the nodes of a Ray cluster: replicas over two of them, and what happens to rows when one goes."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray")

from bench.contract.cells import Cell
from bench.contract.cluster.connection import Cluster
from bench.contract.records import Verdict
from bench.experiments.replicas import replicas_scenario
from bench.load.scheduler import Progress
from fixtures.engines.ray.ray_engine import RayEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.specs.further_starts import replicated_specs
from fixtures.specs.spec import Seat
from tests.integration.house import SPECS, a_house, refuse_absence
from tests.integration.test_scaling import servebench
from tests.ray.nodes import Nodes, program, ray_nodes

CPUS = sorted(os.sched_getaffinity(0))
SECOND, THIRD = "127.0.0.2", "127.0.0.3"

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head, which is the suite's, and two that servers run on."""
    with ray_nodes() as nodes:
        for ip in (SECOND, THIRD):
            nodes.join(ip=ip)
        yield nodes


def test_replicas_over_the_nodes_as_a_user_measures_them(nodes: Nodes, tmp_path: Path) -> None:
    """One on each before any has two; every answer is right, and results say where each was. More than fit is one sentence."""
    options = (
        "--benchmark-only",
        "--engine=ray",
        f"--ray={nodes.address}",
        "--backend=flask",
        "-m",
        "replicas",
        "-k",
        "raw",
        "--agents=2",
    )
    servebench(*options, "--replicas=1,2", "--benchmark-max-time=0.5", f"--report-dir={tmp_path / 'out'}")
    results = json.loads((tmp_path / "out" / "latest" / "results.json").read_text())
    cells = {f"{cell['backend']}-{cell['scenario']}": cell for cell in results["cells"]}
    assert set(cells) == {f"{name}-replicas{count:02}" for name in ("flask", "null") for count in (1, 2)}
    for name, cell in cells.items():
        assert (cell["engine"], cell["errors"]) == ("ray", 0), (name, cell["reason"])
        assert name.startswith("null") or cell["agreement"] == 1.0
    instances = results["run"]["backends"]["flask-2replicas"]["instances"]
    hosts = [instances[number]["addresses"][0].partition(":")[0] for number in ("1", "2")]
    assert hosts == [SECOND, THIRD]
    assert all(host in instances[number]["node"] for number, host in zip(("1", "2"), hosts, strict=True))
    refused = servebench(*options, "--replicas=3", code=pytest.ExitCode.USAGE_ERROR)
    assert "--replicas 3: expected numbers of replicas from 1 to 2" in refused
    assert "on 2 nodes of the Ray cluster" in refused


def test_a_node_that_goes_takes_its_servers_rows_and_nobody_elses(nodes: Nodes) -> None:
    """In mid-campaign: the start with a replica there is FAILED in words, the one without is measured to its end."""
    house, flask = a_house(), SPECS["flask"]
    endpoint = next(each for each in flask.backend.endpoints if each.name == "raw")
    cells = [Cell(flask.backend, endpoint, replicas_scenario(count)) for count in (1, 2)]
    specs = replicated_specs([flask], [1, 2], [Seat((CPUS[0],), 0), Seat((CPUS[0],), 1)])
    gone: list[psutil.Process] = []
    with Cluster(nodes.address) as cluster:
        engine = RayEngine(replace(house.settings, server_cpus=()), cluster)
        with LocalFleet(specs, engine, house.model, house.settings, house.exports.ensure) as fleet:

            def watch(progress: Progress) -> None:
                if progress.step == "measure" and not gone:
                    gone.append(program(nodes.started[2], "raylet"))
                    gone[0].kill()

            campaigns, records = house.campaigns(fleet, cells, watch)
            for cell in cells:
                campaigns.result(cell)
                refuse_absence(fleet.absent.get(cell.server))
    one, two = (records[cell.id] for cell in cells)
    assert len(gone) == 1
    assert two.verdict is Verdict.FAILED
    assert "which is lost" in two.reason
    assert THIRD in two.reason
    assert not one.verdict.fails_test, one.reason
    assert (one.agreement, one.errors) == (1.0, 0)
    assert one.answers_verified >= one.exchanges > 0
