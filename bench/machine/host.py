"""The machine that the measuring side runs on: usable CPUs, pinning, steal time, energy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.contract.errors import BadInput
from bench.contract.options import whole_number


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
        cpus = ", ".join(map(str, usable))
        raise BadInput(f"--client-cpu {wanted[:200]}: expected one of this machine's usable CPUs ({cpus})")
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
    """Steal time: seconds that the hypervisor gave to others, summed over all CPUs, since boot; None if the kernel has none."""

    _FIELD = 8  # /proc/stat: cpu user nice system idle iowait irq softirq steal

    def __init__(self, path: Path = Path("/proc/stat")) -> None:
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        try:
            self._fd: int | None = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = None

    def now(self) -> float | None:
        """The seconds up to now."""
        if self._fd is None:
            return None
        fields = os.pread(self._fd, 256, 0).split(b"\n", 1)[0].split()
        return int(fields[self._FIELD]) * self._tick_s if len(fields) > self._FIELD else None

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class EnergyClock:
    """Joules that the machine's CPU packages used since this object was made, by their meters (RAPL); None if there are none.

    It includes all that runs on these packages, the client and idle power too. A meter wraps around at its
    `max_energy_range_uj`, after minutes at the soonest, and is corrected if read at least once in that time.
    """

    def __init__(self, folder: Path = Path("/sys/class/powercap")) -> None:
        self._meters = [meter for path in sorted(folder.glob("intel-rapl:*")) if (meter := _PackageMeter.opened(path))]

    def now(self) -> float | None:
        """The joules up to now, summed over all packages."""
        if not self._meters:
            return None
        return sum(meter.read_uj() for meter in self._meters) / 1e6

    def close(self) -> None:
        """Close the files."""
        for meter in self._meters:
            os.close(meter.file)
        self._meters = []


class _PackageMeter:
    """One CPU package's meter: microjoules since it was opened."""

    def __init__(self, file: int, range_uj: int) -> None:
        self.file = file
        self._range_uj = range_uj
        self._last_uj = self._raw_uj()
        self._sum_uj = 0

    @classmethod
    def opened(cls, folder: Path) -> _PackageMeter | None:
        """The meter in `folder`; None for a part of a package, for the whole platform (psys), or if only root may read it."""
        try:
            if not (folder / "name").read_text(encoding="ascii").startswith("package"):
                return None
            range_uj = int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
            return cls(os.open(folder / "energy_uj", os.O_RDONLY | os.O_CLOEXEC), range_uj)
        except (OSError, ValueError):
            return None

    def read_uj(self) -> int:
        raw_uj = self._raw_uj()
        self._sum_uj += raw_uj - self._last_uj + (self._range_uj if raw_uj < self._last_uj else 0)
        self._last_uj = raw_uj
        return self._sum_uj

    def _raw_uj(self) -> int:
        return int(os.pread(self.file, 32, 0))
