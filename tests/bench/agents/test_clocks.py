"""Offsets of clocks, told from pings: exact where the ways there and back are alike, and never farther off than they say."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from bench.agents.clocks import PINGS, ClockFit, Offset, measure_offset, offset_of


class Far:
    """A clock elsewhere, `offset_s` ahead and gaining `drift` in each second; words take `there_s` and `back_s` seconds."""

    def __init__(self, offset_s: float, drift: float, ways_s: Iterator[tuple[float, float]]) -> None:
        self._offset_s = offset_s
        self._drift = drift
        self._ways_s = ways_s
        self.now_s = 1000.0

    def here(self) -> float:
        return self.now_s

    def there(self) -> float:
        return self.now_s * (1 + self._drift) + self._offset_s

    def ask(self) -> float:
        there_s, back_s = next(self._ways_s)
        self.now_s += there_s
        answered = self.there()
        self.now_s += back_s
        return answered


def ways(seed: int) -> Iterator[tuple[float, float]]:
    """Mostly slow, of different length there and back."""
    rng = np.random.default_rng(seed)
    while True:
        yield tuple(1e-4 + rng.exponential(0.01, size=2))


def test_the_quickest_round_trip_decides() -> None:
    """Whatever the others took; half of it is how far off it may be."""
    offset = offset_of([(0.0, 105.0, 8.0), (10.0, 111.0, 12.0), (20.0, 130.0, 40.0)])
    assert offset == Offset(at_s=11.0, offset_s=100.0, error_s=1.0)


@pytest.mark.parametrize("offset_s", [0.0, 180.0, -1e6])
@pytest.mark.parametrize("drift", [0.0, 1e-4, -1e-4])
def test_no_offset_is_farther_off_than_it_says(offset_s: float, drift: float) -> None:
    """Also where words take longer one way than the other; a window's borders, named by the first, are where they should be."""
    for seed in range(20):
        far = Far(offset_s, drift, ways(seed))
        before = measure_offset(far.ask, far.here)
        assert abs(before.offset_s - (before.at_s * drift + offset_s)) <= before.error_s + 1e-6
        named_s = far.now_s + 0.02
        far.now_s += 1.5
        fit = ClockFit(before, measure_offset(far.ask, far.here))
        # When the other clock shows what was named to it, this one shows this.
        really_s = (named_s + before.offset_s - offset_s) / (1 + drift)
        assert abs(really_s - named_s) <= fit.error_s + 1e-6
        assert abs(fit.here(named_s + before.offset_s) - really_s) <= fit.error_s + 1e-6


def test_a_clock_that_jumps_or_words_that_take_long_are_an_error() -> None:
    """Neither can be told from a window's borders that lie apart."""
    calm, jumped = Offset(0.0, 5.0, 1e-4), Offset(1.0, 5.06, 1e-4)
    assert ClockFit(calm, calm).error_s == 1e-4
    assert ClockFit(calm, jumped).error_s > 0.06
    assert ClockFit(calm, Offset(1.0, 5.0, 0.03)).error_s >= 0.03


def test_so_many_pings_are_sent() -> None:
    """One would be as slow as the moment is."""
    asked = itertools.count()
    measure_offset(lambda: float(next(asked)), lambda: 0.0)
    assert next(asked) == PINGS
