"""What the client takes while it measures, and gives back."""

import contextlib
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bench.contract.errors import BadInput
from bench.machine import priority
from bench.machine.priority import Priority, may_lock_memory, priority_of, undisturbed

CPU = min(os.sched_getaffinity(0))


def taken() -> dict[str, Any]:
    """What the calling thread has now."""
    locked = re.search(r"VmLck:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return {
        "cpus": os.sched_getaffinity(0),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "locked": locked is not None and int(locked[1]) > 0,
    }


def may_have_again(niceness: int) -> bool:
    """Whether a thread that gave that away gets it back: without privilege it does not."""

    def attempt() -> bool:
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, niceness)
        return os.getpriority(os.PRIO_PROCESS, 0) == niceness

    with ThreadPoolExecutor(1) as own_thread:
        return own_thread.submit(attempt).result()


@pytest.mark.parametrize("wanted", ["auto", "normal", "19"])
def test_a_client_takes_what_it_may_have_and_gives_it_back(wanted: str) -> None:
    """Pinned, preferred and locked while it measures, this thread alone; also where the measuring fails."""
    before, chosen = taken(), priority_of(wanted)

    def measure() -> list[dict[str, Any]]:
        seen = []
        with contextlib.suppress(KeyError), undisturbed(CPU, chosen):
            seen.append(taken())
            raise KeyError
        return [*seen, taken()]

    with ThreadPoolExecutor(1) as own_thread:
        during, after = own_thread.submit(measure).result()
    assert during == {"cpus": {CPU}, "niceness": chosen.niceness, "locked": may_lock_memory()}
    if wanted == "19" and not may_have_again(before["niceness"]):
        before["niceness"] = chosen.niceness
    assert after == before


@pytest.mark.parametrize("content", ["", "/autogroup-7 nice 0\n", None])
def test_a_session_in_no_group_of_the_kernel(content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is empty, and where the kernel makes no groups there is none: neither keeps the client from its priority."""
    group = tmp_path / "autogroup"
    if content is not None:
        group.write_text(content)
    monkeypatch.setattr(priority, "_AUTOGROUP", group)

    def measure() -> int:
        with undisturbed(CPU, Priority(19)):
            return os.getpriority(os.PRIO_PROCESS, 0)

    with ThreadPoolExecutor(1) as own_thread:
        assert own_thread.submit(measure).result() == 19


def test_another_thread_keeps_its_own() -> None:
    """Of what is taken: the rest of the process goes on as ever."""
    seen, begin, look = [], threading.Event(), threading.Event()

    def other() -> None:
        begin.set()
        look.wait()
        seen.append((os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)))

    thread = threading.Thread(target=other)
    thread.start()
    begin.wait()
    with undisturbed(CPU, priority_of("auto")):
        look.set()
        thread.join()
    assert seen == [(os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0))]


def test_a_client_that_shares_its_cpu_with_servers_is_not_preferred() -> None:
    """Waiting for its turn it would keep them from theirs; who asks for a priority by name gets it all the same."""
    usual = Priority(os.getpriority(os.PRIO_PROCESS, 0))
    assert priority_of("auto").beside(1, [0]) == priority_of("auto")
    assert priority_of("auto").beside(1, [0, 1]) == usual
    assert priority_of("19").beside(1, [0, 1]) == Priority(19)


@pytest.mark.parametrize("allowed", [-20, -10, None])
def test_auto_is_the_best_that_a_user_may_have(monkeypatch: pytest.MonkeyPatch, allowed: int | None) -> None:
    """The best niceness, else what everybody has; what is asked by name and not allowed is refused."""
    monkeypatch.setattr(priority, "may_have", lambda niceness: niceness == allowed)
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert priority_of("auto").niceness == (usual if allowed is None else allowed)
    with pytest.raises(BadInput, match="--client-priority -15: this user may not have that priority; give auto, or a"):
        priority_of("-15")


@pytest.mark.parametrize("wanted", ["high", "realtime", "-21", "20", "1.5", "", "--5"])
def test_no_priority_is_refused(wanted: str) -> None:
    """One sentence that says what there is."""
    expected = "expected auto, normal, or a niceness from -20 to 19"
    with pytest.raises(BadInput, match=f"--client-priority {wanted}: {expected}"):
        priority_of(wanted)
