"""Whether something grows: what counts as flat, and when nobody can tell."""

from collections.abc import Callable

import pytest

from bench.contract.rows import SoakRow, by_holder, readings
from bench.statistics.leak_check import ALLOWED, LEAST_LAPS, Growth, growths

MIB = 2**20
Reading = Callable[[int], int | None]
"""By lap, from 0."""


def judged(
    laps: int, memory_bytes: Reading = lambda _: 100 * MIB, files: Reading = lambda _: 20, threads: Reading = lambda _: 3
) -> dict[str, Growth]:
    """What `growths` says of so many laps, a minute each, with these readings of one process."""
    numbers = range(laps)
    series: dict[str, list[int | None]] = {
        "memory_bytes": [memory_bytes(lap) for lap in numbers],
        "files": [files(lap) for lap in numbers],
        "processes": [1 for _ in numbers],
        "threads": [threads(lap) for lap in numbers],
        "belongings": [None for _ in numbers],
    }
    return growths([60.0 * lap for lap in numbers], series)


def test_what_settles_in_the_first_quarter_is_flat() -> None:
    """Caches fill and allocators settle: that is no leak."""
    growth = judged(12, memory_bytes=lambda lap: (20 if lap < 3 else 100) * MIB)["memory_bytes"]
    assert (growth.early, growth.late, growth.is_flat) == (100 * MIB, 100 * MIB, True)
    assert growth.span_s == 360.0


def test_what_rises_lap_after_lap_grows() -> None:
    """A leak of 2 MiB a lap shows within 16 laps; one file a lap within 20."""
    assert not judged(16, memory_bytes=lambda lap: (50 + 2 * lap) * MIB)["memory_bytes"].is_flat
    assert not judged(20, files=lambda lap: 20 + lap)["files"].is_flat


def test_one_lap_that_stands_out_is_no_growth() -> None:
    """Medians: a reading in the middle of something is not the course of things."""
    assert judged(16, threads=lambda lap: 90 if lap == 15 else 3)["threads"].is_flat


def test_less_is_flat() -> None:
    """Memory that is given back."""
    assert judged(16, memory_bytes=lambda lap: (200 - lap) * MIB)["memory_bytes"].is_flat


@pytest.mark.parametrize("laps", [0, 1, LEAST_LAPS - 1])
def test_too_few_laps_tell_nothing(laps: int) -> None:
    """Neither flat nor grown."""
    assert judged(laps) == {}


def test_what_was_not_told_each_time_is_left_out() -> None:
    """An engine elsewhere, or a server that was away: the other quantities stand."""
    growth = judged(LEAST_LAPS, memory_bytes=lambda lap: None if lap == LEAST_LAPS - 1 else MIB, files=lambda _: None)
    assert set(growth) == {"processes", "threads"}


@pytest.mark.parametrize(("early", "allowed"), [(20 * MIB, 8 * MIB), (1000 * MIB, 50 * MIB)])
def test_what_comes_and_goes_is_allowed(early: float, allowed: float) -> None:
    """8 MiB, or 5 % where that is more."""
    growth = Growth("memory_bytes", early, early + allowed, 60.0)
    assert growth.is_flat
    assert not Growth("memory_bytes", early, early + allowed + 1, 60.0).is_flat


def test_the_rows_of_a_soak_are_a_series_of_each_quantity_that_is_judged() -> None:
    """By holder, in the order measured."""
    assert set(ALLOWED) <= set(SoakRow.__slots__)
    rows = [
        SoakRow(lap, 60.0 * lap, holder, 100 * lap, None, 1, 3, None, 9) for lap in (1, 2) for holder in ("flask", "triton")
    ]
    assert list(by_holder(rows)) == ["flask", "triton"]
    expected = {"memory_bytes": [100, 200], "files": [None, None]}
    assert readings(by_holder(rows)["triton"], ("memory_bytes", "files")) == ([60.0, 120.0], expected)
