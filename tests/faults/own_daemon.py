"""A Docker daemon of a test's own, which may be restarted and frozen: nothing of the machine's is touched, nor is iptables."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest
import requests

from fixtures.engines.process_tree import end_all

_UP_S = 60.0
_BRIDGE = "sb-own-daemon"
_BRIDGE_ADDRESS = "198.18.213.1/28"  # of the range for benchmarks of networks (RFC 2544)
# A bridge of its own, which is there already: with none at all it would remove docker0, the machine's.
_LEAVES_THE_MACHINE_ALONE = (
    f"--bridge={_BRIDGE}",
    *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--userland-proxy=false"),
)


class OwnDaemon:
    """One that runs in a folder of its own; a new one in the same folder takes over what the old one left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self._folder}/socket"

    def start(self, *options: str) -> None:
        """Start it and wait until it answers; skips with the log's end where that is not possible."""
        folder = self._folder
        places = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["dockerd", "-H", self.address, *places, *_LEAVES_THE_MACHINE_ALONE, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        until = time.monotonic() + _UP_S
        while self._process.poll() is None and time.monotonic() < until:
            if self._listens():
                with self.client() as client:
                    client.ping()
                return
            time.sleep(0.1)
        end = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
        pytest.skip(f"no second Docker daemon can be started here: {' / '.join(end)}")

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.address.removeprefix("unix://")) == 0

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; waits for its end where that ends it."""
        assert self._process is not None
        self._process.send_signal(number)
        if number in (signal.SIGTERM, signal.SIGKILL):
            self._process.wait(_UP_S)
        if number is signal.SIGKILL:
            # Its containerd goes with it; where nobody reaps orphans, the next daemon would take the dead one for alive.
            (self._folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """As another program sees it."""
        client = docker.DockerClient(self.address, timeout=20)
        try:
            yield client
        finally:
            client.close()

    def take(self, images: Sequence[str], source: docker.DockerClient) -> None:
        """Have these images, which another engine has."""
        # The SDK's own call takes one image at a time, and would send what they share again and again.
        with (
            source.api.get(f"{source.api.base_url}/images/get", params={"names": list(images)}, stream=True) as saved,
            self.client() as client,
        ):
            client.api.timeout = 120
            client.images.load(saved.raw)

    def end(self) -> None:
        """End it with its containers and its containerd."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            with suppress(docker.errors.DockerException, requests.RequestException), self.client() as client:
                for container in client.containers.list(all=True):
                    container.remove(force=True)
                client.networks.prune()
            self.signal(signal.SIGTERM)
        # what one that was killed left behind
        end_all(pid for pid, words in _commands() if any(word.startswith(f"{self._folder}/") for word in words))


@contextmanager
def own_daemon(folder: Path) -> Iterator[OwnDaemon]:
    """One that runs until the end of the context; skips where there is no root, or no daemon to start."""
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon of one's own needs root")
    for program in ("dockerd", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed here")
    daemon = OwnDaemon(folder)
    with _bridge():
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.end()
            _unmount_below(folder)


@contextmanager
def _bridge() -> Iterator[None]:
    """The daemon's own; whatever bridges the machine had before are there afterwards."""
    before = _devices()
    made = subprocess.run(["ip", "link", "add", _BRIDGE, "type", "bridge"], capture_output=True, text=True, timeout=10)
    if made.returncode:
        pytest.skip(f"no bridge can be made here: {made.stderr.strip()}")
    try:
        subprocess.run(["ip", "address", "add", _BRIDGE_ADDRESS, "dev", _BRIDGE], check=True, timeout=10)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", _BRIDGE], check=True, timeout=10)
    if "docker0" in before:
        assert "docker0" in _devices(), "it is the machine's own"


def _devices() -> set[str]:
    return {place.name for place in Path("/sys/class/net").iterdir()}


def _commands() -> Iterator[tuple[int, list[str]]]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # ended meanwhile
            yield int(file.parent.name), file.read_text(encoding="utf-8", errors="replace").split("\0")


def _unmount_below(folder: Path) -> None:
    """What a killed daemon left mounted, so that the folder can be removed."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for place in sorted((place for place in mounts if place.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", place], check=False, timeout=10)
