"""Our medians beside perf_analyzer's on one Triton: `python -m tools.compare_perf_analyzer PATH_OF_PERF_ANALYZER`.

Triton runs as the `triton` backend on the process engine. perf_analyzer (C++) and our client ask its HTTP binary and its gRPC
endpoint about single items, turn and turn about, with 1 client and with 8. perf_analyzer is in the wheel tritonclient 2.41.0
(`unzip`); it needs Debian's libb64-0d, and PyTriton's libcudart under the name libcudart.so.12, which this finds by itself.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bench.contract.wire import Endpoint, Payload
from bench.load.closed_loop import run_clients, run_slice
from bench.load.connection_pool import BUSY_POLL_S, ConnectionPool
from bench.load.payload_sources import CyclingPayloads
from bench.protocols import codec
from bench.transports.connect import open_connection
from fixtures.host.cache import cache_root
from fixtures.model.load import load_model
from tools.turns import started

TRITON = Path(__file__).parents[1] / "fixtures" / "backends" / "triton"
PROTOCOLS = {"binary": "http", "grpc": "grpc"}
CLIENTS = (1, 8)


def main() -> int:
    """Print the comparison; exit code 2 with one line if perf_analyzer cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_perf_analyzer", description=__doc__)
    parser.add_argument("program", type=Path, help="perf_analyzer")
    parser.add_argument("--turns", type=int, default=6, help="turns of each side (default: %(default)s)")
    parser.add_argument("--turn-s", type=float, default=2.0, help="seconds a turn (default: %(default)s)")
    options = parser.parse_args()
    if not os.access(options.program, os.X_OK):
        print(
            f"compare_perf_analyzer: {options.program} is no program; unzip it from the wheel tritonclient 2.41.0",
            file=sys.stderr,
        )
        return 2
    with started(TRITON) as (endpoints, _), _libraries() as libraries:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for clients in CLIENTS:
            _compare(endpoints, clients, options, libraries)
    return 0


@contextmanager
def _libraries() -> Iterator[str]:
    """A folder with libcudart.so.12, from the environment of the triton backend if it has one."""
    libraries = sorted(cache_root().glob("venvs/*/lib/python*/site-packages/nvidia_pytriton.libs/libcudart*"))
    with tempfile.TemporaryDirectory(prefix="servebench-libraries-") as folder:
        if libraries:
            Path(folder, "libcudart.so.12").symlink_to(libraries[0])
        yield folder


def _compare(endpoints: Mapping[str, Endpoint], clients: int, options: argparse.Namespace, libraries: str) -> None:
    """Print the ratios of both sides and of both protocols; all are measured in each turn, so that all can be compared."""
    ours: dict[str, list[float]] = {name: [] for name in PROTOCOLS}
    theirs: dict[str, list[float]] = {name: [] for name in PROTOCOLS}
    for turn in range(options.turns):
        for name, protocol in PROTOCOLS.items():
            for side in (ours, theirs) if turn % 2 else (theirs, ours):
                if side is ours:
                    median_s = _our_median_s(endpoints[name], clients, options.turn_s)
                else:
                    median_s = _their_median_s(options.program, endpoints[name], protocol, clients, options.turn_s, libraries)
                side[name].append(median_s)
    for name in PROTOCOLS:
        print(
            f"{name}, {clients} clients: median latency ours {1e3 * statistics.median(ours[name]):.3f} ms, perf_analyzer "
            f"{1e3 * statistics.median(theirs[name]):.3f} ms, ratio {_ratio(ours[name], theirs[name])}, {options.turns} turns"
        )
    for who, side in (("ours", ours), ("perf_analyzer", theirs)):
        print(f"grpc over binary, {clients} clients, {who}: {_ratio(side['grpc'], side['binary'])}", flush=True)


def _ratio(of: Sequence[float], over: Sequence[float]) -> str:
    """Median and range of the ratios of values from the same turn."""
    ratios = [one / other for one, other in zip(of, over, strict=True)]
    return f"median {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})"


def _our_median_s(endpoint: Endpoint, clients: int, turn_s: float) -> float:
    pool = ConnectionPool([open_connection(endpoint) for _ in range(clients)], busy_poll_s=BUSY_POLL_S)
    asked = codec(endpoint.protocol, load_model().signature)
    body, content_type, headers = asked.encode({"images": np.zeros((1, 784), dtype=np.float32)})
    source = CyclingPayloads([Payload(body, content_type, (0,), headers)], pool.prepare)
    try:
        if clients > 1:
            done = run_clients(pool, clients, source.requests(0), slice_s=turn_s, lead_in_s=0.1)
        else:
            transport = open_connection(endpoint)
            transport.connect()
            done = run_slice(transport, source.requests(0), slice_s=turn_s, warm_up_request=True)
            transport.close()
    finally:
        pool.close()
    if done.error is not None:
        raise done.error
    return statistics.median(done.duration_s)


def _their_median_s(program: Path, endpoint: Endpoint, protocol: str, clients: int, turn_s: float, libraries: str) -> float:
    command = [str(program), "-m", "emnist", "-u", f"{endpoint.host}:{endpoint.port}", "-i", protocol, "-b", "1"]
    command += ["--shape", "images:1,784", "--input-data", "zero", "--percentile=50", f"--concurrency-range={clients}"]
    command += [f"--measurement-interval={round(1e3 * turn_s / 3)}", "-s", "10000"]  # accept any stability: our turns decide
    done = subprocess.run(
        command, env={**os.environ, "LD_LIBRARY_PATH": libraries}, capture_output=True, text=True, check=False, timeout=120
    )
    median = re.findall(r"p50 latency: (\d+) usec", done.stdout)
    if not median:
        raise SystemExit(f"compare_perf_analyzer: no p50 latency in its words:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return int(median[-1]) / 1e6


if __name__ == "__main__":
    sys.exit(main())
