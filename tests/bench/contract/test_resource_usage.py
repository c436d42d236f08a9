"""What processes hold, from what the kernel tells of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contract.resource_usage import held_bytes, own_resource_usage, resource_usage_of

MIB = 2**20


def test_what_processes_hold_is_summed_and_shared_pages_count_once() -> None:
    """A forked child shares its parent's pages: the two hold little more than the one."""
    code = "import os; kept = b'x' * (64 << 20); child = os.fork(); print('up', flush=True) if child else None; input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        alone, both = held_bytes([process.pid]), held_bytes([process.pid, *map(int, children)])
        process.kill()
    assert alone is not None
    assert both is not None
    assert both >= 64 * MIB
    assert both < 128 * MIB
    assert alone < both


def test_processes_that_ended_hold_nothing() -> None:
    """Neither a figure nor an error."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert held_bytes([process.pid]) is None
    assert held_bytes([]) is None
    alive = held_bytes([process.pid, os.getpid()])
    assert alive is not None
    assert alive > MIB


def test_files_threads_and_processes_are_counted() -> None:
    """A process with ten more files and two more threads than before, and one that ended."""
    code = (
        "import threading; files = [open('/dev/null') for _ in range(10)]; "
        "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(2)]; "
        "print('up', flush=True); input()"
    )
    with (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
        subprocess.Popen(["true"]) as ended,
    ):
        ended.wait()
        assert process.stdout is not None
        process.stdout.readline()
        seen = resource_usage_of([process.pid, ended.pid])
        process.kill()
    assert (seen.processes, seen.threads, seen.files) == (1, 3, 13)


def test_what_was_given_back_is_not_held() -> None:
    """Neither garbage in a circle, nor what the allocator keeps in reserve: a hundred MiB in pieces that it would keep."""
    before = own_resource_usage().memory_bytes
    circle: list[object] = [bytes(20_000) for _ in range(5_000)]
    circle.append(circle)
    pinned = bytes(20_000)
    del circle
    after = own_resource_usage().memory_bytes
    assert len(pinned) == 20_000
    assert before is not None
    assert after is not None
    assert after - before < 30 * MIB


def test_what_the_kernel_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's files: their number is not known, rather than wrong."""
    real = Path.iterdir

    def refusing(path: Path) -> Iterator[Path]:
        if path.name == "fd":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    seen = own_resource_usage()
    assert seen.files is None
    assert (seen.processes, seen.threads > 0) == (1, True)
