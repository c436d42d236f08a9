"""Runs programs of this project as the shell would, each in a process of its own: arguments, folder, environment.

A program of its own: `python worker.py < jobs.json`, one line of JSON a job. Its memory is bounded, so that what fills memory
is an error here and not the end of the machine, and each job has its time, so that what hangs is found.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

MEMORY_BYTES = 6_000_000_000
JOB_S = 60
PLUGINS = ["-p", "bench.plugin", "-p", "fixtures.plugin", "-p", "reports.plugin", "-p", "no:cacheprovider"]
IMPORTED = ["-W", "ignore:Module already imported"]


class Quiet(io.StringIO):
    """No terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return False


def pytest_main(arguments: Sequence[str]) -> int:
    import pytest

    return int(pytest.main([*PLUGINS, *IMPORTED, *arguments]))


def session_main(arguments: Sequence[str]) -> int:
    """pytest as it is called; a conftest.py in the folder names the plugins, as the project's does."""
    import pytest

    return int(pytest.main([*IMPORTED, *arguments]))


def backends_main(arguments: Sequence[str]) -> int:
    """pytest, with the backends of `root/backends` in the place of the project's."""
    from fixtures import selection

    kept = selection.BACKENDS
    selection.BACKENDS = Path("root/backends").absolute()
    try:
        return pytest_main(arguments)
    finally:
        selection.BACKENDS = kept


def reports_main(arguments: Sequence[str]) -> int:
    from reports.__main__ import main

    return main(arguments)


def web_main(arguments: Sequence[str]) -> int:
    from tools import web

    return web.main(arguments)


PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "pytest": pytest_main,
    "session": session_main,
    "backends": backends_main,
    "reports": reports_main,
    "web": web_main,
}


def run(job: dict[str, Any]) -> tuple[int, str]:
    """The exit code and all output; what escapes is shown as the interpreter would show it."""
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    out = Quiet()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = PROGRAMS[job["program"]](job["arguments"])
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            out.write(error.code if isinstance(error.code, str) else "")
        except BaseException:
            code = 1
            traceback.print_exc()
    return code, out.getvalue()


def forked(job: dict[str, Any]) -> None:
    """The job in a process of its own, with what was imported so far; killed when its time is up: then it has no line."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.alarm(JOB_S)  # nobody handles it: whatever hangs ends
        code, said = run(job)
        print(json.dumps([job["name"], code, said]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)


def main() -> None:
    """All jobs, one after the other."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.path.insert(0, str(Path(__file__).parents[2]))
    jobs = json.load(sys.stdin)
    import fixtures.model.load
    import fixtures.plugin
    import reports.__main__  # noqa: F401 - each job would import these
    import tests.reports.records  # noqa: F401 - each job would import these

    fixtures.model.load.FIRST_ANSWER_S = 1.0  # half a minute in earnest
    with tempfile.TemporaryDirectory() as empty, contextlib.redirect_stdout(Quiet()), contextlib.redirect_stderr(Quiet()):
        os.chdir(empty)
        for arguments in ((), ("--benchmark-only", "--engine=docker", "--model=none")):
            pytest_main(["-c", os.devnull, "--rootdir=.", *arguments])  # what pytest imports, once for all
    gc.freeze()  # pytest collects garbage as it ends: in what is shared by all it would find none, and take most of the time
    for job in jobs:
        began = time.monotonic()
        forked(job)
        print(f"{time.monotonic() - began:6.2f} s {job['name']}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
