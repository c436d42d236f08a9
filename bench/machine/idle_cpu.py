"""Who burns CPU while nobody asks, and the pausing that keeps such a server from disturbing the others.

A server that is idle must cost the others nothing: all are up at once, and share the server's CPUs. One that does not idle is
stopped outside its own slices. Stopping and waking takes time, so its slices are longer and accordingly rarer. A server that
wakes first does what it had to leave undone (Ray Serve's first answer then takes six times as long as the second), so it is
asked untimed for a while before the clock starts.

Seen on a shared two-core machine: in every second sixteen ordinary servers idle at 0.00 to 0.27 % of a core, Ray Serve at 5 to
10 %.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from bench.contract.backend_facts import BURNS_ABOVE, BackendFacts
from bench.contract.errors import BackendFailed
from bench.contract.system import Role, SystemUnderTest

LEAST_SLICES = 14  # of a burner: so that each half of the campaign has enough for an interval
_SETTLE_S = 0.5
_WINDOW_S = 1.0
_LOOKS = 4  # a server that still finishes its start is looked at again
_COST_SHARE = 0.1  # of a slice that pausing and waking may take
_LEAST_SLICE_S = 0.2
_WAKE_S = 0.1


@dataclass(slots=True)
class Burner:
    """A server that is paused but for the time in which it is asked; `switch_s` is what pausing and waking it takes.

    `paused_s` and `paused_cpu_s` are how long it was paused and what it used nevertheless: the proof that it disturbed nobody.
    """

    system: SystemUnderTest
    idle_cpu_fraction: float
    switch_s: float = 0.0
    paused_s: float = 0.0
    paused_cpu_s: float = 0.0
    problem: str = ""  # why it can no longer be paused or woken
    runs_on: bool = False  # for it could not be paused
    _since_s: float = 0.0
    _cpu_s: float | None = None

    @property
    def slice_s(self) -> float:
        """How long its slices should be at least."""
        return max(_LEAST_SLICE_S, self.switch_s / _COST_SHARE)

    @property
    def wake_s(self) -> float:
        """How long it is asked untimed in the beginning of a slice."""
        return _WAKE_S

    def pause(self) -> None:
        """Stop it for the first time; a failure shows when it is its turn."""
        start = perf_counter()
        try:
            self._pause()
        except BackendFailed as error:
            self.problem = str(error)
        self.switch_s = 2 * (perf_counter() - start)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """It runs inside of this and is stopped again behind it, whatever happens; raises BackendFailed if it does not obey."""
        if self.problem:
            raise BackendFailed(self.problem)
        start = perf_counter()
        self._resume()
        woken_s = perf_counter() - start
        try:
            yield
        except BaseException:
            with suppress(BackendFailed):  # it is kept in `problem`; what ended the slice matters more
                self._pause()
            raise
        start = perf_counter()
        self._pause()
        self.switch_s = 0.8 * self.switch_s + 0.2 * (woken_s + perf_counter() - start)

    def _pause(self) -> None:
        self.runs_on = True
        self._obeyed(self.system.pause)
        self.runs_on = False
        usage = self.system.usage()
        self._since_s, self._cpu_s = perf_counter(), usage.cpu_s if usage is not None else None

    def _resume(self) -> None:
        usage = self.system.usage()
        if usage is not None and self._cpu_s is not None:
            self.paused_s += perf_counter() - self._since_s
            self.paused_cpu_s += usage.cpu_s - self._cpu_s
        self._obeyed(self.system.resume)

    def _obeyed(self, order: Callable[[], None]) -> None:
        try:
            order()
        except BackendFailed as error:
            self.problem = str(error)
            raise


class IdleWatch:
    """The session's look at who burns CPU while idle, once a server; pauses those until it is their turn."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._fractions: dict[str, float | None] = {}
        self._burners: dict[str, Burner] = {}

    def look(self, running: Mapping[str, SystemUnderTest]) -> None:
        """Look at the servers that were not there before; nobody may be asked meanwhile."""
        new = {
            name: system
            for name, system in running.items()
            if name not in self._fractions and system.backend.role is Role.SERVER
        }
        if not new:
            return
        fractions = idle_cpu_fractions(new)
        for name, system in new.items():
            self._fractions[name] = fraction = fractions.get(name)
            if fraction is not None and fraction > BURNS_ABOVE:
                self._say(f"{name}: burns {fraction:.1%} of a core while idle, so it is paused outside its slices")
                self._burners[name] = Burner(system, fraction)
                self._burners[name].pause()

    def burner(self, name: str) -> Burner | None:
        """That server, if it is one that is paused."""
        return self._burners.get(name)

    def facts(self, name: str) -> BackendFacts:
        """What is known of that server's idling: nothing before the look."""
        if name not in self._fractions:
            return BackendFacts()
        burner = self._burners.get(name)
        if burner is None:
            return BackendFacts(idle_cpu_fraction=self._fractions[name], paused_while_idle=False)
        return BackendFacts(
            idle_cpu_fraction=self._fractions[name],
            paused_while_idle=True,
            paused_cpu_fraction=burner.paused_cpu_s / burner.paused_s if burner.paused_s else None,
            pause_failed=burner.problem if burner.runs_on and burner.problem else None,
        )

    def facts_of(self, running: Mapping[str, SystemUnderTest]) -> dict[str, BackendFacts]:
        """By name, what is known of these backends by now, their idling included."""
        return {name: system.facts.merged(self.facts(name)) for name, system in running.items()}


def awake(burner: Burner | None) -> AbstractContextManager[None]:
    """The time in which a server may run: always, unless it is one that is paused."""
    return burner.awake() if burner is not None else nullcontext()


def idle_cpu_fractions(systems: Mapping[str, SystemUnderTest]) -> dict[str, float]:
    """CPU seconds a second of each server while nobody asks it; without those that cannot be read.

    All are looked at in the same second, and again while one is above the limit, for it may still finish its start: the
    least of the looks says who burns, and for those the middle one how much.
    """
    readable = {name: system for name, system in systems.items() if system.usage() is not None}
    if not readable:
        return {}
    looks: dict[str, list[float]] = {name: [] for name in readable}
    time.sleep(_SETTLE_S)
    for _ in range(_LOOKS):
        before = {name: (perf_counter(), _cpu_s(system)) for name, system in readable.items()}
        time.sleep(_WINDOW_S)
        for name, (start, cpu_s) in before.items():
            looks[name].append((_cpu_s(readable[name]) - cpu_s) / (perf_counter() - start))
        if all(min(seen) <= BURNS_ABOVE for seen in looks.values()):
            break
    return {name: median(seen) if min(seen) > BURNS_ABOVE else min(seen) for name, seen in looks.items()}


def _cpu_s(system: SystemUnderTest) -> float:
    usage = system.usage()
    return usage.cpu_s if usage is not None else 0.0
