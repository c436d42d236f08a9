"""Who burns CPU while nobody asks, and the pausing that keeps such a server from disturbing the others.

A server that is idle must cost the others nothing: all are up at once, and share the server's CPUs. One that does not idle is
stopped outside its own slices. Stopping and waking takes time, so its slices are longer and accordingly rarer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from bench.contract import SystemUnderTest

BURNS_ABOVE = 0.01  # of one core, while idle
_SETTLE_S = 0.5
_WINDOW_S = 1.0
_TRIES = 4  # a server that still finishes its start is looked at again
_COST_SHARE = 0.1  # of a slice that pausing and waking may take
_LEAST_SLICE_S = 0.2


@dataclass(slots=True)
class Burner:
    """A server that is paused but for the time in which it is asked; `switch_s` is what pausing and waking it took so far."""

    system: SystemUnderTest
    idle_cpu_fraction: float
    switch_s: float = 0.0

    @property
    def slice_s(self) -> float:
        """How long its slices should be at least."""
        return max(_LEAST_SLICE_S, self.switch_s / _COST_SHARE)

    def pause(self) -> None:
        """Stop it for the first time."""
        start = perf_counter()
        self.system.pause()
        self.switch_s = 2 * (perf_counter() - start)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """It runs inside of this and is stopped again behind it, whatever happens."""
        start = perf_counter()
        self.system.resume()
        wake_s = perf_counter() - start
        try:
            yield
        finally:
            start = perf_counter()
            self.system.pause()
            self.switch_s = 0.8 * self.switch_s + 0.2 * (wake_s + perf_counter() - start)


def idle_cpu_fractions(systems: Mapping[str, SystemUnderTest]) -> dict[str, float]:
    """CPU seconds a second of each server while nobody asks it, the least of a few looks; without those that cannot be read."""
    least: dict[str, float] = {}
    for attempt in range(_TRIES):
        before = {name: usage.cpu_s for name, system in systems.items() if (usage := system.usage()) is not None}
        if not before:
            return {}
        if attempt == 0:
            time.sleep(_SETTLE_S)
            before = {name: usage.cpu_s for name in before if (usage := systems[name].usage()) is not None}
        start = perf_counter()
        time.sleep(_WINDOW_S)
        for name, cpu_s in before.items():
            usage = systems[name].usage()
            if usage is not None:
                fraction = max(0.0, usage.cpu_s - cpu_s) / (perf_counter() - start)
                least[name] = min(fraction, least.get(name, fraction))
        if all(fraction <= BURNS_ABOVE for fraction in least.values()):
            break
    return least
