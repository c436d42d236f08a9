"""The process between a session and a Ray cluster: the only place that imports Ray.

It answers requests over a socket in its folder, each in a thread of its own, and ends when its standard input does, which is
when the session ends; a cluster that it started itself ends with it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count, zip_longest
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.contract.cluster.node import Hosted, node_facts
from bench.contract.errors import BadInput, NodeLost

_ROOT = Path(__file__).parents[3]
_SHIPPED = ("bench", "fixtures")
_STORE_BYTES = 80 * 2**20
_FACTS_S = 90.0


class RayConnection:
    """The requests that a session can make; each is handled in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._actors: dict[int, Any] = {}
        self._keys = count(1)
        self._joined: Mapping[str, Any] = {}
        self._refused: BadInput | None = None

    def connect(self, address: str) -> None:
        """Join the cluster; `joined` reports the outcome."""
        try:
            self._joined = _joined(address, self._folder)
        except BadInput as error:
            self._refused = error

    def joined(self, within_s: float) -> Mapping[str, Any]:  # noqa: ARG002 - the session's patience
        """Ray's version, the nodes that were alive with their facts, and the id of this process's node; raises BadInput."""
        if self._refused is not None:
            raise self._refused
        return self._joined

    def start(self, node_id: str, path: str, arguments: Sequence[Any], within_s: float) -> int:
        """Start an actor, wait until it is ready, return its number; raises NodeLost, or what its constructor raised."""
        actor = _on(node_id, ray.remote(Hosted)).remote()
        try:
            _got(actor.make.remote(path, arguments), within_s)
        except BaseException:
            ray.kill(actor)
            raise
        key = next(self._keys)
        self._actors[key] = actor
        return key

    def call(self, key: int, method: str, arguments: Sequence[Any], within_s: float) -> Any:
        """Call a method of an actor and return its result; raises NodeLost, or what it raised."""
        actor = self._actors.get(key)
        if actor is None:
            raise NodeLost("it was ended")
        return _got(actor.call.remote(method, arguments), within_s)

    def end(self, key: int, within_s: float) -> None:  # noqa: ARG002 - the session's patience
        """End an actor; no-op if it was ended."""
        actor = self._actors.pop(key, None)
        if actor is not None:
            ray.kill(actor)


def _joined(address: str, folder: Path) -> Mapping[str, Any]:
    """Join the cluster, or start one of this machine alone in `folder`; raises BadInput."""
    others = [f"/{path.name}" for path in _ROOT.iterdir() if path.name not in _SHIPPED]
    code = {"working_dir": str(_ROOT), "excludes": [*others, "__pycache__"]}  # so that no node has another version of it
    common: dict[str, Any] = {
        "runtime_env": {**code, "config": {"eager_install": False}},  # it is set up in the turns below
        "log_to_driver": False,
        "logging_level": logging.WARNING,  # errors quote the last lines that this process writes
        "include_dashboard": False,
    }
    try:
        if address == "local":
            system = {"worker_niceness": 0}  # not 15: agents are no background work
            ray.init("local", object_store_memory=_STORE_BYTES, _temp_dir=str(folder), _system_config=system, **common)
        else:
            ray.init(address, **{key: common[key] for key in ("runtime_env", "log_to_driver", "logging_level")})
    except (RuntimeError, ValueError, ConnectionError, RayError) as error:
        said = _of_chain(error)
        remedy = f"start Ray here with `ray start --address={address}`, from an environment of the same versions"
        if "uthentication" in said:
            remedy = (
                "it wants a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN where ~/.ray/auth_token here is not its head's"
            )
        raise BadInput(
            f"--ray {address}: expected a Ray cluster that this machine is a node of, of the same Ray and Python; seen: "
            f"{said}; {remedy}"
        ) from error
    nodes = [
        {
            "id": node["NodeID"],
            "host": node["NodeManagerHostname"],
            "ip": node["NodeManagerAddress"],
            "cpus": int(node["Resources"].get("CPU", 0)),
        }
        for node in ray.nodes()
        if node["Alive"]
    ]
    of_host: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        of_host.setdefault(node["host"], []).append(node)
    for turn in zip_longest(*of_host.values()):  # one node per machine at a time: they unpack the code into the same folder
        _learn_facts([node for node in turn if node is not None], address)
    return {"version": ray.__version__, "own": ray.get_runtime_context().get_node_id(), "nodes": nodes}


def _learn_facts(nodes: Sequence[dict[str, Any]], address: str) -> None:
    """Ask all nodes at once for their facts, and store them under `facts`; raises BadInput."""
    asked = [_on(node["id"], ray.remote(node_facts)).remote() for node in nodes]
    for node, answer in zip(nodes, asked, strict=True):
        try:
            node["facts"] = ray.get(answer, timeout=_FACTS_S)
        except (RayError, GetTimeoutError) as error:
            raise BadInput(
                f"--ray {address}: expected nodes that can run this suite, seen node {node['id'][:8]} ({node['host']}, "
                f"{node['ip']}), which cannot: {' '.join(str(error).split())[-600:]}"
            ) from error


def _on(node_id: str, what: Any) -> Any:
    """A remote function or class bound to that node: it takes no CPU of Ray's count, and is never retried or restarted."""
    where = NodeAffinitySchedulingStrategy(node_id, soft=False)
    restarts = {"max_restarts": 0} if isinstance(what, ray.actor.ActorClass) else {"max_retries": 0}
    return what.options(num_cpus=0, scheduling_strategy=where, **restarts)


def _got(reference: Any, within_s: float) -> Any:
    """The result of a call; raises what the actor raised, or NodeLost with a one-sentence reason."""
    try:
        return ray.get(reference, timeout=within_s)
    except RayTaskError as error:
        raise error.cause from error
    except GetTimeoutError as error:
        raise NodeLost(f"it did not answer within {within_s:g} s") from error
    except RayError as error:
        raise NodeLost(_short(error)) from error


def _short(error: BaseException) -> str:
    return shorten(str(error), 400, placeholder=" ...")


def _of_chain(error: BaseException) -> str:
    """The error's text, and the last line of each error that caused it."""
    said, cause = [_short(error)], error.__cause__ or error.__context__
    while cause is not None:
        said.append(shorten(str(cause).strip().rpartition("\n")[2], 200, placeholder=" ..."))
        cause = cause.__cause__ or cause.__context__
    return "; ".join(dict.fromkeys(said))


def _serve(listener: Listener, connection: RayConnection) -> None:
    while True:
        with suppress(OSError):
            asked = listener.accept()
            threading.Thread(target=_answer, args=(asked, connection), daemon=True).start()


def _answer(asked: Connection, connection: RayConnection) -> None:
    with suppress(EOFError, OSError), asked:
        what, arguments = asked.recv()
        method: Callable[..., Any] = getattr(connection, what)
        answer: tuple[bool, Any]
        try:
            answer = True, method(*arguments)
        except Exception as error:  # of any kind: the session decides what it means
            answer = False, error
        try:
            asked.send(answer)
        except Exception as error:  # the answer cannot be pickled
            asked.send((False, NodeLost(f"{type(answer[1]).__name__}: {answer[1]}; {error}")))


def _wait_for_the_end(local: Path) -> None:
    """Wait until the session is gone, then leave Ray, remove the folder and exit, after 10 s at the latest."""
    sys.stdin.buffer.read()
    threading.Timer(10.0, os._exit, (1,)).start()
    with suppress(Exception):
        ray.shutdown()
    shutil.rmtree(local, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Connect to the cluster that standard input names, then answer requests in the argument `FOLDER` until that input ends.

    The main thread connects, as it stays: Ray's own programs end with the thread that started them.
    """
    folder = Path(sys.argv[1])
    address = sys.stdin.buffer.readline().decode().strip()
    threading.Thread(target=_wait_for_the_end, args=(folder,), daemon=True).start()
    connection = RayConnection(folder)
    connection.connect(address)
    with Listener(str(folder / "socket"), family="AF_UNIX", backlog=64) as listener:
        print("ready", flush=True)
        _serve(listener, connection)
