"""The bisection for the highest load under a limit."""

import random

import pytest

from bench.load.closed_loop import Slice
from bench.load.scheduled_load import fails_clearly, holds
from bench.load.slo_search import Search


def found_by(search: Search, truth: float, wrong: float = 0.0, seed: int = 1) -> Search:
    """Answer each probe by the truth, and wrongly with the probability `wrong`."""
    chance = random.Random(seed)
    while search.load is not None:
        passed = (search.load <= truth) != (chance.random() < wrong)
        search.note(passed, Slice(seconds=1.0))
    return search


@pytest.mark.parametrize("truth", [0.15, 0.31, 0.5, 0.77, 0.93, 1.0, 1.4, 2.6])
def test_finds_the_highest_load_that_holds(truth: float) -> None:
    """From both sides, to a few hundredths, also beyond what was taken for the peak; each end by two probes."""
    search = found_by(Search(), truth)
    assert search.high is not None
    assert search.low <= truth < search.high
    assert search.high - search.low <= 0.05 * max(search.high, 0.7) + 1e-9
    assert len(search.held) == 2


def test_one_spoilt_probe_in_ten_does_not_lead_far_astray() -> None:
    """A load is decided by two of three probes: in most of a hundred searches the truth is still found."""
    found = [found_by(Search(), truth=0.7, wrong=0.1, seed=seed).low for seed in range(100)]
    assert sum(abs(low - 0.7) < 0.06 for low in found) >= 80


def test_nothing_holds_and_everything_holds() -> None:
    """Both ends are told as such: no probe held, or no load failed."""
    nothing = found_by(Search(), truth=0.0)
    assert nothing.low == 0.0
    assert not nothing.held
    everything = found_by(Search(), truth=100.0)
    assert everything.high is None
    assert everything.low >= 4


def test_the_search_ends_after_a_bounded_number_of_probes() -> None:
    """Whatever the probes say."""
    for seed in range(30):
        assert found_by(Search(), truth=0.6, wrong=0.5, seed=seed).probes <= 40
    with pytest.raises(ValueError, match="over"):
        found_by(Search(), truth=0.6).note(True, Slice())


def test_a_load_that_fails_clearly_needs_no_second_probe() -> None:
    """And below a tenth of the peak nothing is looked for."""
    search, probes = Search(), 0
    while search.load is not None:
        search.note(False, Slice(), clearly=True)
        probes += 1
    assert search.low == 0.0
    assert probes == 4


def test_a_probe_that_cannot_tell_ends_the_search() -> None:
    """At lower loads there would be fewer requests still; what held before stands."""
    search = Search()
    search.note(None, Slice())
    assert search.load is None
    assert search.undecided == 0.7
    assert not search.held
    held = Search()
    for passed in (True, True, None):
        held.note(passed, Slice(seconds=1.0))
    assert (held.low, len(held.held), held.undecided) == (0.7, 2, 0.85)


def probe(latency_s: list[float], **changes: int) -> Slice:
    figures = {"scheduled": len(latency_s), "exchanges": len(latency_s), **changes}
    return Slice(duration_s=latency_s, seconds=1.0, **figures)  # type: ignore[arg-type]


def test_a_probe_holds_if_its_99th_percentile_is_known_to_be_under_the_limit_and_the_server_kept_up() -> None:
    """One in 700 may be above it, eight may not; unanswered ones are above any limit."""
    quick = [0.001] * 700
    assert holds(probe(quick), 0.015)
    assert holds(probe([*quick[:-1], 1.0]), 0.015)
    assert not holds(probe([*quick[:-8], *[1.0] * 8]), 0.015)
    assert holds(probe(quick, scheduled=800), 0.015) is False
    assert holds(probe(quick, exchanges=500), 0.015) is False


def test_a_probe_of_few_requests_fails_or_cannot_tell() -> None:
    """A hundred cannot show that 99 of 100 keep the limit, though two late ones among them show that they do not."""
    few = [0.001] * 100
    assert holds(probe(few), 0.015) is None
    assert holds(probe([*few[:-2], 1.0, 1.0]), 0.015) is False


def test_a_probe_fails_clearly_if_most_are_beyond_the_limit() -> None:
    """Or were not answered at all; a few late ones may be the machine's fault."""
    assert fails_clearly(probe([0.02] * 700), 0.015)
    assert fails_clearly(probe([0.001] * 300, scheduled=700), 0.015)
    assert not fails_clearly(probe([0.001] * 600 + [0.02] * 100), 0.015)
