"""Our closed loop and another load generator at the same server, turn about, so that the machine's drift meets both."""

import itertools
import resource
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.contract.wire import Transport
from bench.load.closed_loop import run_slice

SLICE_S = 0.02


def compare(
    title: str, transport: Transport[Any], request: Any, theirs: tuple[str, Callable[[], float]], turns: int, turn_s: int
) -> None:
    """Print the median of the ratios of neighbouring turns, its range, and the CPU time of one of our exchanges.

    `theirs` is the other's name, and one turn of it, which gives exchanges a second.
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
    """Exchanges, and exchanges a second, in slices as in a campaign; all that lies between exchanges counts as time."""
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


def wait_for(port: int, limit_s: float = 10.0) -> None:
    """Until the port takes connections; OSError where it does not in time."""
    give_up_at = time.perf_counter() + limit_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.perf_counter() > give_up_at:
                raise
            time.sleep(0.05)
