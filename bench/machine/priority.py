"""What keeps others off the client while it measures: real-time scheduling or niceness, and memory that stays where it is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.errors import BadInput
from bench.machine.host import pinned

_BEST, _BETTER, _WORST = -20, -10, 19
_NICENESS = re.compile(r"-?[0-9]{1,2}")
_REALTIME = 1  # the lowest of SCHED_RR's: above all that share time, below the kernel's own, in turn with another client
_AUTOGROUP = Path("/proc/self/autogroup")
_STATUS = Path("/proc/self/status")
_LOCK_MEMORY = 1 << 14  # CAP_IPC_LOCK
_LOCK_ALL_WHEN_TOUCHED = 1 | 2 | 4  # mlockall: MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT


@dataclass(frozen=True, slots=True)
class Priority:
    """How the client is preferred: in real time, or by a niceness.

    `alone`: only where no server shares the client's CPU. There it would take the server's time while it waits for its turn.
    """

    niceness: int
    realtime: bool = False
    alone: bool = False

    def __str__(self) -> str:
        return "real time" if self.realtime else f"niceness {self.niceness}"

    def beside(self, client_cpu: int, server_cpus: Sequence[int]) -> Priority:
        """The one that is taken on that CPU."""
        return Priority(_usual()) if self.alone and client_cpu in server_cpus else self

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """The calling thread has it; raises OSError where the user may not."""
        usual, usual_of_group = _usual(), _niceness_of_group()
        if self.realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REALTIME))
        elif self.niceness != usual:
            _be_nice(self.niceness, self.niceness)
        try:
            yield
        finally:
            if self.realtime:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            elif self.niceness != usual:
                with contextlib.suppress(OSError):  # what was given away is not had again without privilege
                    _be_nice(usual, usual_of_group)


def priority_of(wanted: str | None) -> Priority:
    """`auto` is the best that this user may have, `normal` changes nothing; raises BadInput.

    That is where it is none of the words, nor a number that this user may have.
    """
    usual = Priority(_usual())
    if wanted == "normal":
        return usual
    best = Priority(_BEST, realtime=True, alone=True)
    if wanted in (None, "auto"):
        nice = (Priority(niceness, alone=True) for niceness in (_BEST, _BETTER) if niceness < usual.niceness)
        return next((each for each in (best, *nice) if _may_have(each)), usual)
    number = int(wanted) if wanted is not None and _NICENESS.fullmatch(wanted) else None
    if wanted != "realtime" and (number is None or not _BEST <= number <= _WORST):
        expected = f"expected auto, normal, realtime, or a niceness from {_BEST} to {_WORST}"
        raise BadInput(f"--client-priority {str(wanted)[:200]}: {expected}")
    chosen = Priority(usual.niceness, realtime=True) if number is None else Priority(number)
    if not _may_have(chosen):
        instead = f"give auto, or a niceness from {usual.niceness} on"
        raise BadInput(f"--client-priority {wanted}: this user may not have that priority; {instead}")
    return chosen


@contextlib.contextmanager
def undisturbed(cpu: int, priority: Priority) -> Iterator[None]:
    """Run the calling thread on one CPU with that priority, and all memory of this process locked where it may be."""
    with pinned(cpu), priority.taken(), _memory_locked():
        yield


def may_lock_memory() -> bool:
    """Whether this process may lock all that it will ever use: with a limit it would run out of memory there."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    with contextlib.suppress(OSError):
        capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)$", _STATUS.read_text(), re.MULTILINE)
        return capabilities is not None and bool(int(capabilities[1], 16) & _LOCK_MEMORY)
    return False


@contextlib.contextmanager
def _memory_locked() -> Iterator[None]:
    """Nothing that was touched leaves the memory; where it may not be locked, as ever."""
    if not may_lock_memory():
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mlockall(_LOCK_ALL_WHEN_TOUCHED)
    try:
        yield
    finally:
        libc.munlockall()


def _usual() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _niceness_of_group() -> int:
    """0 where the kernel makes no groups."""
    with contextlib.suppress(OSError):
        return int(_AUTOGROUP.read_text().split()[-1])
    return 0


def _be_nice(niceness: int, of_group: int) -> None:
    """This thread, and its session: where the kernel groups by sessions, a niceness counts within its session alone."""
    os.setpriority(os.PRIO_PROCESS, 0, niceness)  # of this thread alone, on Linux
    with contextlib.suppress(OSError):
        _AUTOGROUP.write_text(str(of_group))


def _may_have(priority: Priority) -> bool:
    """Tried in a thread of its own, which takes it along when it ends."""
    outcome: list[bool] = []

    def attempt() -> None:
        with contextlib.suppress(OSError):
            if priority.realtime:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REALTIME))
            else:
                os.setpriority(os.PRIO_PROCESS, 0, priority.niceness)
            outcome.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(outcome)
