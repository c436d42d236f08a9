"""Several workers at once (pytest-xdist's `-n`): a test marked `alone` has the machine to itself, all others share it.

Those marked `docker` are one after the other: they look at what an engine holds, and build the same images.
"""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

_SHARED = pytest.StashKey[Path]()
"""A worker's alone: the folder that it has in common with the others."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """The suite's own tests are strict about warnings; a session that measures is not: there a warning must cost nothing.

    And take from the environment that this is a worker, so that a pytest which a test starts does not take itself for one.
    """
    if not (config.getoption("benchmark_only") or config.getoption("benchmark_disable")):
        config.addinivalue_line("filterwarnings", "error")
        _without_deadlines()
    variables = [os.environ.pop(name, None) for name in list(os.environ) if name.startswith("PYTEST_XDIST_")]
    if variables:
        config.stash[_SHARED] = Path(config.getoption("basetemp")).parent


def _without_deadlines() -> None:
    """Time is asserted nowhere: a busy machine makes every example late."""
    from hypothesis import HealthCheck, settings  # no package of a session that measures

    settings.register_profile("servebench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("servebench")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of several workers each begins with tests that are to be `alone`: later on they would wait for other workers' long ones.

    What starts servers follows, since it takes long, and the workers are to end at about the same time.
    """
    if _SHARED in config.stash:
        items.sort(key=lambda item: [item.get_closest_marker(mark) is None for mark in ("alone", "integration")])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """One that is to be alone waits until the other workers' tests are over, and no further one begins before it has run."""
    folder = item.config.stash.get(_SHARED, None)
    if folder is None:
        return (yield)
    kind = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with ExitStack() as held:
        if item.get_closest_marker("docker"):
            held.enter_context(locked(folder / "engine", fcntl.LOCK_EX))
        with locked(folder / "door", fcntl.LOCK_EX):  # whoever waits for the machine stands in it, and nobody overtakes
            held.enter_context(locked(folder / "machine", kind))
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that are marked `slow` run where they are asked for."""
    if item.get_closest_marker("slow") and not os.environ.get("SERVEBENCH_SLOW"):
        pytest.skip("SERVEBENCH_SLOW is not set")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C does what it does in a terminal, also in a job that a shell started in its background: there it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def locked(file: Path, kind: int) -> Iterator[None]:
    """Shared with others who share it, or exclusively; given back even if a process that a test forked lives on."""
    with file.open("w") as stream:
        fcntl.flock(stream, kind)
        try:
            yield
        finally:
            fcntl.flock(stream, fcntl.LOCK_UN)
