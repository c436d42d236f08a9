"""What a campaign tells of its cells while it is under way."""

import pytest

from bench.analysis.verdicts import INTERRUPTED
from bench.contract.records import Verdict
from bench.contract.scenarios import Scenario
from bench.contract.tensors import FloatArray
from bench.experiments import checkpoint
from bench.experiments.clients import clients_scenario
from bench.load import scheduler
from bench.load.scheduler import Settings
from tests.bench.experiments.test_scenario_runner import after
from tests.bench.scripted import IMAGES, ears_of, right, world

QUICK = Settings(max_time_s=0.2)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every look."""
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "_SHARE", 1.0)
    monkeypatch.setattr(scheduler, "_PROGRESS_EVERY_S", 0.0)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("scenario", [Scenario("batch8", batch_size=8), clients_scenario(2)], ids=lambda each: each.name)
def test_cells_are_told_as_an_interruption_would_record_them(scenario: Scenario) -> None:
    """UNSTABLE with its words, unverified, with all durations until then, more each time; nothing once they are finished."""
    with world({"a": right, "b": right}, scenario, QUICK) as (campaigns, cells, records):
        told = ears_of(campaigns).stood
        campaigns.result(cells["a"])
    *during, last = told
    assert last == ()
    assert len(during) > 1
    counts = []
    for record, samples in (cell for cells in during for cell in cells):
        assert record.verdict is Verdict.UNSTABLE
        assert record.reason.startswith(f"{INTERRUPTED}; ")
        assert "not verified" in record.reason
        assert (record.rank, record.ratio, record.agreement) == (None, None, None)
        assert len(samples.duration_s) == len(samples.round_index) == record.exchanges > 0
        assert record.images_per_s is not None
        counts += [record.exchanges] if record.backend == "a" else []
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] <= records["a"][0].exchanges
    assert {record.id for record, _ in during[-1]} == {record.id for record, _ in records.values()}


@pytest.mark.usefixtures("often")
def test_what_failed_is_told_as_failed() -> None:
    """With its own words first."""

    def gone(images: FloatArray) -> bytes:
        raise ConnectionResetError

    with world({"a": right, "bad": after(IMAGES + 40, gone)}, Scenario("single", batch_size=1), QUICK) as (
        campaigns,
        cells,
        records,
    ):
        told = ears_of(campaigns).stood
        campaigns.result(cells["a"])
    assert records["bad"][0].verdict is Verdict.FAILED
    (record,) = [record for record, _ in told[-2] if record.backend == "bad"]
    assert record.verdict is Verdict.FAILED
    assert record.errors > 0


def test_it_is_told_seldom() -> None:
    """A campaign that is over before the first time is due tells nothing but that it is over."""
    with world({"a": right}, Scenario("single", batch_size=1), QUICK) as (campaigns, cells, _):
        told = ears_of(campaigns).stood
        campaigns.result(cells["a"])
    assert told == [()]
