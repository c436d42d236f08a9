"""The same in containers: a fault in one of three in mid-campaign is that one's, and nothing is left with the engine."""

import re
from pathlib import Path

import docker
import pytest

from bench.contract.records import Verdict
from bench.contract.system import Model
from fixtures.engines.base import EngineSettings
from fixtures.engines.docker import containers
from fixtures.host.run_identity import RUN_LABEL
from tests.faults.three import HEALTHY, assert_unharmed, make_faulty, measure
from tests.fixtures.launching import an_engine

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("quick", "buildable")]

LITTLE_BYTES = 64 * 2**20  # of memory, so that it is soon used up

WORDS = {
    "killed": r"the server died; the last error: .*log's end:",
    "frozen": r"gave up.*no complete answer within 1 s.*log's end:",
    "greedy": r"the server died; the last error: .*log's end:.*exit code 137, out of memory",
}


@pytest.mark.parametrize("fault", WORDS)
def test_a_fault_in_mid_campaign_is_its_own(
    fault: str,
    tmp_path: Path,
    settings: EngineSettings,
    model: Model,
    client: docker.DockerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAILED with the last error and the log's end; the others as without it; no container, network or volume stays."""
    specs = [make_faulty(tmp_path, HEALTHY[0]), make_faulty(tmp_path, fault, fault, 60), make_faulty(tmp_path, HEALTHY[1])]
    monkeypatch.setattr(containers, "MEMORY_BYTES", LITTLE_BYTES)
    with an_engine(settings) as engine:
        rows = measure(specs, engine, settings, model)
    record, samples = rows[fault]
    assert record.verdict is Verdict.FAILED
    assert re.search(rf"(?s){WORDS[fault]}", record.reason), record.reason
    assert samples is not None
    assert len(samples.duration_s) == record.exchanges > 0
    assert_unharmed(rows)
    mine: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={settings.run.id}"}
    assert not client.containers.list(all=True, filters=mine)
    assert not client.networks.list(filters=mine)
    assert not client.volumes.list(filters=mine)
