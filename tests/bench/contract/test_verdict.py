"""A verdict says itself what follows from it: nothing else lists verdicts."""

import copy
import pickle
import re
from pathlib import Path

import pytest

from bench.contract.records import Tone, Verdict

ROOT = Path(__file__).parents[3]
DECIDES = {
    "bench/contract/records.py",
    "bench/analysis/verdicts.py",
    "bench/analysis/gate.py",  # an A/A copy's findings become evidence of its server
    "bench/experiments/scenario_runner.py",  # what never ran has no evidence to decide by
}


def test_results_keep_its_word() -> None:
    """A member is its word: in JSON, in a set, copied, pickled."""
    for verdict in Verdict:
        assert verdict == verdict.value == str(verdict) == verdict.name
        assert getattr(Verdict, verdict.name) is Verdict[verdict.name] is copy.deepcopy(verdict)
        assert pickle.loads(pickle.dumps(verdict)) is verdict
    with pytest.raises(ValueError, match="INVENTED"):
        type(Verdict.VALID)("INVENTED")  # type: ignore[call-arg]


def test_one_alone_is_believed_and_every_other_shows_itself() -> None:
    """Beside a figure by a mark of its own, or in its place."""
    assert [verdict for verdict in Verdict if verdict.believed] == [Verdict.VALID]
    others = [verdict for verdict in Verdict if not verdict.believed]
    assert all(bool(verdict.mark) is not bool(verdict.instead) for verdict in others)
    marks = [verdict.mark for verdict in others if verdict.mark]
    assert len(marks) == len(set(marks))
    assert all(verdict.meaning.endswith(".") for verdict in Verdict)
    assert all(verdict.doubt == ("" if verdict.believed else verdict) for verdict in Verdict)


def test_policies_do_not_contradict_each_other() -> None:
    """What is compared is shown; what fails a test is bad, is neither shown nor compared."""
    for verdict in Verdict:
        assert verdict.shown or not verdict.comparable
        assert bool(verdict.instead) is not verdict.shown
        if verdict.fails_test:
            assert verdict.tone is Tone.BAD
            assert not any((verdict.shown, verdict.comparable, verdict.absent))
    assert [verdict.severity for verdict in Verdict] == list(range(len(Verdict)))


def test_who_does_not_decide_a_verdict_names_none() -> None:
    """Nor compares with its word: a new one is its member, and where it is decided."""
    named = re.compile(r"Verdict\.[A-Z]|[\"'](?:" + "|".join(Verdict) + r")[\"']")
    sources = [path for package in ("bench", "reports") for path in (ROOT / package).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in sources if named.search(path.read_text(encoding="utf-8"))}
    assert found <= DECIDES
