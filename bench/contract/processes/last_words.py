"""What became of a process that this one started, in a line for an error."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import IO

_TAIL_LINES, _TAIL_BYTES = 6, 4000


def last_words(process: subprocess.Popen[bytes], words: IO[bytes], within_s: float) -> str:
    """Its exit code where it ends within the time, and the end of what it wrote into the open file `words`; or nothing."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    code = process.returncode
    said = ""
    with suppress(OSError, ValueError):  # closed by now
        size = os.fstat(words.fileno()).st_size  # not by seek: the place in the file is the process's as well
        tail = os.pread(words.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        said = " / ".join(line.strip() for line in tail.decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:])
    return "; ".join(filter(None, ["" if code is None else f"exit code {code}", said]))
