"""How much of wrk's throughput does our closed loop reach? `python -m tools.compare_wrk`, with Debian's wrk, nginx-light.

One nginx worker that answers `return 200` with a body of 1.4 KB; wrk (one thread, one connection) and our HTTP transport with
our slice loop send the very same request to it, taking turns so that the machine's drift meets both. Printed for each request
size: the median ratio of neighbouring turns, its range, and the CPU time of one of our exchanges in user and kernel mode.
"""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.contract.wire import Endpoint, Payload
from bench.transports.http import HttpTransport
from tools.turns import PATH, answering, apart, compare, free_port, options_of

ANSWER_BYTES = 1400
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


def main() -> None:
    """Print the comparison; exit code 2 with one line if wrk or nginx is missing."""
    options = options_of("compare_wrk", __doc__, ("wrk", "nginx"), "wrk nginx-light")
    with apart(_nginx()) as port:
        for size in REQUEST_SIZES_BYTES:
            _compare(port, size, options.turns, options.turn_s)


@contextlib.contextmanager
def _nginx() -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="servebench-wrk-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(_NGINX.format(folder=folder, port=port, body="y" * ANSWER_BYTES))
        with answering([str(shutil.which("nginx", path=PATH)), "-c", str(config), "-p", folder], port):
            yield port


def _compare(port: int, size: int, turns: int, turn_s: int) -> None:
    transport = HttpTransport(Endpoint(backend="nginx", name="return", protocol="raw", host="127.0.0.1", port=port))
    request = transport.prepare(Payload(b"x" * size, "application/octet-stream", (0,)))
    theirs = ("wrk", lambda: _wrk(port, size, turn_s))
    compare(f"request {size / 1000:g} KB", transport, request, theirs, turns, turn_s)


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
    match = re.search(r"Requests/sec:\s*([0-9.]+)", output)
    if match is None or "Non-2xx" in output:
        raise RuntimeError(f"compare_wrk: expected wrk to print its rate and only 2xx answers, seen:\n{output}")
    return float(match.group(1))


if __name__ == "__main__":
    main()
