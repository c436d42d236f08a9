"""Campaigns under load over real sockets: several clients, schedules, the search for a limit."""

import itertools
import time

import pytest

from bench.contract.cells import Cell
from bench.contract.errors import ConnectionLost
from bench.contract.records import EarlierRun, Record, Samples, Verdict
from bench.contract.scenarios import Arrival, Scenario
from bench.contract.tensors import FloatArray
from bench.experiments.clients import clients_scenario
from bench.experiments.open_loop import open_loop_scenario
from bench.experiments.resume import Resume
from bench.experiments.scenario_runner import Campaigns
from bench.experiments.slo import slo_scenario
from bench.load import slo_search
from bench.load.closed_loop import Slice
from bench.load.connection_pool import ConnectionPool
from bench.load.payload_sources import CyclingPayloads
from bench.load.scheduled_load import Peak
from bench.load.scheduler import Settings
from bench.load.senders import OwnSender
from bench.statistics.histogram import decode
from tests.bench.experiments.test_resume import a_run
from tests.bench.scripted import (
    Handler,
    Records,
    ScriptedFleet,
    little_factory,
    plan_of,
    right,
    scripted,
    world,
)

pytestmark = pytest.mark.alone

QUICK = Settings(max_time_s=0.6)


def resting(seconds: float) -> Handler:
    """Right, after a while; one request after the other, however many clients there are."""

    def answer(images: FloatArray) -> bytes:
        time.sleep(seconds)
        return right(images)

    return answer


def wrong_after(count: int) -> Handler:
    """Right so many times, then the answer to another image."""
    seen = itertools.count()
    return lambda images: right(images if next(seen) < count else images * 0.5)


def test_several_clients_do_not_make_one_worker_faster_but_wait_longer() -> None:
    """Throughput is that of the worker, latency that of the line: Little's law, clients = throughput x latency."""
    with world({"slow": resting(0.004), "fast": resting(0.001)}, clients_scenario(4), QUICK) as (campaigns, cells, records):
        campaigns.result(cells["slow"])
    for name in ("slow", "fast"):
        record, samples = records[name]
        assert record.kind == "clients"
        assert record.concurrency == 4
        assert record.images_per_s is not None
        assert record.latency_mean_s is not None
        assert record.images_per_s * record.latency_mean_s == pytest.approx(4, rel=0.3)
        assert record.answers_verified > record.exchanges > 0
        assert record.latency_hdr is not None
        assert samples is not None
        assert decode(record.latency_hdr).n == len(samples.duration_s) == record.exchanges
    assert records["fast"][0].rank == 1
    assert records["slow"][0].ratio_to is not None or records["fast"][0].ratio_to is not None


def test_a_wrong_answer_under_load_is_found() -> None:
    """Every answer of every client is verified."""
    with world({"good": right, "bad": wrong_after(50)}, clients_scenario(3), QUICK) as (campaigns, cells, records):
        campaigns.result(cells["bad"])
    assert records["bad"][0].verdict is Verdict.WRONG_ANSWERS
    assert records["good"][0].verdict is not Verdict.WRONG_ANSWERS
    assert records["bad"][0].rank is None


def test_an_open_loop_offers_a_part_of_what_the_server_carries() -> None:
    """Half of the peak that was seen just before; latency cannot be less than the service, and the histogram holds it all."""
    with world({"a": resting(0.001)}, open_loop_scenario(Arrival.POISSON, load=0.5), QUICK) as (campaigns, cells, records):
        campaigns.result(cells["a"])
    record, samples = records["a"]
    assert record.load == 0.5
    assert record.peak_per_s is not None
    assert record.offered_per_s == pytest.approx(0.5 * record.peak_per_s, rel=0.35)
    assert record.verdict in (Verdict.VALID, Verdict.CLIENT_BOUND, Verdict.SATURATED), record.reason
    assert record.rank is None
    assert samples is not None
    assert samples.duration_s.min() >= 0.001
    assert decode(record.latency_hdr or "").n == len(samples.duration_s)


def saturated(records: Records) -> Record:
    """The cell that fell behind; on a busy machine its client may have, too."""
    record = records["a"][0]
    assert record.verdict in (Verdict.SATURATED, Verdict.CLIENT_BOUND), record.reason
    assert "fell behind" in record.reason
    return record


def test_more_than_the_server_carries_is_saturated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the rate of a worker of 2 ms: the queue grows, and the verdict says that the latencies mean nothing else."""
    monkeypatch.setattr("bench.load.scheduled_load._PEAK_CLIENTS", (1,))
    scenario = open_loop_scenario(Arrival.CONSTANT, rate_per_s=1000)
    with world({"a": resting(0.002)}, scenario, Settings(max_time_s=0.3)) as (campaigns, cells, records):
        campaigns.result(cells["a"])
    record = saturated(records)
    assert record.offered_per_s == pytest.approx(1000, rel=0.1)
    assert record.images_per_s is not None
    assert record.images_per_s < 600


def test_a_server_that_is_asked_for_far_too_much_has_an_end_and_no_percentiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the requests in the window is answered in time: SATURATED, for nothing is wrong with what it did answer."""
    monkeypatch.setattr("bench.load.open_loop.PATIENCE", 0.2)
    monkeypatch.setattr("bench.load.scheduled_load._PEAK_CLIENTS", (1,))
    scenario = open_loop_scenario(Arrival.CONSTANT, rate_per_s=1000)
    with world({"a": resting(0.02)}, scenario, Settings(max_time_s=0.1)) as (campaigns, cells, records):
        campaigns.result(cells["a"])
    record = saturated(records)
    assert (record.latency_p50_s, record.latency_p99_s, record.latency_hdr) == (None, None, None)


def test_a_peak_that_an_error_cut_short_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the endpoint's next cells would be offered parts of what one client sees, and be none the worse for it."""
    tries: list[int] = []

    def tried(sender: OwnSender, clients: int, source: object, *, slice_s: float) -> Slice:
        tries.append(clients)
        return Slice(error=ConnectionLost("once")) if len(tries) == 2 else Slice(seconds=1.0, exchanges=clients)

    monkeypatch.setattr(OwnSender, "clients", tried)
    peak, source = Peak(OwnSender(ConnectionPool([]))), CyclingPayloads([], lambda payload: payload)
    for known in (False, True, True):
        list(peak.find_clients(source, 24))
        assert peak.known is known
    assert tries == [1, 4, 16, 64] * 2
    assert peak.clients == 64


def test_the_search_says_how_much_a_server_carries_under_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generous limit is held up to near the peak, an impossible one at no rate, which is told as 0."""
    monkeypatch.setattr(slo_search, "_RESOLUTION", 0.25)  # how fine it looks: see test_slo_search.py
    for limit_s, found in ((0.5, True), (0.0002, False)):
        with world({"a": resting(0.0004)}, slo_scenario(limit_s), Settings(max_time_s=0.3)) as (campaigns, cells, records):
            campaigns.result(cells["a"])
        record, samples = records["a"]
        assert record.slo_s == limit_s
        assert record.images_per_s is not None
        assert (record.images_per_s > 0) is found
        assert samples is not None
        assert len(samples.duration_s) > 0
        if found:
            assert record.latency_p99_s is not None
            assert record.latency_p99_s <= limit_s
            assert record.goodput_per_s == pytest.approx(record.images_per_s, rel=0.3)
            assert record.load is not None
            assert record.load > 0.0
        else:
            assert record.images_per_s_low == 0.0


def test_a_server_too_slow_for_the_search_is_not_said_to_hold_its_limit_at_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some 20 requests of 20 ms cannot show a 99th percentile: that is no rate of 0, nor the client's fault."""
    monkeypatch.setattr("bench.load.scheduled_load.LONGEST_PROBE_S", 0.5)
    monkeypatch.setattr("bench.load.scheduled_load._PEAK_CLIENTS", (1,))
    monkeypatch.setattr("bench.load.open_loop.LATE_S", 1.0)  # client and server are threads of one process here
    with world({"a": resting(0.02)}, slo_scenario(5.0), Settings(max_time_s=0.3)) as (campaigns, cells, records):
        campaigns.result(cells["a"])
    record, samples = records["a"]
    assert record.verdict is Verdict.NOT_MEASURED, record.reason
    assert "459" in record.reason
    assert record.images_per_s is None
    assert samples is not None
    assert len(samples.duration_s) > 0


@pytest.mark.parametrize(
    "scenario", [clients_scenario(3), open_loop_scenario(Arrival.POISSON, load=0.5), slo_scenario(0.015)], ids=lambda s: s.name
)
def test_a_campaign_in_which_nobody_is_timed_loses_no_record(scenario: Scenario) -> None:
    """The only server breaks down behind its first answers: its cell is FAILED, with the reason."""
    answered = itertools.count()

    def broken(images: FloatArray) -> bytes:
        if next(answered) >= 2:
            raise ConnectionResetError
        return right(images)

    with world({"a": broken}, scenario, QUICK) as (campaigns, cells, records):
        result = campaigns.result(cells["a"])
    assert result.record.verdict is Verdict.FAILED
    assert "ConnectionLost" in result.record.reason or "connection" in result.record.reason
    assert records["a"][0] == result.record


def test_a_resumed_sweep_measures_each_missing_cell_once() -> None:
    """All numbers of clients are one campaign: what is taken over stays, what is missing is measured when its first is due."""
    scenarios = [clients_scenario(1), clients_scenario(2), clients_scenario(3)]
    with scripted("a", right) as system:
        cells = [Cell(system.backend, system.backend.endpoints[0], scenario) for scenario in scenarios]
        told: dict[str, list[tuple[Record, Samples | None]]] = {}

        def campaigns(resume: Resume) -> Campaigns:
            plan = plan_of(
                cells, QUICK, lambda record, samples: told.setdefault(record.scenario, []).append((record, samples)), resume
            )
            return Campaigns(plan, ScriptedFleet({"a": system}, {}), little_factory())

        first = campaigns(Resume())
        first.result(cells[0])
        assert {name: len(found) for name, found in told.items()} == {"c01": 1, "c02": 1, "c03": 1}
        kept, samples = told["c02"][0]
        assert samples is not None
        earlier = EarlierRun("out/earlier", a_run(), [kept], {kept.id: samples})
        second = campaigns(Resume(earlier))
        results = [second.result(cell) for cell in cells]
        assert {name: len(found) for name, found in told.items()} == {"c01": 2, "c02": 1, "c03": 2}
        assert results[1].record.taken_from == "earlier"
        assert list(results[1].duration_s) == samples.duration_s.tolist()
