"""How much of wrk's throughput does our closed loop reach? `python -m tools.compare_wrk`, with Debian's wrk, nginx-light.

One nginx worker that answers `return 200` with a body of 1.4 KB; wrk (one thread, one connection) and our HTTP transport with
our slice loop send the very same request to it, taking turns so that the machine's drift meets both. Printed for each request
size: the median ratio of neighbouring turns, its range, and the CPU time of one of our exchanges in user and kernel mode.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.contract.wire import Endpoint, Payload
from bench.load.closed_loop import run_slice
from bench.transports.http import HttpTransport

ANSWER_BYTES = 1400
SLICE_S = 0.02
REQUEST_SIZES_BYTES = (5_000, 600_000)

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 4m;
  client_body_buffer_size 1m; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{body}"; }} }}
}}
"""
_WRK_SCRIPT = (
    'wrk.method = "POST"\nwrk.body = string.rep("x", {size})\nwrk.headers["Content-Type"] = "application/octet-stream"\n'
)


def main() -> int:
    """Print the comparison; exit code 2 with one line where wrk or nginx is missing."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare_wrk", description=__doc__)
    parser.add_argument("--turns", type=int, default=10, help="turns of each side for each size (default: %(default)s)")
    parser.add_argument("--turn-s", type=int, default=1, help="whole seconds a turn (default: %(default)s)")
    options = parser.parse_args()
    missing = [name for name in ("wrk", "nginx") if shutil.which(name, path=_PATH) is None]
    if missing:
        print(f"compare_wrk: {' and '.join(missing)} not found; apt-get install wrk nginx-light", file=sys.stderr)
        return 2
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[0]})  # the server inherits the first CPU
    with _nginx() as port:
        os.sched_setaffinity(0, {cpus[-1]})  # and both clients the last
        for size in REQUEST_SIZES_BYTES:
            _compare(port, size, options.turns, options.turn_s)
    return 0


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


@contextlib.contextmanager
def _nginx() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="servebench-wrk-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(_NGINX.format(folder=folder, port=port, body="y" * ANSWER_BYTES))
        server = subprocess.Popen([str(shutil.which("nginx", path=_PATH)), "-c", str(config), "-p", folder])
        try:
            _wait_for(port)
            yield port
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(port: int, limit_s: float = 10.0) -> None:
    give_up_at = time.perf_counter() + limit_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.perf_counter() > give_up_at:
                raise
            time.sleep(0.05)


def _compare(port: int, size: int, turns: int, turn_s: int) -> None:
    transport = HttpTransport(Endpoint(backend="nginx", name="return", protocol="raw", host="127.0.0.1", port=port))
    request = transport.prepare(Payload(b"x" * size, "application/octet-stream", (0,)))
    transport.connect()
    ratios, ours, theirs = [], [], []
    before = resource.getrusage(resource.RUSAGE_SELF)
    count = 0
    for turn in range(turns):
        pair: dict[str, float] = {}
        for side in ("wrk", "ours") if turn % 2 else ("ours", "wrk"):
            if side == "wrk":
                pair[side] = _wrk(port, size, turn_s)
            else:
                exchanges, pair[side] = _ours(transport, request, turn_s)
                count += exchanges
        ratios.append(pair["ours"] / pair["wrk"])
        ours.append(pair["ours"])
        theirs.append(pair["wrk"])
    after = resource.getrusage(resource.RUSAGE_SELF)
    transport.close()
    print(
        f"request {size / 1000:g} KB: ours {statistics.median(ours):,.0f}/s, wrk {statistics.median(theirs):,.0f}/s, "
        f"ratio median {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}, {turns} turns); "
        f"our client's CPU an exchange: {(after.ru_utime - before.ru_utime) / count * 1e6:.0f} us in Python, "
        f"{(after.ru_stime - before.ru_stime) / count * 1e6:.0f} us in the kernel"
    )


def _ours(transport: HttpTransport, request: bytes, turn_s: int) -> tuple[int, float]:
    """Exchanges, and exchanges a second, in slices as in a campaign; all that lies between exchanges counts as time."""
    start = time.perf_counter()
    exchanges = 0
    while time.perf_counter() < start + turn_s:
        done = run_slice(transport, itertools.repeat((0, request)), slice_s=SLICE_S, opener=False)
        if done.error:
            raise done.error
        exchanges += len(done.duration_s)
    return exchanges, exchanges / (time.perf_counter() - start)


def _wrk(port: int, size: int, turn_s: int) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_WRK_SCRIPT.format(size=size))
        script.flush()
        output = subprocess.run(
            ["wrk", "-t1", "-c1", f"-d{turn_s:g}s", "-s", script.name, f"http://127.0.0.1:{port}/"],
            capture_output=True,
            text=True,
            check=True,
            timeout=turn_s + 30,
        ).stdout
    found = re.search(r"Requests/sec:\s*([0-9.]+)", output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(f"compare_wrk: expected wrk to print its rate and only 2xx answers, seen:\n{output}")
    return float(found.group(1))


if __name__ == "__main__":
    sys.exit(main())
