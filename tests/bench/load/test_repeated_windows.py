"""Windows whose sends were late are measured again: by the sends alone, and no more often than planned windows."""

from typing import Any, cast

import numpy as np
import pytest

from bench.contract.errors import ConnectionLost
from bench.contract.scenarios import Arrival
from bench.load.closed_loop import Slice
from bench.load.open_loop import kept_schedule
from bench.load.scheduled_load import WINDOWS, OpenLoop, SloSearch
from bench.load.slo_search import Search

LATE, IN_TIME = [0.0] * 98 + [0.002] * 2, [0.0] * 99 + [0.002]


def a_loop() -> OpenLoop:
    """Without connections: what it decides needs none."""
    return OpenLoop(cast(Any, None), cast(Any, None), Arrival.POISSON, np.random.default_rng(1), rate_per_s=100.0)


def window(lag_s: list[float], latency_s: float = 0.01) -> Slice:
    """A window of a hundred requests."""
    return Slice(
        duration_s=[latency_s] * 100,
        answers=[(0, b"x")] * 100,
        seconds=1.0,
        exchanges=100,
        scheduled=100,
        lag_s=lag_s,
        reconnects=2,
    )


@pytest.mark.parametrize(("lag_s", "kept"), [(LATE, False), (IN_TIME, True), ([], True), ([0.0] * 19 + [0.002], False)])
def test_one_in_a_hundred_may_be_late(lag_s: list[float], kept: bool) -> None:
    """More are a client that could not keep its schedule; of few requests, none may be."""
    assert kept_schedule(lag_s) is kept


@pytest.mark.parametrize("latency_s", [0.0001, 10.0])
def test_a_late_window_counts_for_nothing_but_its_answers(latency_s: float) -> None:
    """Whatever the latencies in it: those are looked at in windows that count."""
    again = a_loop().if_in_time(window(LATE, latency_s))
    assert (again.repeated, again.seconds, again.scheduled, again.duration_s, again.lag_s) == (1, 0.0, 0, [], [])
    assert (len(again.answers), again.reconnects) == (100, 2)


def test_repeats_come_to_an_end() -> None:
    """As often as there are planned windows; what is late after that is kept, and judged."""
    loop = a_loop()
    assert [loop.if_in_time(window(LATE)).repeated for _ in range(WINDOWS + 2)] == [1] * WINDOWS + [0, 0]
    assert loop.if_in_time(window(LATE)).scheduled == 100


def test_windows_in_time_and_errors_are_kept() -> None:
    """Nothing is repeated for them, and no repeat is used up."""
    loop, lost = a_loop(), Slice(error=ConnectionLost("gone"), lag_s=LATE)
    good = window(IN_TIME)
    assert loop.if_in_time(good) is good
    assert loop.if_in_time(lost) is lost
    assert loop.repeats_left == WINDOWS


def test_a_late_probe_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search asks the same load again, instead of believing that it failed."""
    monkeypatch.setattr(OpenLoop, "offer", lambda *_, **__: window(LATE, latency_s=5.0))
    search = SloSearch(a_loop(), 0.1, Search())
    before = search.search.load
    assert search.run(iter(()), slice_s=1.0, typical_s=0.0, warm_up_request=False).repeated == 1
    assert (search.search.load, search.search.result.held) == (before, ())
