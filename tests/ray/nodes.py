"""Ray nodes on this machine, each a `ray start` of its own: also in a network namespace."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import psutil

_STARTS_S = 90.0
_LITTLE = ("--object-store-memory=80000000", "--disable-usage-stats", "--min-worker-port=0", "--max-worker-port=0", "--block")
_USUAL = json.dumps({"worker_niceness": 0})


class Nodes:
    """A head without a CPU for agents at `address`, and what `join` adds."""

    def __init__(self, folder: Path, ip: str) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind((ip, 0))
            port = free.getsockname()[1]
        self.ip = ip
        self.address = f"{ip}:{port}"
        self.started: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """The head."""
        port, folder, ip = self.address.rpartition(":")[2], self._folder, self.ip
        head = ("--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false", f"--temp-dir={folder}")
        self.head = self._start((*head, f"--node-ip-address={ip}", f"--system-config={_USUAL}"))

    def join(self, *, ip: str = "", cpus: int = 1, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Another node, which has joined; `within` is what its command is run by, as `ip netns exec NAME`."""
        where = f"--node-ip-address={ip or self.ip}"
        return self._start((f"--address={self.address}", where, f"--num-cpus={cpus}"), within)

    def ended(self) -> None:
        """End all of them, also those that are stopped."""
        for process in reversed(self.started):
            with suppress(psutil.NoSuchProcess):
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                for each in family:
                    with suppress(psutil.NoSuchProcess):
                        each.send_signal(signal.SIGKILL)
            process.wait()

    def _start(self, arguments: Sequence[str], within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Returns when it has started: who joins a head that is only half there is turned away."""
        words = self._folder / f"start{len(self.started)}"
        ray = Path(sys.executable).with_name("ray")
        with words.open("wb") as stream:
            command = [*within, str(ray), "start", *arguments, *_LITTLE]
            environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=environment
            )
        self.started.append(process)
        give_up_at = time.monotonic() + _STARTS_S
        while b"Ray runtime started" not in words.read_bytes():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise AssertionError(words.read_text())
            time.sleep(0.1)
        return process


@contextmanager
def ray_nodes(ip: str = "127.0.0.1") -> Iterator[Nodes]:
    """A head alone."""
    folder = Path(tempfile.mkdtemp(prefix="sbr-"))  # short: Ray's sockets lie in it
    nodes = Nodes(folder, ip)
    own_token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        with patch.dict(os.environ, own_token):  # of whoever joins; a user's own must not matter here
            nodes.begin()
            yield nodes
    finally:
        nodes.ended()
        shutil.rmtree(folder, ignore_errors=True)


def program(process: subprocess.Popen[bytes], name: str) -> psutil.Process:
    """Ray's program of that name of a node."""
    (found,) = [each for each in psutil.Process(process.pid).children(recursive=True) if each.name() == name]
    return found
