"""Hands measured durations to pytest-benchmark through its public interface, exactly as they were measured."""

from collections.abc import Sequence
from typing import Any, Protocol

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

_MISSION = "bench/test_throughput.py::"
_TITLE = "the mission: seconds an exchange of one image or one batch (all cells: --benchmark-group-by=group)"


class Measured(Protocol):
    """The result of one test's measurement, as `Replay` needs it."""

    @property
    def duration_s(self) -> Sequence[float]:
        """The durations to replay."""
        ...

    def extra_info(self) -> dict[str, object]:
        """What pytest-benchmark's JSON holds besides the durations."""
        ...

    def require_measured(self) -> None:
        """End the running test if there is nothing to replay."""
        ...

    def require_right(self) -> None:
        """Fail the running test if what was measured was not right."""
        ...


class ReplayClock:
    """A clock between two readings of which a given duration passes: 0 before `advance`, that duration after it.

    Starting at 0 each time keeps the difference equal to the duration to the last bit; a running sum would not.
    """

    def __init__(self) -> None:
        self._left: list[float] = []
        self._shows = 0.0

    def load(self, duration_s: Sequence[float]) -> None:
        """Set the durations to replay, in order."""
        self._left = list(reversed(duration_s))

    def now(self) -> float:
        """The time; reading it after an `advance` sets it back to 0."""
        shown, self._shows = self._shows, 0.0
        return shown

    def advance(self) -> None:
        """Let the next duration pass."""
        self._shows = self._left.pop()


def one_table(config: pytest.Config, benchmarks: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]] | None:
    """One table of the mission's cells, as the suite's report shows the rest; None (pytest-benchmark's own tables) otherwise.

    That is if the run has no such cells, or --benchmark-group-by or --benchmark-compare is given.
    """
    typed = any(str(argument).startswith("--benchmark-group-by") for argument in config.invocation_params.args)
    if typed or config.getoption("benchmark_group_by") != "group" or config.getoption("benchmark_compare"):
        return None
    mission = [each for each in benchmarks if _MISSION in each["fullname"]]
    return [(_TITLE, mission)] if mission else None


class Replay:
    """Replays a cell's durations into pytest-benchmark's fixture of the running test."""

    def __init__(self, benchmark: BenchmarkFixture, clock: ReplayClock) -> None:
        self._benchmark = benchmark
        self._clock = clock

    def of(self, result: Measured) -> None:
        """Replay all durations of the result; the running test is skipped or fails as the result requires."""
        result.require_measured()
        self(result.duration_s, result.extra_info())
        result.require_right()

    def __call__(self, duration_s: Sequence[float], extra_info: dict[str, object]) -> None:
        """Replay all durations (at least one), and add `extra_info` to the benchmark's."""
        self._benchmark.extra_info.update(extra_info)
        self._clock.load(duration_s)
        self._benchmark.pedantic(self._clock.advance, rounds=len(duration_s))  # type: ignore[no-untyped-call]
