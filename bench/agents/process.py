"""`python -m bench.agents.process`: one load agent, a process that sends what its driver says, and keeps its own time.

It reads its settings from standard input, a line of JSON, and answers with a line that says where it listens. It takes one
connection from who knows the key, and lives as long as that one: whatever ends the driver ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener

from bench.agents.agent import Agent, Clock
from bench.machine.priority import Priority, undisturbed

_CONNECT_S = 60.0
_PR_SET_PDEATHSIG = 1
_CUT_S = 25  # a driver that does not answer for so long, not even its kernel, is gone: its link was cut
_KEEP_ALIVE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 1000 * _CUT_S,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What an agent is told at its start; `number` counts the agents from 1, of `agents`, `parent` is who starts it.

    It listens at `host` for who knows the `key` (hexadecimal), and sends from `cpu` with that niceness; `shared`: another agent
    has that one too.
    """

    key: str
    host: str
    parent: int
    number: int
    agents: int
    cpu: int
    niceness: int
    shared: bool


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
        connection = _first_with_the_key(listener)
        waiting.cancel()
    _notice_a_cut(connection.fileno())
    threading.Thread(target=_end_with, args=(connection.fileno(),), daemon=True).start()
    with undisturbed(settings.cpu, Priority(settings.niceness)):
        try:
            own_cpu = None if settings.shared else settings.cpu
            Agent(connection, clock, number=settings.number, agents=settings.agents, own_cpu=own_cpu).serve()
        except (EOFError, OSError):
            return  # the driver has ended


def _first_with_the_key(listener: Listener) -> Connection:
    while True:
        with contextlib.suppress(AuthenticationError, EOFError, OSError):  # somebody else
            return listener.accept()


def _notice_a_cut(descriptor: int) -> None:
    """A connection whose other end is out of reach ends as well."""
    with socket.socket(fileno=os.dup(descriptor)) as control:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE.items():
            control.setsockopt(socket.IPPROTO_TCP, option, value)


def _end_with(descriptor: int) -> None:
    """End this process with the control connection, whatever it is doing; until then this thread sleeps in the kernel."""
    hung_up = select.poll()
    hung_up.register(descriptor, select.POLLRDHUP)
    hung_up.poll()
    os._exit(0)


def _die_with_parent(parent: int) -> None:
    """From now on the kernel kills this process when the thread that started it ends, also where it is stopped."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


if __name__ == "__main__":
    main()
