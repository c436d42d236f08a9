"""Finds servers that use CPU while idle, and pauses them outside their own slices.

All servers are up at once and share the server's CPUs, so an idle one must cost the others nothing. Pausing and resuming takes
time, so the slices of a paused server are longer and accordingly rarer. A resumed server first catches up on what it could not
do (Ray Serve's first answer then takes six times as long as the second), so untimed requests are sent before the clock starts.

Measured on a shared two-core machine: sixteen ordinary servers idle at 0.00 to 0.27 % of a core in every second, Ray Serve at 5
to 10 %.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from bench.contract.backend_facts import PAUSED_ABOVE, BackendFacts
from bench.contract.errors import BackendFailed
from bench.contract.system import Role, SystemUnderTest

LEAST_SLICES = 14  # for a paused server, so that each half of the campaign has enough for a confidence interval
_SETTLE_S = 0.5
_WINDOW_S = 1.0
_LOOKS = 4  # windows measured at most, since a server may still be finishing its start
_COST_SHARE = 0.1  # fraction of a slice that pausing and waking may take
_LEAST_SLICE_S = 0.2
_WAKE_S = 0.1


@dataclass(slots=True)
class PausedServer:
    """A server stopped outside its slices because it uses CPU while idle; pausing and resuming it takes `switch_s` seconds.

    `paused_s` is how long it was paused and `paused_cpu_s` the CPU seconds that it used meanwhile: the proof that the pause
    works. `problem` is why it can no longer be paused or resumed, and `runs_on` whether it runs because it was not paused.
    """

    system: SystemUnderTest
    idle_cpu_fraction: float
    switch_s: float = 0.0
    paused_s: float = 0.0
    paused_cpu_s: float = 0.0
    problem: str = ""
    runs_on: bool = False
    _since_s: float = 0.0
    _cpu_s: float | None = None

    @property
    def slice_s(self) -> float:
        """Least length of its slices, in seconds."""
        return max(_LEAST_SLICE_S, self.switch_s / _COST_SHARE)

    @property
    def wake_s(self) -> float:
        """Seconds of untimed requests at the beginning of a slice."""
        return _WAKE_S

    def pause(self) -> None:
        """Pause it for the first time; a failure is raised at its first slice."""
        start = perf_counter()
        try:
            self._pause()
        except BackendFailed as error:
            self.problem = str(error)
        self.switch_s = 2 * (perf_counter() - start)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Resume it on entry, pause it on exit whatever happens; raises BackendFailed if either fails."""
        if self.problem:
            raise BackendFailed(self.problem)
        start = perf_counter()
        self._resume()
        woken_s = perf_counter() - start
        try:
            yield
        except BaseException:
            with suppress(BackendFailed):  # it is kept in `problem`; the error that ended the slice matters more
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
    """Measures each server's CPU use while idle, once in the session, and pauses those above PAUSED_ABOVE."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._fractions: dict[str, float | None] = {}
        self._paused: dict[str, PausedServer] = {}

    def look(self, running: Mapping[str, SystemUnderTest]) -> None:
        """Measure our servers that were not measured before; no requests may be sent meanwhile."""
        new = {
            name: system
            for name, system in running.items()
            if name not in self._fractions and system.backend.role is Role.SERVER and not system.backend.attached
        }
        if not new:
            return
        fractions = idle_cpu_fractions(new)
        for name, system in new.items():
            self._fractions[name] = fraction = fractions.get(name)
            if fraction is not None and fraction > PAUSED_ABOVE:
                self._say(f"{name}: burns {fraction:.1%} of a core while idle, so it is paused outside its slices")
                self._paused[name] = PausedServer(system, fraction)
                self._paused[name].pause()

    def paused_server(self, name: str) -> PausedServer | None:
        """The paused server of that name; None if it is not paused."""
        return self._paused.get(name)

    def facts(self, name: str) -> BackendFacts:
        """The facts about that server's idling; none before it was measured."""
        if name not in self._fractions:
            return BackendFacts()
        paused_server = self._paused.get(name)
        if paused_server is None:
            return BackendFacts(idle_cpu_fraction=self._fractions[name], paused_while_idle=False)
        return BackendFacts(
            idle_cpu_fraction=self._fractions[name],
            paused_while_idle=True,
            paused_cpu_fraction=paused_server.paused_cpu_s / paused_server.paused_s if paused_server.paused_s else None,
            pause_failed=paused_server.problem if paused_server.runs_on and paused_server.problem else None,
        )

    def facts_of(self, running: Mapping[str, SystemUnderTest]) -> dict[str, BackendFacts]:
        """By name, all facts known of these backends by now, those about idling included."""
        return {name: system.facts.merged(self.facts(name)) for name, system in running.items()}


def awake(paused_server: PausedServer | None) -> AbstractContextManager[None]:
    """Let the server run inside this context; no-op if it is never paused (None)."""
    return paused_server.awake() if paused_server is not None else nullcontext()


def idle_cpu_fractions(systems: Mapping[str, SystemUnderTest]) -> dict[str, float]:
    """By name, the fraction of one core (CPU seconds per second) that each idle server uses; without unreadable ones.

    All are measured in the same second, and again while one is above PAUSED_ABOVE, since it may still be finishing its start.
    A server's least fraction decides whether it is above the limit, and is returned if it is not; else the median is returned.
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
        if all(min(fractions) <= PAUSED_ABOVE for fractions in looks.values()):
            break
    return {name: median(each) if min(each) > PAUSED_ABOVE else min(each) for name, each in looks.items()}


def _cpu_s(system: SystemUnderTest) -> float:
    usage = system.usage()
    return usage.cpu_s if usage is not None else 0.0
