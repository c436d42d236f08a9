"""Faults of what surrounds a run: a full or read-only disk, a clock that jumps, a package index that does not answer."""

import ipaddress
import itertools
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest

from bench.contract.errors import BackendUnavailable
from bench.contract.records import Record, Samples
from bench.contract.scenarios import Scenario
from bench.load.scheduler import Settings
from fixtures.engines.pip_settings import RETRIES
from fixtures.engines.process.process import ProcessEngine
from reports.store.store import RunStore, load_run
from tests.bench.scripted import right, world
from tests.fixtures.launching import an_engine
from tests.fixtures.tiny import make_settings, make_tiny
from tests.reports.records import a_stored_run, filled, opened

SINGLE = Scenario("single", batch_size=1)
QUICK = Settings(max_time_s=0.2)
NEEDS = "servebench-no-such-package==1\n"


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[None]:
    """A small file system of its own; skips where none may be mounted."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError as error:
        pytest.skip(f"mount: {error.strerror}")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


def test_a_disk_that_fills_up_midway_loses_no_record(tmp_path: Path, temporary: Path) -> None:
    """What no longer fits goes to a temporary folder with all from before; the first folder keeps whole records alone."""
    stored = a_stored_run()
    place = tmp_path / "small"
    with tmpfs(place, "size=2m"):
        store = RunStore(place, stored.run, "bench-1")
        first = opened(store)
        half = len(stored.records) // 2
        for record in stored.records[:half]:
            store.add(record, stored.samples.get(record.id))
        assert store.problems == ()
        _fill(place / "ballast")
        for record in stored.records[half:]:
            store.add(record, stored.samples.get(record.id))
        store.finish()
        assert {record.id for record in load_run(first).records} >= {record.id for record in stored.records[:half]}
    assert len(store.problems) == 1
    assert "No space left on device" in store.problems[0]
    assert str(store.folder) in store.problems[0]
    assert opened(store).parent == temporary
    assert load_run(opened(store)).records == stored.records


def test_a_read_only_folder_is_told_and_all_is_kept_elsewhere(tmp_path: Path, temporary: Path) -> None:
    """A file system that refuses root too: one problem, one temporary folder, every record in it."""
    stored = a_stored_run()
    place = tmp_path / "refuses"
    with tmpfs(place, "size=256k,ro"):
        store = filled(place, stored)
        store.finish()
        assert list(place.iterdir()) == []
    assert len(store.problems) == 1
    assert "Read-only file system" in store.problems[0]
    assert load_run(opened(store)).records == stored.records


def test_a_clock_that_jumps_changes_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour forwards and backwards at every look: durations, slices and the measuring time are of the steady clock."""
    jumps = itertools.cycle((3600.0, -3600.0, 86400.0, -86400.0))
    true_time = time.time
    asked: list[float] = []

    def jumping() -> float:
        asked.append(next(jumps))
        return true_time() + asked[-1]

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * jumping()))
    started_s = time.perf_counter()
    with world({"a": right, "b": right}, SINGLE, QUICK) as (campaigns, cells, records):
        campaigns.result(cells["a"])
    spent_s = time.perf_counter() - started_s
    for name in ("a", "b"):
        record, samples = _measured(records[name])
        assert record.measured_s is not None
        assert QUICK.max_time_s <= record.measured_s <= spent_s
        assert 0 < samples.duration_s.min() <= samples.duration_s.max() <= spent_s
        assert record.errors == 0


def test_no_duration_is_taken_from_a_clock_that_can_be_set() -> None:
    """No module of the suite reads time.time or its like; the time of day is for names and headings."""
    root = Path(__file__).parents[2]
    asks = re.compile(r"\btime\.time(_ns)?\(|from time import .*\btime\b|\.timestamp\(\)")
    files = [file for package in ("bench", "fixtures", "reports") for file in (root / package).rglob("*.py")]
    assert len(files) > 100
    assert [str(file) for file in files if asks.search(file.read_text(encoding="utf-8"))] == []


def test_a_package_index_that_refuses_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at its address: NOT_MEASURED with its words; neither a half-made environment nor a process stays."""
    use_index(monkeypatch, "http://127.0.0.1:9/simple", timeout_s=1)
    monkeypatch.setenv("PIP_RETRIES", "0")
    engine = ProcessEngine(make_settings(tmp_path / "cache", print))
    with pytest.raises(BackendUnavailable, match=r"(?s)could not be built.*servebench-no-such-package.*check its requirements"):
        engine.prepare(make_tiny(tmp_path, requirements=NEEDS))
    assert not list((tmp_path / "cache").rglob(".complete"))
    engine.close()


def test_a_package_index_that_hangs_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and never answers: NOT_MEASURED after three time-outs, with the installer's words."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use_index(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/simple", timeout_s=0.1)
        engine = ProcessEngine(make_settings(tmp_path / "cache", print))
        with pytest.raises(BackendUnavailable, match=r"(?s)could not be built.*servebench-no-such-package.*timed out"):
            engine.prepare(make_tiny(tmp_path, requirements=NEEDS))
        assert not list((tmp_path / "cache").rglob(".complete"))
        engine.close()
        silent.setblocking(False)
        assert len(list(waiting(silent))) == 1 + RETRIES


@pytest.mark.docker
@pytest.mark.usefixtures("buildable")
def test_a_package_index_that_hangs_ends_a_build(
    tmp_path: Path, cache: Path, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in `docker build`, where uv itself comes from there, else pip installs."""
    addressing = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    # Some engines leave it out: it is the first address then.
    gateway = addressing.get("Gateway") or str(next(ipaddress.ip_network(addressing["Subnet"]).hosts()))
    with socket.create_server((gateway, 0)) as silent, an_engine(make_settings(cache, print)) as engine:
        use_index(monkeypatch, f"http://{gateway}:{silent.getsockname()[1]}/simple", timeout_s=0.1)
        monkeypatch.setenv("PIP_TRUSTED_HOST", gateway)
        with pytest.raises(BackendUnavailable, match=r"(?s)could not be built.*Read timed out.*servebench-no-such-package"):
            engine.prepare(make_tiny(tmp_path, requirements=NEEDS))
        silent.setblocking(False)
        assert len(list(waiting(silent))) == 2 * (1 + RETRIES)  # for uv, then by pip


def use_index(monkeypatch: pytest.MonkeyPatch, url: str, timeout_s: float) -> None:
    """Have uv and pip ask there and nowhere else, with no settings of this machine."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in {"INDEX_URL": url, "DEFAULT_TIMEOUT": str(timeout_s), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name, value in {"DEFAULT_INDEX": url, "HTTP_TIMEOUT": "1", "HTTP_RETRIES": str(RETRIES)}.items():
        monkeypatch.setenv(f"UV_{name}", value)


def waiting(listener: socket.socket) -> Iterator[None]:
    """Each connection that came."""
    with suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            yield


def _measured(row: tuple[Record, Samples | None]) -> tuple[Record, Samples]:
    record, samples = row
    assert samples is not None
    return record, samples


def _fill(file: Path) -> None:
    """Write until nothing more fits."""
    with suppress(OSError), file.open("wb", buffering=0) as ballast:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    ballast.write(bytes(size))
