"""How a process that this one started ended, as one line for an error message."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import IO

_TAIL_LINES, _TAIL_BYTES = 6, 4000


def last_words(process: subprocess.Popen[bytes], words: IO[bytes], within_s: float) -> str:
    """Its exit code, if it ends within `within_s` seconds, and the last lines of its open log `words`; empty if neither."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    code = process.returncode
    said = ""
    with suppress(OSError, ValueError):  # the file is closed by now
        size = os.fstat(words.fileno()).st_size  # no seek: the process shares the file's position
        tail = os.pread(words.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        said = " / ".join(line.strip() for line in tail.decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:])
    return "; ".join(filter(None, ["" if code is None else f"exit code {code}", said]))
