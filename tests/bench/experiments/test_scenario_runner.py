"""Campaigns over real sockets: what right, wrong, failing and caching servers come to."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.contract.records import Verdict
from bench.contract.scenarios import ACCURACY, Scenario
from bench.contract.system import Absence
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint, Payload
from bench.load import scheduler
from bench.load.closed_loop import run_slice
from bench.load.scheduler import Settings
from bench.machine.host import EnergyClock
from bench.verification.payloads import PayloadFactory
from tests.bench.scripted import (
    IMAGES,
    PREDICT,
    Handler,
    Refused,
    ScriptedSystem,
    backend,
    measuring,
    right,
    scripted,
    spend,
    world,
)
from tests.flat import RAW_CODEC as CODEC

SINGLE = Scenario("single", batch_size=1)
BATCH = Scenario("batch8", batch_size=8)
QUICK = Settings(max_time_s=0.2)


def after(count: int, then: Handler) -> Handler:
    """Right for the first `count` exchanges, then as `then` says."""
    seen = iter(range(1 << 30))
    return lambda images: right(images) if next(seen) < count else then(images)


def off_by_one(images: FloatArray) -> bytes:
    return CODEC.encode_answer(np.ascontiguousarray(np.roll(PREDICT(images), 1, axis=1)))


def nan(images: FloatArray) -> bytes:
    scores = PREDICT(images)
    scores[-1, 0] = np.nan
    return CODEC.encode_answer(scores)


def row_dropped(images: FloatArray) -> bytes:
    return CODEC.encode_answer(PREDICT(images)[:-1]) if len(images) > 1 else right(images)


def slightly_off(images: FloatArray) -> bytes:
    return CODEC.encode_answer(PREDICT(images) + np.float32(3e-4))


def test_right_servers_are_valid_and_agree() -> None:
    """Every answer is verified; accuracy is the model's own, on the reference and on the servers."""
    with world({"a": right, "b": right}, SINGLE, QUICK) as (campaigns, cells, records):
        result = campaigns.result(cells["a"])
        assert set(records) == {"a", "b", "reference"}
        for record, samples in records.values():
            assert record.verdict in (Verdict.VALID, Verdict.UNSTABLE), record.reason
            assert record.accuracy == pytest.approx((IMAGES - 1) / IMAGES)
            assert record.agreement == 1.0
            assert samples is not None
            assert len(samples.duration_s) == record.exchanges > 0
            assert record.images_per_s == pytest.approx(record.exchanges / samples.duration_s.sum())
            # the pass over all images, openers and audits are verified beside the timed ones
            assert record.answers_verified >= record.exchanges + IMAGES
        assert list(result.duration_s) == list(records["a"][1].duration_s)  # type: ignore[union-attr]
        assert records["a"][0].same_sample_speedup is not None


def test_scenario_is_measured_once_for_all_its_cells() -> None:
    """Asking for the second cell does not measure again: both come from one campaign."""
    with world({"a": right, "b": right}, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["a"])
        first = dict(records)
        campaigns.result(cells["b"])
        assert records == first


def test_cost_is_of_the_slices_and_of_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a joule a slice, over all images answered in it; peak memory as the server's engine tells it."""

    class HalfAJouleASlice(EnergyClock):
        joules = 0.0

        def now(self) -> float | None:
            HalfAJouleASlice.joules += 0.5  # read before and after
            return HalfAJouleASlice.joules

    monkeypatch.setattr(scheduler, "EnergyClock", HalfAJouleASlice)
    with world({"a": right}, BATCH, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["a"])
        record, _ = records["a"]
        assert record.energy_j_per_image is not None
        assert record.energy_j_per_image <= 0.5 * record.rounds / (record.exchanges * BATCH.batch_size)
        assert record.energy_j_per_image > 0.4 * record.rounds / ((record.exchanges + record.rounds) * BATCH.batch_size)
        assert record.server_peak_memory_bytes == 123_000_000


@pytest.mark.parametrize(
    ("handler", "scenario", "words"),
    [
        (after(500, off_by_one), SINGLE, "the reference says"),
        (after(60, nan), SINGLE, "NaN"),
        (after(60, row_dropped), BATCH, "shape"),
        (after(60, slightly_off), BATCH, "largest |difference| 0.0003"),
        (after(60, lambda images: b"\x00\x00"), SINGLE, "expected"),
    ],
)
def test_wrong_answers_are_found_whenever_they_begin(handler: Handler, scenario: Scenario, words: str) -> None:
    """One wrong answer makes the cell WRONG_ANSWERS, names the first, fails its test; the others stand."""
    settings = Settings(max_time_s=0.2, min_rounds=520 if scenario == SINGLE else 100)
    with world({"good": right, "bad": handler}, scenario, settings) as (campaigns, cells, records):
        result = campaigns.result(cells["bad"])
        record = records["bad"][0]
        assert record.verdict is Verdict.WRONG_ANSWERS
        assert words in record.reason
        assert record.rank is None
        with pytest.raises(pytest.fail.Exception, match="WRONG_ANSWERS"):
            result.require_right()
        assert not records["good"][0].verdict.fails_test


def caching(size: int) -> Handler:
    """Answers known images at once and computes others for 2 ms; remembers at most `size`."""
    known: dict[bytes, bytes] = {}

    def handle(images: FloatArray) -> bytes:
        key = images.tobytes()
        if key not in known:
            spend(0.002)
            if len(known) >= size:
                known.pop(next(iter(known)))
            known[key] = right(images)
        return known[key]

    return handle


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_cache_is_found_whatever_its_size(size: int) -> None:
    """Also one that knows the whole dataset after the warm-up: the audit sends images that it has never seen."""
    settings = Settings(max_time_s=1.0)
    with world({"good": right, "cache": caching(size)}, SINGLE, settings) as (campaigns, cells, records):
        campaigns.result(cells["cache"])
        assert records["cache"][0].verdict is Verdict.CACHED, records["cache"][0]
        assert "cache" in records["cache"][0].reason
        assert records["good"][0].verdict is not Verdict.CACHED


def failing(every: int) -> Callable[[FloatArray], bytes]:
    count = iter(range(1, 1 << 30))

    def handle(images: FloatArray) -> bytes:
        if next(count) % every == 0:
            raise OSError("the connection breaks here")
        return right(images)

    return handle


def test_a_server_that_loses_one_exchange_in_a_hundred_is_failed_and_the_others_stand() -> None:
    """Errors are counted, the connection is reopened outside the clock, the reason tells the first."""
    with world({"good": right, "bad": failing(100)}, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["bad"])
        record = records["bad"][0]
        assert record.verdict is Verdict.FAILED
        assert record.errors > 0
        assert record.exchanges > 0
        assert "ConnectionLost" in record.reason
        assert not records["good"][0].verdict.fails_test


@pytest.mark.parametrize("refused_after", [0, 40])
def test_a_server_that_wants_fewer_requests_is_asked_no_more(refused_after: int) -> None:
    """One refusal ends the cell with all its lanes, whichever was refused; the others stand."""
    refusals = []

    def refuse(images: FloatArray) -> bytes:
        refusals.append(1)
        raise Refused("429 Too Many Requests\r\nRetry-After: 30")

    with world({"good": right, "busy": after(refused_after, refuse)}, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["busy"])
        assert records["busy"][0].verdict is Verdict.FAILED
        assert "fewer requests, and asks to come back after 30" in records["busy"][0].reason
        assert len(refusals) == 1
        assert records["good"][0].exchanges > 10


ELSEWHERE = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(bytes(4))
    def log_message(self, *args): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_a_server_elsewhere_that_is_killed_in_mid_campaign_has_address_and_error_in_its_row() -> None:
    """Nobody here sees its process: that it is gone shows in what it answers. The others stand."""
    with (
        subprocess.Popen([sys.executable, "-c", ELSEWHERE], stdout=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as stack,
        scripted("good", right) as good,
    ):
        stack.callback(process.kill)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        declared = replace(backend("gone"), attached=True)
        gone = ScriptedSystem(declared, declared.endpoints[0].located("127.0.0.1", port))
        measured = iter(range(1 << 30))
        gone.usage = lambda: process.kill() if next(measured) == 4 else None  # type: ignore[method-assign]
        campaigns, cells, records = measuring({"good": good, "gone": gone}, SINGLE, QUICK)
        campaigns.result(cells["gone"])
    reason = records["gone"][0].reason
    assert records["gone"][0].verdict is Verdict.FAILED
    assert f"127.0.0.1:{port}" in reason
    assert "refused" in reason
    assert records["good"][0].exchanges > 10
    assert not records["good"][0].verdict.fails_test


@pytest.mark.parametrize("far", [True, False])
def test_the_client_s_own_share_decides_of_a_server_elsewhere_alone(monkeypatch: pytest.MonkeyPatch, far: bool) -> None:
    """A client that computes all the time is what was measured, where null on this machine is no ceiling."""
    monkeypatch.setattr(scheduler, "thread_time", time.perf_counter)
    monkeypatch.setattr(Endpoint, "is_near", property(lambda self: not far))
    with scripted("there", right) as server:
        server.backend = replace(server.backend, attached=True)
        campaigns, cells, records = measuring({"there": server}, SINGLE, QUICK)
        campaigns.result(cells["there"])
    record = records["there"][0]
    assert record.client_share == pytest.approx(1.0, abs=0.05)
    assert (record.verdict is Verdict.CLIENT_BOUND) == far, record.reason
    assert ("the client itself computed in" in record.reason) == far


def test_few_payloads_are_made_for_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many a slice needs is known from the answers before it: without any it is not for 20 ms of instant answers."""
    made: list[None] = []
    plain = PayloadFactory.fresh

    def counting(factory: PayloadFactory, endpoint: Endpoint, batch_size: int) -> Callable[[], Payload]:
        make = plain(factory, endpoint, batch_size)
        assert make is not None

        def counted() -> Payload:
            made.append(None)
            return make()

        return counted

    monkeypatch.setattr(PayloadFactory, "fresh", counting)
    with world({"bad": after(IMAGES // 2, failing(1))}, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["bad"])
        assert records["bad"][0].verdict is Verdict.FAILED
        assert 0 < len(made) < 50


@pytest.mark.parametrize(
    ("then", "words"),
    [(failing(1), "the server died; the last error: "), (right, "the server died, though no exchange failed: ")],
)
def test_a_server_that_dies_has_its_last_words_in_its_row(then: Handler, words: str) -> None:
    """Also one whose orphans go on answering is FAILED; either way the log's end is in the reason, and the others stand."""

    def handle(images: FloatArray) -> bytes:
        systems["bad"].alive = next(asked) < 3 * IMAGES
        return right(images) if systems["bad"].alive else then(images)

    asked = iter(range(1 << 30))
    systems: dict[str, ScriptedSystem] = {}
    with contextlib.ExitStack() as stack:
        for name, handler in {"good": right, "bad": handle}.items():
            systems[name] = stack.enter_context(scripted(name, handler))
        systems["bad"].log = "starting\nout of cheese"
        campaigns, cells, records = measuring(dict(systems), SINGLE, QUICK)
        campaigns.result(cells["bad"])
    record = records["bad"][0]
    assert record.verdict is Verdict.FAILED
    assert words in record.reason
    assert "  log's end:\n    starting\n    out of cheese" in record.reason
    assert record.rank is None
    assert records["good"][0].verdict in (Verdict.VALID, Verdict.UNSTABLE)


def test_absent_backends_have_their_rows() -> None:
    """What could not be had is NOT_MEASURED with its reason; what did not work is FAILED; the test is skipped or fails."""
    absent = {"gone": Absence("no image"), "broken": Absence("died at once", failed=True)}
    with world({"good": right}, SINGLE, QUICK, absent) as (campaigns, cells, records):
        result = campaigns.result(cells["gone"])
        assert records["gone"][0].verdict is Verdict.NOT_MEASURED
        assert records["gone"][0].reason == "no image"
        with pytest.raises(pytest.skip.Exception, match="no image"):
            result.require_measured()
        with pytest.raises(pytest.fail.Exception, match="died at once"):
            campaigns.result(cells["broken"]).require_measured()
        assert records["good"][0].exchanges > 0


def test_a_server_that_is_never_right_does_not_become_ready() -> None:
    """Readiness is a right prediction: a wrong one ends in the backend's own row."""
    with world({"good": right, "bad": off_by_one}, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["good"])
        assert records["bad"][0].verdict is Verdict.FAILED
        assert "the reference says" in records["bad"][0].reason


def test_accuracy_pass_covers_every_image_once() -> None:
    """The accuracy scenario asks all images in batches, the last one short, and claims no speed."""
    with world({"a": right}, ACCURACY, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["a"])
        record = records["a"][0]
        assert record.verdict is Verdict.VALID
        assert record.accuracy == pytest.approx((IMAGES - 1) / IMAGES)
        assert record.answers_verified == 1
        assert record.images_per_s is None
        assert record.rank is None


def test_interrupted_campaign_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle: the records so far are emitted, and say that they were cut short."""
    calls = iter(range(1 << 30))

    def slices(*args: object, **options: object) -> object:
        if next(calls) > IMAGES + 60:
            raise KeyboardInterrupt
        return run_slice(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("bench.load.load_patterns.run_slice", slices)
    with world({"a": right}, SINGLE, Settings(max_time_s=60)) as (campaigns, cells, records):
        with pytest.raises(KeyboardInterrupt):
            campaigns.result(cells["a"])
        assert records["a"][0].exchanges > 0
        assert "interrupted" in records["a"][0].reason


def resting(seconds: float) -> Handler:
    """Right, after a while."""

    def answer(images: FloatArray) -> bytes:
        time.sleep(seconds)
        return right(images)

    return answer


def test_each_ranked_cell_knows_how_far_the_leader_is_ahead() -> None:
    """With an interval of its own, whatever the ratios of the table refer to; the leader is ahead of nobody in its own row."""
    handlers = {"a": resting(0.004), "b": resting(0.001), "c": resting(0.002)}
    with world(handlers, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["a"])
    fast, slow = records["b"][0], records["a"][0]
    assert fast.rank == 1
    assert fast.leader is None
    assert slow.leader == fast.id
    assert slow.leader_ratio == pytest.approx((slow.latency_p50_s or 0) / (fast.latency_p50_s or 1), rel=0.3)
    assert slow.leader_ratio_low is not None
    assert slow.leader_ratio is not None
    assert slow.leader_ratio_low < slow.leader_ratio
    assert records["reference"][0].leader is None, "an instrument"
