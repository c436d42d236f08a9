"""Are two URLs of one server told apart when one of them goes through a proxy that adds 5 %? `python -m tools.proxy_ab`.

Each run is two sessions as a user starts them, with default times: `--url` of the server beside `--url` of the proxy, where the
ratio's interval should exclude 1, and the server's URL twice, where it should hold 1. The server is that of the self-check,
`fixtures/examples/slowed`. It turns a loop for some milliseconds, so that a proxy's own hop is less than 5 % of an exchange;
what is lacking to 5 % the proxy spends in a loop of its own. What it adds in truth is measured before and after, with the two
URLs asked in turn.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.contract.wire import Endpoint, Payload
from bench.load.closed_loop import run_slice
from bench.machine.host import pinned
from bench.transports.http import HttpTransport
from fixtures.host.cpus import server_cpus
from tools.slow_proxy import ADDED
from tools.turns import free_port, started, wait_for

ROOT = Path(__file__).parents[1]
MORE = 0.05
_EXCHANGE_S = 0.0025
_TURNS = 200_000  # turns of a loop, to find the time of one
_ROUNDS, _SLICE_S = 60, 0.03

Ways = Sequence[tuple[int, int | None]]
"""Turns of the server's loop, and of the proxy's, of each way to ask; None: without the proxy."""

Paces = Callable[[Ways], npt.NDArray[np.float64]]
"""Median seconds of an exchange in each way, asked in turn: [rounds, ways]."""


def main() -> int:
    """Print each ratio, and how often its interval was right."""
    parser = argparse.ArgumentParser(prog="python -m tools.proxy_ab", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="runs of two sessions each (default: %(default)s)")
    runs = parser.parse_args().runs
    with started(ROOT / "fixtures" / "examples" / "slowed") as (endpoints, factory):
        endpoint = endpoints["raw"]
        with _proxy(endpoint.port) as port:
            paces = _paces(endpoint, port, factory.payload_set(endpoint, 1).payloads[0])
            turns, added = _calibrated(paces)
            print(_told(paces, turns, added), flush=True)
            right = {"through the proxy": 0, "the same": 0}
            for _ in range(runs):
                for name, beside in (("through the proxy", port), ("the same", endpoint.port)):
                    ratio, low, high = _session(endpoint, beside, turns, added)
                    right[name] += (low <= 1 <= high) == (beside == endpoint.port)
                    print(f"{name}: {ratio:.4f} ({low:.4f} to {high:.4f})", flush=True)
            print(_told(paces, turns, added))
    print(f"through the proxy: 1 was excluded in {right['through the proxy']} of {runs}")
    print(f"the same: 1 was held in {right['the same']} of {runs}")
    return 0


@contextmanager
def _proxy(port: int) -> Iterator[int]:
    """Run the proxy in front of that port, on the servers' CPU; yields the proxy's own port."""
    own = free_port()
    with pinned(server_cpus(None)[0]):
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.slow_proxy", str(own), str(port)], cwd=ROOT, stdin=subprocess.PIPE
        )
    with process:  # it ends when its input is closed
        wait_for(own)
        yield own


def _paces(endpoint: Endpoint, proxy: int, payload: Payload) -> Paces:
    """The function that measures paces, from the client's CPU, by the proxy or directly."""
    transports = [HttpTransport(each) for each in (endpoint, replace(endpoint, port=proxy))]
    for transport in transports:
        transport.connect()

    def pace_s(turns: int, added: int | None) -> float:
        transport = transports[added is not None]
        headers = (*payload.headers, ("x-turns", str(turns)), (ADDED, str(added or 0)))
        request = transport.prepare(replace(payload, headers=headers))
        done = run_slice(transport, itertools.repeat((0, request)), slice_s=_SLICE_S, warm_up_request=True)
        if done.error:
            raise done.error
        return float(np.median(done.duration_s))

    def paces(ways: Ways) -> npt.NDArray[np.float64]:
        with pinned(max(os.sched_getaffinity(0))):
            return np.array([[pace_s(*way) for way in ways] for _ in range(_ROUNDS)])

    return paces


def _calibrated(paces: Paces) -> tuple[int, int]:
    """Turns of the server's loop and of the proxy's with which the proxy adds the part MORE to an exchange."""
    plain_s, slowed_s = paces([(0, None), (_TURNS, None)]).T
    turn_s = float(np.median(slowed_s - plain_s)) / _TURNS
    turns, added = round(_EXCHANGE_S / turn_s), 0
    for _ in range(3):  # each corrects the error of the one before
        plain_s, through_s = paces([(turns, None), (turns, added)]).T
        lacking_s = (1 + MORE - float(np.median(through_s / plain_s))) * float(np.median(plain_s))
        added = max(0, added + round(lacking_s / turn_s))
    return turns, added


def _told(paces: Paces, turns: int, added: int) -> str:
    plain_s, hop_s, slowed_s = paces([(turns, None), (turns, 0), (turns, added)]).T
    hop, all_of_it = np.median(hop_s / plain_s) - 1, np.median(slowed_s / plain_s) - 1
    return f"to {1e3 * np.median(plain_s):.2f} ms the proxy adds {all_of_it:.1%}, {hop:.1%} of it by its hop"


def _session(endpoint: Endpoint, beside: int, turns: int, added: int) -> tuple[float, float, float]:
    """The speed of the URL at port `beside` over that of the server's own, and its interval."""
    with tempfile.TemporaryDirectory() as out:
        ports = {"own": endpoint.port, "beside": beside}
        urls = [f"--url={name}=raw@http://127.0.0.1:{port}{endpoint.path}" for name, port in ports.items()]
        headers = ["--header=x-turns=ENV:TURNS", f"--header={ADDED}=ENV:ADDED"]
        command = [sys.executable, "-m", "pytest", "-c", "tox.ini", "--benchmark-only", "--engine=process", *urls, *headers]
        done = subprocess.run(
            [*command, "-k", "single", "-m", "not replay", f"--report-dir={out}", "--ratio-to=own-raw"],
            cwd=ROOT,
            env={**os.environ, "TURNS": str(turns), "ADDED": str(added)},
            capture_output=True,
            text=True,
            check=False,
        )
        results = Path(out, "latest", "results.json")
        if not results.is_file():
            raise RuntimeError(f"proxy_ab: expected a session with results, seen:\n{done.stdout}{done.stderr}")
        cells = json.loads(results.read_text(encoding="utf-8"))["cells"]
    (cell,) = (cell for cell in cells if cell["backend"] == "beside")
    if cell["ratio_low"] is None:
        raise RuntimeError(f"proxy_ab: expected a ratio with an interval, seen {cell['verdict']}: {cell['reason']}")
    return cell["ratio"], cell["ratio_low"], cell["ratio_high"]


if __name__ == "__main__":
    sys.exit(main())
