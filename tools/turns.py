"""Our closed loop and another load generator at the same server, in turns, so that the machine's drift affects both."""

import argparse
import itertools
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from bench.contract.wire import Endpoint, Transport
from bench.load.closed_loop import run_slice
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe
from fixtures.dataset.emnist import load_emnist
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.cache import cache_root
from fixtures.host.cpus import server_cpus
from fixtures.host.run_identity import RunIdentity
from fixtures.model.load import load_model
from fixtures.specs.manifest import load_spec

SLICE_S = 0.02
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def options_of(name: str, description: str | None, programs: Sequence[str], packages: str) -> argparse.Namespace:
    """`turns` and `turn_s` from the command line; ends with code 2 and one line if one of the programs is missing."""
    parser = argparse.ArgumentParser(prog=f"python -m tools.{name}", description=description)
    parser.add_argument("--turns", type=int, default=10, help="turns of each side (default: %(default)s)")
    parser.add_argument("--turn-s", type=int, default=1, help="whole seconds a turn (default: %(default)s)")
    options = parser.parse_args()
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing:
        print(f"{name}: {' and '.join(missing)} not found; apt-get install {packages}", file=sys.stderr)
        sys.exit(2)
    return options


@contextmanager
def apart(server: AbstractContextManager[int]) -> Iterator[int]:
    """Start a server on the first CPU and yield its port; in the context, this process runs on the last CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[0]})  # the server inherits it
    try:
        with server as port:
            os.sched_setaffinity(0, {cpus[-1]})
            yield port
    finally:
        os.sched_setaffinity(0, cpus)


@contextmanager
def answering(command: Sequence[str], port: int, **started: Any) -> Iterator[int]:
    """Run the server that this command starts; yields its port once it accepts connections, and ends it with the context."""
    server = subprocess.Popen(command, **started)
    try:
        wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def started(folder: Path) -> Iterator[tuple[Mapping[str, Endpoint], PayloadFactory]]:
    """Start a backend on the process engine; yields its endpoints and a factory of payloads; raises SystemExit if it cannot."""
    spec, model = load_spec(folder / "backend.toml"), load_model()
    factory = PayloadFactory(load_emnist(None, allow_download=False, say=print), model)
    settings = EngineSettings(RunIdentity.new(), server_cpus(None), cache_root(), print)
    with LocalFleet([spec], ProcessEngine(settings), model, settings) as fleet:
        fleet.start([spec.name], Probe(factory, [1]))
        if spec.name in fleet.absent:
            raise SystemExit(fleet.absent[spec.name].reason)
        yield fleet.running[spec.name].endpoints, factory


def compare(
    title: str, transport: Transport[Any], request: Any, theirs: tuple[str, Callable[[], float]], turns: int, turn_s: int
) -> None:
    """Print the median of the ratios of neighbouring turns, its range, and the CPU time of one of our exchanges.

    `theirs` is the other's name, and a function that runs one turn of it and returns exchanges per second.
    """
    name, their_turn = theirs
    transport.connect()
    ratios, ours, others = [], [], []
    before = resource.getrusage(resource.RUSAGE_SELF)
    count = 0
    for turn in range(turns):
        pair: dict[str, float] = {}
        for side in (name, "ours") if turn % 2 else ("ours", name):
            if side == name:
                pair[side] = their_turn()
            else:
                exchanges, pair[side] = our_turn(transport, request, turn_s)
                count += exchanges
        ratios.append(pair["ours"] / pair[name])
        ours.append(pair["ours"])
        others.append(pair[name])
    after = resource.getrusage(resource.RUSAGE_SELF)
    transport.close()
    print(
        f"{title}: ours {statistics.median(ours):,.0f}/s, {name} {statistics.median(others):,.0f}/s, "
        f"ratio median {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}, {turns} turns); "
        f"our client's CPU an exchange: {(after.ru_utime - before.ru_utime) / count * 1e6:.0f} us in Python, "
        f"{(after.ru_stime - before.ru_stime) / count * 1e6:.0f} us in the kernel"
    )


def our_turn(transport: Transport[Any], request: Any, turn_s: int) -> tuple[int, float]:
    """Run one turn, in slices as in a campaign; returns exchanges, and exchanges per second, time between them included."""
    start = time.perf_counter()
    exchanges = 0
    while time.perf_counter() < start + turn_s:
        transport.ensure_connected()
        done = run_slice(transport, itertools.repeat((0, request)), slice_s=SLICE_S, warm_up_request=False)
        if done.error:
            raise done.error
        exchanges += len(done.duration_s)
    return exchanges, exchanges / (time.perf_counter() - start)


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until the port accepts connections; raises OSError if it does not within 10 s."""
    give_up_at = time.perf_counter() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.perf_counter() > give_up_at:
                raise
            time.sleep(0.05)
