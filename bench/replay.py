"""Hands measured durations to pytest-benchmark through its public interface, exactly as they were measured."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_benchmark.fixture import BenchmarkFixture


class ReplayClock:
    """A clock that shows a given duration between two looks: 0 before `advance`, that duration after it.

    Starting each time at 0 keeps the difference equal to the duration to the last bit; a running sum would not.
    """

    def __init__(self) -> None:
        self._left: list[float] = []
        self._shows = 0.0

    def load(self, duration_s: Sequence[float]) -> None:
        """What is to be replayed, in order."""
        self._left = list(reversed(duration_s))

    def now(self) -> float:
        """The time; looking at it after an `advance` sets it back to 0."""
        shown, self._shows = self._shows, 0.0
        return shown

    def advance(self) -> None:
        """Let the next duration pass."""
        self._shows = self._left.pop()


class Replay:
    """Replays a cell's durations into pytest-benchmark's fixture of the running test."""

    def __init__(self, benchmark: BenchmarkFixture, clock: ReplayClock) -> None:
        self._benchmark = benchmark
        self._clock = clock

    def __call__(self, duration_s: Sequence[float], extra_info: dict[str, object]) -> None:
        """Give all durations (at least one) and what else is known of the cell."""
        self._benchmark.extra_info.update(extra_info)
        self._clock.load(duration_s)
        self._benchmark.pedantic(self._clock.advance, rounds=len(duration_s))  # type: ignore[no-untyped-call]
