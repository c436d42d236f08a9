"""Runs programs of this project one after the other in one interpreter, as the shell would: arguments, folder, environment.

A program of its own: `python worker.py < jobs.json`, one line of JSON a job. Its memory is bounded, so that what fills memory
is an error here and not the end of the machine, and each job has its time, so that what hangs is named.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

MEMORY_BYTES = 6_000_000_000
JOB_S = 60
PLUGINS = ["-p", "bench.plugin", "-p", "fixtures.plugin", "-p", "reports.plugin", "-p", "no:cacheprovider"]


class Quiet(io.StringIO):
    """No terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return False


class Hung(BaseException):
    """The job took too long."""


def pytest_main(arguments: Sequence[str]) -> int:
    import pytest

    return int(pytest.main([*PLUGINS, *arguments]))


def backends_main(arguments: Sequence[str]) -> int:
    """pytest, with the backends of `root/backends` in the place of the project's."""
    from fixtures import plugin

    kept = plugin.BACKENDS
    plugin.BACKENDS = Path("root/backends").absolute()
    try:
        return pytest_main(arguments)
    finally:
        plugin.BACKENDS = kept


def reports_main(arguments: Sequence[str]) -> int:
    from reports.__main__ import main

    return main(arguments)


def web_main(arguments: Sequence[str]) -> int:
    from fixtures import web

    return web.main(arguments)


PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "pytest": pytest_main,
    "backends": backends_main,
    "reports": reports_main,
    "web": web_main,
}


def _hung(number: int, frame: FrameType | None) -> NoReturn:
    raise Hung("".join(traceback.format_stack(frame)[-3:]))


def run(job: dict[str, Any]) -> tuple[int, str]:
    """The exit code and all output; what escapes is shown as the interpreter would show it."""
    before = dict(os.environ)
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    out = Quiet()
    signal.alarm(JOB_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                code = PROGRAMS[job["program"]](job["arguments"])
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else int(error.code is not None)
                out.write(error.code if isinstance(error.code, str) else "")
            except BaseException:
                code = 1
                traceback.print_exc()
    finally:
        signal.alarm(0)
        os.environ.clear()
        os.environ.update(before)
    return code, out.getvalue()


def main() -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _hung)
    sys.path.insert(0, str(Path(__file__).parents[2]))
    for job in json.load(sys.stdin):
        code, said = run(job)
        print(json.dumps([job["name"], code, said]), flush=True)


if __name__ == "__main__":
    main()
