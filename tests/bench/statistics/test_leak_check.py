"""Whether something grows: what counts as flat, and when nobody can tell."""

from __future__ import annotations

import pytest

from bench.contract.records import SoakRow
from bench.statistics.leak_check import ALLOWED, LEAST_LAPS, Growth, growths

MIB = 2**20


def a_row(lap: int, memory_bytes: int | None = 100 * MIB, files: int | None = 20, threads: int = 3) -> SoakRow:
    return SoakRow(lap, 60.0 * lap, "flask", memory_bytes, files, 1, threads, None, 1000)


def test_what_settles_in_the_first_quarter_is_flat() -> None:
    """Caches fill and allocators settle: that is no leak."""
    rows = [a_row(lap, memory_bytes=(20 if lap < 3 else 100) * MIB) for lap in range(12)]
    growth = growths(rows)["memory_bytes"]
    assert (growth.early, growth.late, growth.is_flat) == (100 * MIB, 100 * MIB, True)
    assert growth.span_s == 360.0


def test_what_rises_lap_after_lap_grows() -> None:
    """A leak of 2 MiB a lap shows within 16 laps; one file a lap within 20."""
    assert not growths([a_row(lap, memory_bytes=(50 + 2 * lap) * MIB) for lap in range(16)])["memory_bytes"].is_flat
    assert not growths([a_row(lap, files=20 + lap) for lap in range(20)])["files"].is_flat


def test_one_lap_that_stands_out_is_no_growth() -> None:
    """Medians: a reading in the middle of something is not the course of things."""
    rows = [a_row(lap, threads=90 if lap == 15 else 3) for lap in range(16)]
    assert growths(rows)["threads"].is_flat


def test_less_is_flat() -> None:
    """Memory that is given back."""
    assert growths([a_row(lap, memory_bytes=(200 - lap) * MIB) for lap in range(16)])["memory_bytes"].is_flat


@pytest.mark.parametrize("laps", [0, 1, LEAST_LAPS - 1])
def test_too_few_laps_tell_nothing(laps: int) -> None:
    """Neither flat nor grown."""
    assert growths([a_row(lap) for lap in range(laps)]) == {}


def test_what_was_not_told_each_time_is_left_out() -> None:
    """An engine elsewhere, or a server that was away: the other quantities stand."""
    rows = [a_row(lap, memory_bytes=None if lap == LEAST_LAPS - 1 else MIB, files=None) for lap in range(LEAST_LAPS)]
    assert set(growths(rows)) == {"processes", "threads"}


@pytest.mark.parametrize(("early", "allowed"), [(20 * MIB, 8 * MIB), (1000 * MIB, 50 * MIB)])
def test_what_comes_and_goes_is_allowed(early: float, allowed: float) -> None:
    """8 MiB, or 5 % where that is more."""
    growth = Growth("memory_bytes", early, early + allowed, 60.0)
    assert growth.is_flat
    assert not Growth("memory_bytes", early, early + allowed + 1, 60.0).is_flat
    assert set(ALLOWED) <= set(SoakRow.__slots__)
