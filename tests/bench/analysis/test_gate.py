"""The gate fails only where it is sure, passes only where it is sure, and says what it could have told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.gate import Believed, gate_lines, gate_row, noise_floor, threshold_of
from bench.contract.rows import GateOutcome, GateRow, change_text
from bench.statistics import Interval

QUIET = Interval(1.001, 0.99, 1.012)
FINE = Believed()


def row(change: Interval | None, noise: Interval | None = QUIET, head: Believed = FINE, base: Believed = FINE) -> GateRow:
    return gate_row("flask-rest-single", 0.05, change, [noise, None], head, base)


@pytest.mark.parametrize(
    ("low", "value", "high", "outcome"),
    [
        (0.98, 1.0, 1.02, GateOutcome.PASS),
        (0.951, 0.97, 0.99, GateOutcome.PASS),
        (1.2, 1.3, 1.4, GateOutcome.PASS),
        (0.89, 0.91, 0.93, GateOutcome.FAIL),
        (0.92, 0.94, 0.96, GateOutcome.CANNOT_TELL),
        (0.7, 1.0, 1.43, GateOutcome.CANNOT_TELL),
    ],
)
def test_only_a_whole_interval_decides(low: float, value: float, high: float, outcome: GateOutcome) -> None:
    """5 % slower is allowed: 0.95."""
    assert row(Interval(value, low, high)).outcome is outcome


@given(st.floats(0.3, 3.0), st.floats(0.0, 0.5))
def test_the_smallest_regression_is_the_one_at_which_it_would_fail(value: float, half: float) -> None:
    """A change of just more than `smallest` with this interval fails, of just less does not."""
    smallest = row(Interval(value, value / (1 + half), value * (1 + half))).smallest
    assert smallest is not None
    for regression, fails in ((smallest + 1e-6, True), (smallest - 1e-6, False)):
        moved = 1 - regression
        found = row(Interval(moved, moved / (1 + half), moved * (1 + half)))
        assert (found.outcome is GateOutcome.FAIL) is fails


def test_a_cell_that_broke_fails_and_a_broken_baseline_tells_nothing() -> None:
    """Whatever the speeds say."""
    broken = Believed("WRONG_ANSWERS: image 3 is an O")
    good = Interval(1.0, 0.99, 1.01)
    assert row(good, head=broken).outcome is GateOutcome.FAIL
    assert "image 3" in row(good, head=broken).reason
    assert row(Interval(0.5, 0.49, 0.51), base=broken).outcome is GateOutcome.CANNOT_TELL
    assert row(good, head=broken, base=broken).outcome is GateOutcome.CANNOT_TELL
    cached = Believed(doubt="CACHED: 3 times faster on one image")
    for change in (good, Interval(0.5, 0.49, 0.51)):
        assert row(change, head=cached).outcome is GateOutcome.CANNOT_TELL, "rightly answered, but no speed of serving"
        assert row(change, base=cached).outcome is GateOutcome.CANNOT_TELL


def test_what_is_not_known_is_said() -> None:
    """Too few rounds; no second copy; a client that hides a part of the difference."""
    assert "--benchmark-max-time" in row(Interval(0.8)).reason
    assert "--benchmark-max-time" in row(None).reason
    assert "only one start" in row(Interval(0.8, 0.79, 0.81), noise=None).reason
    bounded = Believed(bounded=True)
    assert row(Interval(1.0, 0.99, 1.01), base=bounded).outcome is GateOutcome.CANNOT_TELL
    assert row(Interval(0.8, 0.79, 0.81), head=bounded).outcome is GateOutcome.FAIL, "the true loss is even larger"


def test_the_noise_floor_is_the_worst_that_the_copies_showed() -> None:
    """Slower or faster; never less than what two starts are known to differ by."""
    assert noise_floor([], 0.02) == 0.02
    assert noise_floor([None, Interval(1.01)], 0.02) == 0.02
    assert noise_floor([Interval(1.01), Interval(1 / 1.08)], 0.02) == pytest.approx(0.08)


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), (" 2.5 % ", 0.025), ("50%", 0.5)])
def test_thresholds_are_per_cent(text: str, value: float) -> None:
    """With their sign, so that 5 and 0.05 cannot be mixed up."""
    assert threshold_of(text) == pytest.approx(value)


def test_the_lines_name_failures_first_and_fit_the_terminal() -> None:
    """Then what could not be told, then what passed; then what was allowed and what could be told."""
    rows = [
        row(Interval(1.0, 0.98, 1.02)),
        row(Interval(1.0, 0.7, 1.43)),
        row(Interval(0.9, 0.89, 0.91)),
        row(None, head=Believed("FAILED: " + "x" * 300 + "\nsecond line")),
    ]
    lines = gate_lines(rows)
    starts = [line.split("  ")[0] for line in lines if not line.startswith(" ")]
    assert starts == ["FAIL", "FAIL", "CANNOT TELL", "PASS"]
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert "-10.0 % (-11.0 to -9.0)" in text
    assert "Allowed: 5 % slower" in text
    assert "Noise floor: two starts of the same code differ by up to 0.1 %" in text
    assert "Smallest regression that fails here: 6.0 to 33.6 %" in text


def test_rows_survive_json_and_unknown_changes_have_words() -> None:
    """As they go through results.json."""
    one = row(Interval(0.9, 0.89, 0.91))
    assert GateRow.from_dict(one.as_dict()) == one
    assert change_text(row(None)) == "speed not compared"
