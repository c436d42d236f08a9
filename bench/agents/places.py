"""Where agents run: how one is started, reached and ended. To run them elsewhere, implement `Place`; nothing else changes."""

import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

from bench.agents.process import Settings
from bench.contract.errors import AgentFailed
from bench.contract.processes.last_words import last_words

LOOPBACK = "127.0.0.1"
_ROOT = Path(__file__).parents[2]
_COMMAND = (sys.executable, "-m", "bench.agents.process")
_START_S = 60.0
_END_S = 5.0
_WORDS_S = 0.5


class Started(Protocol):
    """The process of a started agent, wherever it runs."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens."""
        ...

    @property
    def key(self) -> bytes:
        """Secret that a client must present to connect."""
        ...

    @property
    def host(self) -> str:
        """The name of its machine."""
        ...

    @property
    def node(self) -> str:
        """The first digits of its cluster node's id; empty outside a cluster."""
        ...

    @property
    def pid(self) -> int:
        """Its process id on that machine."""
        ...

    @property
    def cpu(self) -> int:
        """The CPU it sends from."""
        ...

    @property
    def niceness(self) -> int:
        """The niceness it runs at; a node may not allow the one that was asked for."""
        ...

    def last_words(self) -> str:
        """How it ended and the last lines it wrote, in short; empty while it runs and has written nothing."""
        ...

    def end(self) -> None:
        """End it, even if it is stopped; no-op if it has ended; never raises."""
        ...


class Place(Protocol):
    """Starts agents somewhere."""

    def start(self, number: int, agents: int) -> Started:
        """Start agent `number`, counted from 1, of `agents` in all; raises AgentFailed."""
        ...


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """Runs agents as processes of this machine, reached over loopback; they take the `cpus` in turn."""

    cpus: Sequence[int]
    niceness: int
    command: Sequence[str] = _COMMAND

    @property
    def room(self) -> int:
        """How many agents can have a CPU of their own."""
        return len(self.cpus)

    def start(self, number: int, agents: int) -> Started:
        """Start it in a process group of its own, so that Ctrl-C on a terminal reaches only the driver."""
        return started_here(self.settings(number, agents), self.command)

    def settings(self, number: int, agents: int, host: str = LOOPBACK) -> Settings:
        """Settings of agent `number`, with a new key; this process must be the one that starts it."""
        cpu = self.cpus[(number - 1) % len(self.cpus)]
        return Settings(secrets.token_hex(32), host, os.getpid(), number, agents, cpu, self.niceness)


def started_here(settings: Settings, command: Sequence[str] = _COMMAND) -> Started:
    """Start an agent's process on this machine; it ends with the calling thread. Raises AgentFailed."""
    words = tempfile.TemporaryFile(prefix="servebench-agent-")  # noqa: SIM115 - closed by `end`
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, process_group=0)
    started = _Process(process, settings, words)
    try:
        started.learn_address(json.dumps(asdict(settings)).encode() + b"\n")
    except BaseException:
        started.end()
        raise
    return started


class _Process:
    """An agent on this machine; see `Started`."""

    def __init__(self, process: subprocess.Popen[bytes], settings: Settings, words: IO[bytes]) -> None:
        self._process = process
        self._words = words
        self.key = bytes.fromhex(settings.key)
        self.cpu = settings.cpu
        self.niceness = settings.niceness
        self.pid = process.pid
        self.host = ""
        self.node = ""
        self.address = (settings.host, 0)

    def learn_address(self, settings: bytes) -> None:
        """Send it its settings, and read the host and port where it listens; raises AgentFailed."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise ValueError("started without pipes")
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(settings)
        with process.stdout:
            told = select.select([process.stdout], [], [], _START_S)[0]
            line = process.stdout.readline() if told else b""
        if not line:
            raise AgentFailed(f"a load agent did not start within {_START_S:g} s; {self.last_words() or 'it said nothing'}")
        place = json.loads(line)
        self.host, self.address = place["host"], (self.address[0], place["port"])

    def last_words(self) -> str:
        """Its exit code, and the end of its standard error."""
        return last_words(self._process, self._words, _WORDS_S)

    def end(self) -> None:
        """Kill it (SIGKILL): it has nothing to save."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        self._words.close()


def agent_cpus(usable: Sequence[int], server_cpus: Sequence[int], client_cpu: int) -> list[int]:
    """CPUs for agents: the client's own first, then every usable one that no server has."""
    free = [cpu for cpu in usable if cpu not in server_cpus and cpu != client_cpu]
    return [client_cpu, *free]
