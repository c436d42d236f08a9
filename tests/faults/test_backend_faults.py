"""A fault in one backend of three, real servers on the process engine: whose row says what, and what the others get."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import exp, hypot, log, sqrt
from pathlib import Path
from statistics import mean, stdev

import pytest

from bench.analysis.compared_cells import records_of
from bench.contract.records import Verdict
from bench.contract.scenarios import Scenario
from bench.contract.system import Model
from bench.experiments.clients import CLIENTS_SHARE, clients_scenario
from bench.load import lane
from bench.load.scheduler import Settings
from bench.statistics import Interval
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.engines.process_tree import marked
from fixtures.engines.sweeping import run_folder_prefix
from fixtures.selection import BACKENDS
from fixtures.specs.manifest import load_spec
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

AT_ONCE = {
    "killed": r"ended [\d.]+ s after its start",
    "too_short": rf"(answered within [\d.]+ s, and not rightly|gave no prediction within {READY_S:g} s)",
}
"""What is known of a server at its start before its time is over; of wrong answers after 2 s, which a busy machine may lack."""

OF_A_START = ("killed", "frozen", "reset", "too_short")
"""No process, no answer, an error each time, no whole answer: all the same to who waits for a right prediction."""

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
    """They never give a right prediction: FAILED once that is sure, or their time to start is over, with the last error."""
    rows = beside_two(OF_A_START, AT_START, tmp_path, settings, model)
    for fault in OF_A_START:
        record, samples = rows[fault]
        assert record.verdict is Verdict.FAILED
        for words in (
            f"^{fault} {AT_ONCE.get(fault, f'gave no prediction within {READY_S:g} s')}",
            "last error: ",
            f"log's end:.*faulty server: {fault} from request 0",
        ):
            assert re.search(f"(?s){words}", record.reason), record.reason
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
    monkeypatch.setattr(lane, "_WARM_UP_LIMIT_S", 0.8)
    monkeypatch.setattr(lane, "_WARM_UP_SHARE", 0.0)
    rows = beside_two(["slower"], 2, tmp_path, settings, model)
    record, _ = rows["slower"]
    assert record.verdict is Verdict.FAILED
    words = r"(?s)gave up in the warm-up: it was not over after 0\.8 s, an answer takes [\d.]+ s.*; --timeout.*log's end:"
    assert re.search(words, record.reason), record.reason
    assert_unharmed(rows)


def test_answers_that_never_come_cost_the_others_only_so_much(
    tmp_path: Path, settings: EngineSettings, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in ten: each costs a deadline, and with answers in between it would go on for as long as there is to measure."""
    monkeypatch.setattr(lane, "_TIMEOUTS", 3)
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
    monkeypatch.setattr("bench.experiments.throughput.records_of", harm_first)
    rows = beside_two([fault], 10**9, tmp_path, settings, model)
    assert len(harmed) == 1
    record, _ = rows[fault]
    assert record.verdict in AS_WITHOUT_FAULT, record.reason
    assert record.agreement == 1.0
    assert_unharmed(rows)


@pytest.mark.slow
def test_a_fault_changes_no_figure_of_the_others(tmp_path: Path, settings: EngineSettings, model: Model) -> None:
    """Beyond the interval: neither of the one against the other, nor of both against the model in the client's own process.

    The two share a CPU and their rounds, so what their ratio may differ by is its own interval. The model in the client's
    process has another CPU, and the speeds of two CPUs drift apart from one campaign to the next, fault or no fault: by how
    much is seen from all other campaigns, and those without a fault stand between those with one.
    """
    longer = replace(SETTINGS, max_time_s=1.0)
    found: list[tuple[str, float]] = []
    for number, fault in enumerate(with_some_without([*WORDS, "errors", "slower", "lost"])):
        faults = [fault] if fault else []
        rows = beside_two(faults, IN_MID_CAMPAIGN, tmp_path / str(number), settings, model, longer, with_reference=True)
        pair, reference = ratio_of(rows, HEALTHY[1]), ratio_of(rows, REFERENCE)
        print(f"{fault or 'no fault'}: second / first {words_of(pair)}; reference / first {words_of(reference)}")
        assert all(rows[each][0].verdict is Verdict.FAILED for each in faults)
        assert abs(log(pair.value)) <= allowed(pair), fault
        assert_unharmed(rows, longer)
        found.append((fault, log(reference.value)))
    for number, (fault, seen) in enumerate(found):
        others = [value for place, (_, value) in enumerate(found) if place != number]
        assert abs(seen - mean(others)) <= apart(stdev(others), 1, len(others)), fault
    harmed, free = ([value for fault, value in found if bool(fault) is with_one] for with_one in (True, False))
    scatter = hypot(*(value - mean(group) for group in (harmed, free) for value in group)) / sqrt(len(found) - 2)
    print(f"reference / first: mean with a fault {exp(mean(harmed)):.3f}, without {exp(mean(free)):.3f}; scatter {scatter:.1%}")
    assert abs(mean(harmed) - mean(free)) <= apart(scatter, len(harmed), len(free))


def with_some_without(faults: list[str]) -> list[str]:
    """No fault before each second one, and after the last."""
    pairs = [faults[place : place + 2] for place in range(0, len(faults), 2)]
    return [each for pair in pairs for each in ("", *pair)] + [""]


def apart(scatter: float, *counts: int) -> float:
    """How far apart logarithms of two means may be: 99.9 % of Student's t with 14 degrees of freedom, and 5 %."""
    return 4.14 * scatter * sqrt(sum(1 / count for count in counts)) + log(1.05)


def ratio_of(rows: Rows, name: str) -> Interval:
    """Of its speed over the first healthy one's, from slices of the same rounds."""
    record, _ = rows[name]
    assert record.ratio is not None
    assert record.ratio_low is not None
    assert record.ratio_to == f"{HEALTHY[0]}-raw"
    return Interval(record.ratio, record.ratio_low, record.ratio_high)


def allowed(ratio: Interval) -> float:
    """How far from 1 it may be, as a logarithm: 99.9 % of what its interval of 95 % says, for there are many, and 5 %."""
    assert ratio.low is not None
    return 3.29 / 1.96 * log(ratio.value / ratio.low) + log(1.05)


def words_of(ratio: Interval) -> str:
    """`1.02 (0.97 to 1.07)`."""
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
