"""Resource usage of processes of this machine at a moment: memory, open files, threads."""

import ctypes
import gc
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What a group of processes uses now; None if the kernel does not tell (another user's processes).

    `memory_bytes` is counted as in `held_bytes`; `files` are open file descriptors, sockets included.
    """

    memory_bytes: int | None
    files: int | None
    processes: int
    threads: int


def resource_usage_of(pids: Iterable[int]) -> ResourceUsage:
    """What these processes use in total; those that ended meanwhile use nothing."""
    here = [pid for pid in pids if _count(pid, "task")]
    files = [_count(pid, "fd") for pid in here]
    return ResourceUsage(
        memory_bytes=held_bytes(here),
        files=None if None in files else sum(filter(None, files)),
        processes=len(here),
        threads=sum(_count(pid, "task") or 0 for pid in here),
    )


def own_resource_usage() -> ResourceUsage:
    """What this process uses, without garbage and without free memory that its allocator keeps for later.

    The allocator keeps as much as the busiest minute needed, which would hide a slow leak.
    """
    gc.collect()
    with suppress(AttributeError, OSError):  # no C library, or one without malloc_trim (glibc has it)
        ctypes.CDLL(None).malloc_trim(0)
    return resource_usage_of([os.getpid()])


def held_bytes(pids: Iterable[int]) -> int | None:
    """Bytes that these processes hold now: the sum of their proportional set sizes, so memory that they share counts once.

    None if the kernel does not tell for a running one of them (another user's).
    """
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        except OSError:
            return None
        total += sum(int(line.split()[1]) * _KIB for line in text.splitlines() if line.startswith("Pss:"))
    return total or None


def _count(pid: int, what: str) -> int | None:
    """Number of entries in the folder `what` of a process in /proc: 0 if it ended, None if the kernel does not tell."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:
        return None
