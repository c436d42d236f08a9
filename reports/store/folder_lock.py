"""Locks a run's folder while it is written: an advisory lock on the folder itself, which ends with the process in any case."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class Hold:
    """The lock, held from now until `release`; without effect if it cannot be had, as on file systems without such locks."""

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            self._descriptor = _locked(folder, fcntl.LOCK_EX)

    def release(self) -> None:
        """Release the lock; no-op if it was released."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_held(folder: Path) -> bool:
    """Whether a process of this machine is still writing the folder."""
    try:
        os.close(_locked(folder, fcntl.LOCK_SH))
    except BlockingIOError:
        return True
    except OSError:  # no such folder, or no such locks there
        return False
    return False


def _locked(folder: Path, kind: int) -> int:
    """A descriptor that has the lock and that no child process gets; raises OSError, BlockingIOError if another has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
