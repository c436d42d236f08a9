"""What the measuring side asks of the machine that it runs on: usable CPUs, pinning, steal time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.contract import BadInput
from bench.options import whole_number


def usable_cpus() -> list[int]:
    """CPUs that this process may run on, ascending."""
    return sorted(os.sched_getaffinity(0))


def client_cpu(wanted: str | None) -> int:
    """The CPU that the client is pinned to: `wanted`, else the last usable one; raises BadInput."""
    usable = usable_cpus()
    if wanted is None:
        return usable[-1]
    cpu = whole_number(wanted, 0, usable[-1])
    if cpu not in usable:
        seen = ", ".join(map(str, usable))
        raise BadInput(f"--client-cpu {wanted[:200]}: expected one of this machine's usable CPUs ({seen})")
    return cpu


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Run the calling thread (and threads it starts) on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class StealClock:
    """Seconds that the hypervisor gave to others, all CPUs together, since boot; None where the kernel does not show it."""

    _FIELD = 8  # /proc/stat: cpu user nice system idle iowait irq softirq steal

    def __init__(self, path: Path = Path("/proc/stat")) -> None:
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        try:
            self._fd: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = None

    def now(self) -> float | None:
        """The counter now."""
        if self._fd is None:
            return None
        fields = os.pread(self._fd, 256, 0).split(b"\n", 1)[0].split()
        return int(fields[self._FIELD]) * self._tick_s if len(fields) > self._FIELD else None

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
