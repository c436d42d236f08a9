"""A fault in one backend of three, real servers on the process engine: whose row says what, and what the others get."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import hypot, log
from pathlib import Path

import pytest

from bench.analysis import records_of
from bench.contract import Model
from bench.lane_maker import CLIENTS_SHARE
from bench.load import interleave, lanes
from bench.load.interleave import Settings
from bench.records import Verdict
from bench.scenarios import Scenario, clients_scenario
from bench.statistics import Interval
from fixtures.engines.base import EngineSettings
from fixtures.engines.process import ProcessEngine
from fixtures.engines.process_tree import marked
from fixtures.engines.sweeping import run_folder_prefix
from fixtures.plugin import BACKENDS
from fixtures.spec import load_spec
from tests.faults.three import AS_WITHOUT_FAULT, HEALTHY, READY_S, SETTINGS, SINGLE, Rows, assert_unharmed, make_faulty, measure

REFERENCE = "reference"
AT_START, IN_WARM_UP, IN_MID_CAMPAIGN = 0, 10, 60
"""The request with which the fault begins: the first is the probe's, 28 more are the warm-up's."""

WORDS = {
    "killed": r"the server died; the last error: .*[cC]onnection.*log's end:",
    "frozen": r"gave up.*no complete answer within 1 s.*log's end:",
    "cut": r"gave up after errors in a row .*connection closed after \d+ bytes of the answer",
    "reset": r"gave up after errors in a row .*connection (lost: .*reset|closed after)",
    "too_long": r"gave up.*no complete answer within 1 s",
    "too_short": r"gave up after errors in a row .*4 bytes more than its Content-Length of",
    "endless": r"gave up.*no complete answer within 1 s",
}
"""What its row says when it happens to a server that was ready."""

SILENT = ("frozen", "too_long", "endless")

pytestmark = pytest.mark.usefixtures("quick")

SIGNALS = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}


@pytest.fixture(autouse=True)
def nothing_left(settings: EngineSettings) -> Iterator[None]:
    """Whatever happened: no process and no folder of the run."""
    yield
    assert marked(settings.run.variables) == []
    assert list(Path(tempfile.gettempdir()).glob(f"{run_folder_prefix(settings.run)}*")) == []


def beside_two(
    faults: Sequence[str],
    begin: int,
    root: Path,
    settings: EngineSettings,
    model: Model,
    plan: Settings = SETTINGS,
    scenario: Scenario = SINGLE,
    *,
    with_reference: bool = False,
) -> Rows:
    """One campaign of two healthy servers and, between them, one with each of the faults, by which it is named."""
    ready_s = READY_S if begin == AT_START else 20.0
    bad = [make_faulty(root, fault, fault, begin, ready_s) for fault in faults]
    specs = [make_faulty(root, HEALTHY[0]), *bad, make_faulty(root, HEALTHY[1])]
    specs += [load_spec(BACKENDS / REFERENCE / "backend.toml")] if with_reference else []
    return measure(specs, ProcessEngine(settings), settings, model, plan=plan, scenario=scenario)


def test_faults_at_the_start_are_their_own(tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """They never give a right prediction: FAILED once their time to start is over, with the last error and the log's end."""
    rows = beside_two(list(WORDS), AT_START, tmp_path, settings, model)
    for fault in WORDS:
        record, samples = rows[fault]
        assert record.verdict is Verdict.FAILED
        gone = r"ended [\d.]+ s after its start" if fault == "killed" else rf"gave no prediction within {READY_S:g} s"
        words = rf"(?s){fault} {gone}.*last error: .*log's end:.*faulty server: {fault} from request 0"
        assert re.search(words, record.reason), record.reason
        assert samples is None
        assert record.exchanges == 0
    assert_unharmed(rows)


def test_faults_in_the_warm_up_are_their_own(tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """FAILED before anything was timed; each row tells its own last error."""
    rows = beside_two(list(WORDS), IN_WARM_UP, tmp_path, settings, model)
    for fault, words in WORDS.items():
        record, _ = rows[fault]
        assert record.verdict is Verdict.FAILED
        assert re.search(rf"(?s){words}", record.reason), record.reason
        assert record.exchanges == 0
        assert record.rank is None
    assert_unharmed(rows)


@pytest.mark.parametrize("fault", WORDS)
def test_a_fault_in_mid_campaign_is_its_own(fault: str, tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """FAILED and without a rank, though what was timed before is kept beside it."""
    rows = beside_two([fault], IN_MID_CAMPAIGN, tmp_path, settings, model)
    record, samples = rows[fault]
    assert record.verdict is Verdict.FAILED
    assert re.search(rf"(?s){WORDS[fault]}", record.reason), record.reason
    assert samples is not None
    assert len(samples.duration_s) == record.exchanges > 0
    assert record.errors > 0
    assert record.rank is None
    if fault in SILENT:
        assert record.errors <= 3, "time-outs that the others waited for: two, and one more look for all of its lanes"
    assert_unharmed(rows)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_fault_while_several_clients_ask_is_its_own(
    fault: str, tmp_path: Path, settings: EngineSettings, model: Model
) -> None:
    """Four at once, all of whom it concerns: FAILED as with one; nobody else's client waits for them for ever."""
    rows = beside_two([fault], IN_MID_CAMPAIGN, tmp_path, settings, model, scenario=clients_scenario(4))
    record, _ = rows[fault]
    assert record.verdict is Verdict.FAILED
    words = WORDS["killed"] if fault == "killed" else r"gave up.*waited 1 s for an answer"
    assert re.search(rf"(?s){words}", record.reason), record.reason
    assert record.rank is None
    assert_unharmed(rows, replace(SETTINGS, max_time_s=CLIENTS_SHARE * SETTINGS.max_time_s))


def test_a_server_that_answers_again_is_measured_to_its_end(tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """Two time-outs in a row, then one more look at it that is answered: nobody gives up, and its two errors are its row's."""
    rows = beside_two(["naps"], IN_MID_CAMPAIGN, tmp_path, settings, model)
    record, _ = rows["naps"]
    assert record.verdict is Verdict.FAILED
    assert re.search(r"2 of \d+ exchanges failed; the first: .*no complete answer within 1 s", record.reason), record.reason
    assert record.errors == 2
    assert record.measured_s >= SETTINGS.max_time_s
    assert_unharmed(rows)


def test_one_answer_in_a_hundred_that_is_an_error_fails_its_row(tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """From its start on: it is measured to its end, and its errors are counted, the first with the server's own words."""
    rows = beside_two(["errors"], 1, tmp_path, settings, model)
    record, _ = rows["errors"]
    assert record.verdict is Verdict.FAILED
    assert re.search(r"\d+ of \d+ exchanges failed; the first: .*HTTP status 500, expected 200.*out of luck", record.reason)
    assert record.errors >= 1
    assert record.exchanges >= 40
    assert_unharmed(rows)


def test_answers_that_come_slower_and_slower_end_at_the_deadline(
    tmp_path: Path, settings: EngineSettings, model: Model
) -> None:
    """30 % with each answer: FAILED when none comes in time any more; the others have their figures all the same."""
    rows = beside_two(["slower"], IN_MID_CAMPAIGN, tmp_path, settings, model)
    record, _ = rows["slower"]
    assert record.verdict is Verdict.FAILED
    assert re.search(rf"(?s){WORDS['frozen']}", record.reason), record.reason
    assert_unharmed(rows)


def test_a_warm_up_that_becomes_slower_and_slower_has_an_end(
    tmp_path: Path, settings: EngineSettings, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer in time, but a thousand of them would take hours, while all others wait: it is given up at a limit."""
    monkeypatch.setattr(interleave, "_WARM_UP_LIMIT_S", 0.8)
    rows = beside_two(["slower"], 2, tmp_path, settings, model)
    record, _ = rows["slower"]
    assert record.verdict is Verdict.FAILED
    words = r"(?s)gave up in the warm-up: it was not over after 0\.8 s, an answer takes [\d.]+ s by now.*log's end:"
    assert re.search(words, record.reason), record.reason
    assert_unharmed(rows)


def test_answers_that_never_come_cost_the_others_only_so_much(
    tmp_path: Path, settings: EngineSettings, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in ten: each costs a deadline, and with answers in between it would go on for as long as there is to measure."""
    monkeypatch.setattr(lanes, "_TIMEOUTS", 3)
    rows = beside_two(["lost"], IN_MID_CAMPAIGN, tmp_path, settings, model)
    record, _ = rows["lost"]
    assert record.verdict is Verdict.FAILED
    words = r"(?s)gave up after (3 time-outs|errors in a row .*between them); the last: .*within 1 s.*log's end:"
    assert re.search(words, record.reason), record.reason
    assert 2 <= record.errors <= 9, "of its three lanes"
    assert_unharmed(rows)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_fault_while_answers_are_verified_changes_nothing(
    fault: str, tmp_path: Path, settings: EngineSettings, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All answers are here by then: the row stands, and what is left of the server is removed."""

    def harm_first(*args: object, **options: object) -> object:
        for pid in marked(settings.run.variables):
            if f"FAULT={fault}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                harmed.append(pid)
                os.kill(pid, SIGNALS[fault])
        return records_of(*args, **options)  # type: ignore[arg-type]

    harmed: list[int] = []
    monkeypatch.setattr("bench.campaign.records_of", harm_first)
    rows = beside_two([fault], 10**9, tmp_path, settings, model)
    assert len(harmed) == 1
    record, _ = rows[fault]
    assert record.verdict in AS_WITHOUT_FAULT, record.reason
    assert record.agreement == 1.0
    assert_unharmed(rows)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("SERVEBENCH_SLOW"), reason="SERVEBENCH_SLOW is not set")
def test_a_fault_changes_no_figure_of_the_others(tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """Beyond the interval: neither of the one against the other, nor of both against the model in the client's own process.

    Both are held against what is measured in the same rounds, so the machine's drift from one campaign to the next cancels.
    """
    longer = replace(SETTINGS, max_time_s=1.0)

    def speeds(faults: Sequence[str]) -> tuple[Rows, Interval, Interval]:
        root = tmp_path / "-".join(["with", *faults])
        rows = beside_two(faults, IN_MID_CAMPAIGN, root, settings, model, longer, with_reference=True)
        return rows, ratio_of(rows, HEALTHY[1]), ratio_of(rows, REFERENCE)

    _, _, without = speeds([])
    for fault in [*WORDS, "errors", "slower", "lost"]:
        rows, pair, with_fault = speeds([fault])
        print(
            f"{fault}: second / first {words_of(pair)}; reference / first {words_of(with_fault)}, without {words_of(without)}"
        )
        assert rows[fault][0].verdict is Verdict.FAILED
        assert abs(log(pair.value)) <= allowed(pair), fault
        assert abs(log(with_fault.value / without.value)) <= allowed(with_fault, without), fault
        assert_unharmed(rows, longer)


def ratio_of(rows: Rows, name: str) -> Interval:
    """Of its speed over the first healthy one's, from slices of the same rounds."""
    record, _ = rows[name]
    assert record.ratio is not None
    assert record.ratio_low is not None
    assert record.ratio_to == f"{HEALTHY[0]}-raw"
    return Interval(record.ratio, record.ratio_low, record.ratio_high)


def allowed(*ratios: Interval) -> float:
    """How far apart logarithms may be: 99.9 % of what their intervals of 95 % say, for ten faults are looked at, and 5 %."""
    widths = [log(ratio.value / ratio.low) for ratio in ratios if ratio.low is not None]
    return 3.29 / 1.96 * hypot(*widths) + log(1.05)


def words_of(ratio: Interval) -> str:
    """`1.02 (0.97 to 1.07)`."""
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
