"""Who writes a run's folder holds it: an advisory lock on the folder itself, which goes with the process, however that ends."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class Hold:
    """Held from now until `release`; where a file system has no such locks, nobody is kept from anything."""

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = _locked(folder, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let go of it; a second time does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(folder: Path) -> bool:
    """Whether a process of this machine writes the folder still."""
    try:
        os.close(_locked(folder, fcntl.LOCK_SH))
    except BlockingIOError:
        return True
    except OSError:  # no such folder, or no such locks there
        return False
    return False


def _locked(folder: Path, kind: int) -> int:
    """A descriptor that has the lock, which no child process gets; raises OSError, BlockingIOError where another has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
