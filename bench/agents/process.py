"""`python -m bench.agents.process`: one load agent, a process that sends what its driver says, and keeps its own time.

It reads its settings from standard input, a line of JSON, and answers with a line that says where it listens. It takes one
connection from who knows the key, and lives as long as that one: whatever ends the driver ends it.
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
    """What an agent is told at its start; `number` counts the agents from 1, of `agents`, `parent` is who starts it.

    It listens at `host` for who knows the `key` (hexadecimal), and sends from `cpu` with that niceness.
    """

    key: str
    host: str
    parent: int
    number: int
    agents: int
    cpu: int
    niceness: int


def main(clock: Clock = time.perf_counter) -> None:
    """Until the driver is gone; all that it tells of time is by `clock`, which must be steady."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    _die_with_parent(settings.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, which ends this
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
    """From now on the kernel kills this process when the thread that started it ends, also where it is stopped."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


if __name__ == "__main__":
    main()
