"""Protects the client from other processes while it measures: by its niceness, and by memory that is not swapped out.

No real-time scheduling: from a real-time thread that never sleeps, as a client at its limit, the kernel takes 50 ms of every
second in one piece for all others (sched_rt_runtime_us; the fair server since Linux 6.12): a gap in each window.
"""

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
_GROUPS_NICENESS = re.compile(r"nice (-?[0-9]+)$", re.MULTILINE)
_AUTOGROUP = Path("/proc/self/autogroup")
_STATUS = Path("/proc/self/status")
_LOCK_MEMORY = 1 << 14  # CAP_IPC_LOCK
_LOCK_ALL_WHEN_TOUCHED = 1 | 2 | 4  # mlockall: MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT


@dataclass(frozen=True, slots=True)
class Priority:
    """The niceness at which the client measures.

    `alone`: only if no server shares the client's CPU; else the client would take CPU time from the server that it waits for.
    """

    niceness: int
    alone: bool = False

    def __str__(self) -> str:
        return f"niceness {self.niceness}"

    def beside(self, client_cpu: int, server_cpus: Sequence[int]) -> Priority:
        """The priority to use on `client_cpu`: the usual one if this one is `alone` and a server has that CPU too."""
        return Priority(_usual()) if self.alone and client_cpu in server_cpus else self

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Give it to the calling thread inside this context; raises OSError if the user may not have it."""
        usual, usual_of_group = _usual(), _niceness_of_group()
        if self.niceness != usual:
            _be_nice(self.niceness, self.niceness)
        try:
            yield
        finally:
            if self.niceness != usual:
                with contextlib.suppress(OSError):  # a lowered priority cannot be raised again without privilege
                    _be_nice(usual, usual_of_group)


def priority_of(wanted: str | None) -> Priority:
    """The priority for `--client-priority`: `auto` or None is the best that this user may have, `normal` changes nothing.

    Raises BadInput if it is neither one of these words nor a niceness that this user may have.
    """
    usual = Priority(_usual())
    if wanted == "normal":
        return usual
    if wanted in (None, "auto"):
        better = (Priority(niceness, alone=True) for niceness in (_BEST, _BETTER) if niceness < usual.niceness)
        return next((each for each in better if may_have(each.niceness)), usual)
    if wanted is None or not _NICENESS.fullmatch(wanted) or not _BEST <= int(wanted) <= _WORST:
        raise BadInput(f"--client-priority {str(wanted)[:200]}: expected auto, normal, or a niceness from {_BEST} to {_WORST}")
    chosen = Priority(int(wanted))
    if not may_have(chosen.niceness):
        instead = f"give auto, or a niceness from {usual.niceness} on"
        raise BadInput(f"--client-priority {wanted}: this user may not have that priority; {instead}")
    return chosen


@contextlib.contextmanager
def undisturbed(cpu: int, priority: Priority) -> Iterator[None]:
    """Run the calling thread on one CPU with that priority, and with this process's memory locked if that is allowed."""
    with pinned(cpu), priority.taken(), _memory_locked():
        yield


def may_lock_memory() -> bool:
    """Whether this process may lock all memory it will ever use; with a limit, allocations beyond it would fail."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    with contextlib.suppress(OSError):
        capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)$", _STATUS.read_text(), re.MULTILINE)
        return capabilities is not None and bool(int(capabilities[1], 16) & _LOCK_MEMORY)
    return False


@contextlib.contextmanager
def _memory_locked() -> Iterator[None]:
    """Keep all pages that were touched in memory inside this context; no-op if memory may not be locked."""
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
    """Niceness of this session's autogroup; 0 if the kernel has no groups (no such file), or the session none (empty file)."""
    with contextlib.suppress(OSError):
        if stated := _GROUPS_NICENESS.search(_AUTOGROUP.read_text()):
            return int(stated[1])
    return 0


def _be_nice(niceness: int, of_group: int) -> None:
    """Set the niceness of this thread, and `of_group` for its session: in an autogroup, a niceness counts only within it."""
    os.setpriority(os.PRIO_PROCESS, 0, niceness)  # on Linux, of this thread only
    with contextlib.suppress(OSError):
        _AUTOGROUP.write_text(str(of_group))


def may_have(niceness: int) -> bool:
    """Whether this user may have that niceness; tried in a separate thread, so that the caller's does not change."""
    outcome: list[bool] = []

    def attempt() -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, niceness)
            outcome.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(outcome)
