"""`python -m bench.agents.process`: one load agent, a process that sends the load its driver orders, timed by its own clock.

It reads its settings from standard input, one line of JSON, and prints one line of JSON that says where it listens. It accepts
one connection, from a driver that knows the key, and ends with that connection, however the driver ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Listener

from bench.agents.agent import Agent, Clock
from bench.contract.processes.lifeline import end_with, first_with_the_key
from bench.machine.priority import Priority, undisturbed

_CONNECT_S = 60.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What an agent is told at its start: it is number `number`, counted from 1, of `agents`; `parent` is its starter's pid.

    It listens at `host` for a driver that knows the `key` (hexadecimal), and sends from `cpu` at that `niceness`.
    """

    key: str
    host: str
    parent: int
    number: int
    agents: int
    cpu: int
    niceness: int


def main(clock: Clock = time.perf_counter) -> None:
    """Run the agent until the driver is gone; all times it reports are by `clock`, which must be monotonic."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    _die_with_parent(settings.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which then ends this process
    with Listener((settings.host, 0), authkey=bytes.fromhex(settings.key)) as listener:
        place = {"port": listener.address[1], "pid": os.getpid(), "host": socket.gethostname()}
        print(json.dumps(place), flush=True)
        waiting = threading.Timer(_CONNECT_S, os._exit, (1,))
        waiting.daemon = True
        waiting.start()
        connection = first_with_the_key(listener)
        waiting.cancel()
    threading.Thread(target=end_with, args=(connection,), daemon=True).start()
    with undisturbed(settings.cpu, Priority(settings.niceness)):
        try:
            Agent(connection, clock, number=settings.number, agents=settings.agents).serve()
        except (EOFError, OSError):
            return  # the driver has ended


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process, even a stopped one, when the thread that started it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the call
        os._exit(1)


if __name__ == "__main__":
    main()
