"""The rules by which a cell is believed or not."""

from dataclasses import replace

import pytest

from bench.analysis.verdicts import Evidence, Exchanges, ScheduleEvidence, decide
from bench.contract.records import Verdict
from bench.statistics import Interval

GOOD = Evidence(
    Exchanges(timed=1000, answers=1000),
    same_sample_speedup=Interval(1.02, 0.95, 1.08),
    ceiling_fraction=0.2,
    halves_ratio=Interval(1.0, 0.97, 1.03),
    runnable_threads=0.9,
)


def but(**change: object) -> Evidence:
    """GOOD with other values, each in the part of the evidence that has it."""
    exchanges, schedule = ({name: change.pop(name) for name in set(change) & set(part.__slots__)} for part in _PARTS)
    return replace(
        GOOD,
        exchanges=replace(GOOD.exchanges, **exchanges),  # type: ignore[arg-type]
        schedule=replace(GOOD.schedule, **schedule),  # type: ignore[arg-type]
        **change,  # type: ignore[arg-type]
    )


_PARTS = (Exchanges, ScheduleEvidence)


def test_nothing_against_it_is_valid() -> None:
    """No remark, no reason."""
    assert decide(GOOD) == (Verdict.VALID, "")
    assert decide(Evidence(Exchanges(timed=5, answers=5))) == (Verdict.VALID, "")


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"retired": "the server died"}, Verdict.FAILED, "the server died"),
        (
            {"errors": 3, "first_error": "ErrorStatus: 500"},
            Verdict.FAILED,
            "3 of 1003 exchanges failed; the first: ErrorStatus: 500",
        ),
        ({"timed": 0}, Verdict.FAILED, "no exchange"),
        ({"wrong": 2, "first_wrong": "answer 7: x"}, Verdict.WRONG_ANSWERS, "2 of 1000 answers are wrong; answer 7"),
        ({"same_sample_speedup": Interval(2.0, 1.5, 2.5)}, Verdict.CACHED, "cache"),
        ({"same_sample_speedup": Interval(2.0, 1.8, 2.2), "same_sample_medians": 1.9}, Verdict.CACHED, "by the medians 1.90"),
        ({"runnable_threads": 1.9}, Verdict.OVERSUBSCRIBED, "1.9"),
        ({"throttled": 4}, Verdict.OVERSUBSCRIBED, "throttled in 4 periods"),
        ({"ceiling_fraction": 0.71}, Verdict.CLIENT_BOUND, "71%"),
        ({"ceiling_fraction": None, "client_share": 0.51}, Verdict.CLIENT_BOUND, "computed in 51% of the time"),
        ({"halves_ratio": Interval(1.3, 1.2, 1.4)}, Verdict.UNSTABLE, "1.30 times"),
        ({"halves_ratio": Interval(0.7, 0.6, 0.8)}, Verdict.UNSTABLE, "0.70 times"),
        ({"interrupted": True}, Verdict.UNSTABLE, "interrupted"),
        ({"interrupted": True, "timed": 0}, Verdict.NOT_MEASURED, "interrupted"),
        ({"undecided": "too few requests"}, Verdict.NOT_MEASURED, "too few requests"),
        ({"windows": 3, "late_windows": 2}, Verdict.CLIENT_BOUND, "in 2 of 3 windows: it could"),
        ({"windows": 5, "late_windows": 5, "repeated": 3}, Verdict.CLIENT_BOUND, "in 5 of 5 windows, 3 more had been"),
        ({"windows": 3, "answered_fraction": 0.8}, Verdict.SATURATED, "80.0%"),
    ],
)
def test_each_rule_has_its_verdict_and_words(change: dict[str, object], verdict: Verdict, words: str) -> None:
    """One thing wrong gives that verdict and says it in words."""
    decided, reason = decide(but(**change))
    assert decided is verdict
    assert words in reason


@pytest.mark.parametrize(
    "change",
    [
        {"same_sample_speedup": Interval(1.3, 1.05, 1.6)},  # maybe a cache, maybe noise
        {"same_sample_speedup": Interval(11.8, 2.1, 66.0)},  # above at 95 %, which one in forty honest cells can be
        {"same_sample_speedup": Interval(2.0, 1.8, 2.2), "same_sample_medians": 1.02},  # a few slow answers
        {"same_sample_speedup": Interval(1.3)},  # too few slices for an interval
        {"windows": 4, "late_windows": 2, "repeated": 3},  # not most of them
        {"windows": 3, "repeated": 3},
        {"halves_ratio": Interval(1.03, 1.02, 1.04)},  # certain, but small
        {"halves_ratio": Interval(1.3, 0.9, 1.7)},  # large, but uncertain
        {"ceiling_fraction": 0.7},
        {"ceiling_fraction": None, "client_share": 0.5},
        {"runnable_threads": 1.2},
        {"runnable_threads": 1.9, "clients": 4},  # several clients are meant to keep several threads busy
    ],
)
def test_what_is_not_certain_is_not_held_against_it(change: dict[str, object]) -> None:
    """A flag needs the whole interval beyond the limit."""
    assert decide(but(**change))[0] is Verdict.VALID


def test_the_worst_verdict_is_shown_and_all_reasons_are_told() -> None:
    """A cell that is wrong and client-bound is WRONG_ANSWERS, and its reason holds both."""
    verdict, reason = decide(but(wrong=1, first_wrong="answer 1: y", ceiling_fraction=0.9))
    assert verdict is Verdict.WRONG_ANSWERS
    assert reason.index("answers are wrong") < reason.index("ceiling" if "ceiling" in reason else "null")
