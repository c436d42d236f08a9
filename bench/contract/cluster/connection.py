"""A session's Ray cluster: connected to when first needed, used through a separate process, left at the end.

Only that process (`ray_process.py`) loads Ray: Ray's threads do not disturb what is timed here, and if Ray dies, it takes that
process along and not the session. Every request has a deadline.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Client
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.contract.cluster.address import LOCAL, REACH_S, check_reachable
from bench.contract.cluster.node import node_facts
from bench.contract.errors import BadInput, NodeLost
from bench.contract.processes.last_words import last_words

CALL_S = 60.0
"""Default deadline of a call, in seconds."""

_ROOT = Path(__file__).parents[3]
_COMMAND = (sys.executable, "-c", "from bench.contract.cluster.ray_process import main; main()")
_CONNECT_S = 120.0  # Ray's own programs start, and each node starts its first process with the suite's code
_END_S = 15.0
_WORDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster; `cpus` is how many CPUs Ray counts there, `cpus_usable` the CPUs that processes there may use."""

    id: str
    host: str
    ip: str
    cpus: int
    cpus_usable: tuple[int, ...]
    python: str
    kernel: str

    @property
    def name(self) -> str:
        """Its name in messages; with id and address, since host names may be equal."""
        return f"node {self.id[:8]} ({self.host}, {self.ip})"


class Cluster:
    """A connection to a Ray cluster; a context manager that leaves it.

    `nodes` are those that were alive when it connected, `own` is the one that this process runs on, `version` is Ray's.
    `serving` maps the id of each node with servers to their CPUs; load agents avoid those nodes and CPUs as far as they can.
    """

    def __init__(self, address: str) -> None:
        """Connect; raises BadInput if there is no such cluster, or a node has other versions of what the suite needs."""
        check_reachable(address)
        self.address = address
        self.serving: dict[str, tuple[int, ...]] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="servebench-ray-"))  # no other user may enter it
        self._words = tempfile.TemporaryFile(prefix="servebench-ray-")  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            (*_COMMAND, str(self._folder)),
            cwd=_ROOT,
            stdin=subprocess.PIPE,  # when it is closed, the process ends
            stdout=subprocess.PIPE,
            stderr=self._words,
            process_group=0,  # so that Ctrl-C on a terminal reaches only the session
            env=_environment(address),
        )
        try:
            told = self._connect()
            self.version = str(told["version"])
            self.nodes = tuple(_node(each) for each in told["nodes"])
            own = [node for node in self.nodes if node.id == told["own"]]
            _check_alike(self.nodes, {each["id"]: each["facts"] for each in told["nodes"]})
            self.own = own[0]
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.end()

    def start(self, node: Node, what: type, *arguments: Any, within_s: float = CALL_S) -> Remote:
        """Create an object of the class `what` from `arguments`, in a process of its own on that node.

        The class must be importable there by its name. The process takes none of the CPUs that Ray counts, is not restarted
        when it ends, and ends with this process, however that ends. Raises NodeLost, and whatever the constructor raises.
        """
        key = self._ask("start", node.id, f"{what.__module__}:{what.__qualname__}", arguments, within_s)
        return Remote(self, node, int(key), what.__name__)

    def call(self, remote: Remote, method: str, arguments: Sequence[Any], within_s: float) -> Any:
        """See `Remote.call`."""
        try:
            return self._ask("call", remote.key, method, arguments, within_s)
        except NodeLost as error:
            raise NodeLost(f"{remote.node.name}: {error}") from error

    def release(self, remote: Remote) -> None:
        """See `Remote.end`."""
        with suppress(NodeLost):
            self._ask("end", remote.key, _END_S)

    def end(self) -> None:
        """Leave the cluster, which ends all that was started on it; a local one ends. No-op if it has left; never raises."""
        process = self._process
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._words.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _connect(self) -> Mapping[str, Any]:
        """Have the process connect; returns what it reports of the cluster, or raises BadInput."""
        into, out = self._process.stdin, self._process.stdout
        if into is None or out is None:
            raise ValueError("started without pipes")
        late = threading.Timer(_CONNECT_S, self._process.kill)
        late.start()
        try:
            with suppress(BrokenPipeError):
                into.write(self.address.encode() + b"\n")
                into.flush()
            ready = out.readline()
        finally:
            late.cancel()
            out.close()
        try:
            if not ready:
                raise NodeLost(f"nothing came of it within {_CONNECT_S:g} s: {self._last_words()}")
            told: Mapping[str, Any] = self._ask("joined", REACH_S)
        except NodeLost as error:
            raise BadInput(f"--ray {self.address}: expected a Ray cluster that answers; {error}") from error
        return told

    def _ask(self, what: str, *arguments: Any) -> Any:
        """Send the process a request and return its answer; raises NodeLost, or what the process raised.

        The last argument is the process's deadline in seconds; this waits REACH_S longer.
        """
        waits_s = float(arguments[-1]) + REACH_S
        try:
            with Client(str(self._folder / "socket"), family="AF_UNIX") as asked:
                asked.send((what, arguments))
                if not asked.poll(waits_s):
                    raise NodeLost(f"Ray did not answer within {waits_s:g} s")
                done, value = asked.recv()
        except (EOFError, OSError) as error:
            raise NodeLost(f"Ray is gone: {self._last_words()}") from error
        if not done:
            raise value
        return value

    def _last_words(self) -> str:
        """How the process ended, and the last lines it wrote."""
        return last_words(self._process, self._words, _WORDS_S) or "it said nothing"


@dataclass(frozen=True, slots=True, eq=False)
class Remote:
    """An object on a node."""

    cluster: Cluster
    node: Node
    key: int
    kind: str

    def call(self, method: str, *arguments: Any, within_s: float = CALL_S) -> Any:
        """Call a method there and return its result; raises what it raises, or NodeLost if the object is gone or silent."""
        return self.cluster.call(self, method, arguments, within_s)

    def end(self) -> None:
        """End its process, whatever that is doing; no-op if it has ended; never raises."""
        self.cluster.release(self)


def _environment(address: str) -> Mapping[str, str]:
    """A local cluster gets its own token: else Ray leaves one in the home folder, which the user's later clusters require."""
    mine = {"RAY_USAGE_STATS_ENABLED": "0"}
    if address == LOCAL and "RAY_AUTH_MODE" not in os.environ:
        mine |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {**os.environ, **mine}


def _node(told: Mapping[str, Any]) -> Node:
    facts = told["facts"]
    return Node(
        told["id"], told["host"], told["ip"], told["cpus"], tuple(facts["cpus_usable"]), facts["python"], facts["kernel"]
    )


def _check_alike(nodes: Sequence[Node], facts_of: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise BadInput if a node's Python, or one of its packages, has another version than this machine's."""
    here = node_facts()
    mine = {"python": here["python"], **here["packages"]}
    for node in nodes:
        facts = facts_of[node.id]
        for name, version in {"python": facts["python"], **facts["packages"]}.items():
            if version != mine[name]:
                raise BadInput(
                    f"--ray: expected the same software on all nodes, seen {name} {version} on {node.name} and {mine[name]} on "
                    f"this machine ({os.uname().nodename}); install locks/run.lock and locks/ray.lock there, with this Python"
                )
