"""Starts a backend's server from its folder with this interpreter: staged and commanded as its backend.toml says."""

import http.client
import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper

from bench.contract.tensors import FloatArray, Signature
from fixtures.engines.base import signature_text
from fixtures.model.load import load_model
from fixtures.model.reference import OnnxPredictor
from fixtures.serving.onnx_model import OnnxModel
from fixtures.serving.signature import Signature as ServedSignature
from tests.fixtures.models import FLOAT, Value, model_of

FIXTURES = Path(__file__).parents[2] / "fixtures"
READY_S = 60.0
STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """A running backend: where it listens, what it was told, and its log."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    config: Mapping[str, Any]

    def path(self, endpoint: str) -> str:
        """The path of one of its endpoints."""
        return next(str(entry["path"]) for entry in self.config["endpoint"] if entry["name"] == endpoint)

    def connect(self) -> http.client.HTTPConnection:
        """A new connection, with a deadline for each read."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None) -> Reply:
        """One request on its own connection."""
        connection = self.connect()
        try:
            return exchange(connection, method, path, body, content_type)
        finally:
            connection.close()


def listening(pids: Iterable[int]) -> set[str]:
    """The addresses on which these processes and their children wait for TCP connections."""
    found: set[str] = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            connections = [connection for each in family for connection in each.net_connections("tcp")]
            # gRPC's sockets take both families: an address of IPv4 is to them one of IPv6
            found |= {each.laddr.ip.removeprefix("::ffff:") for each in connections if each.status == psutil.CONN_LISTEN}
    return found


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, content_type: str | None = None
) -> Reply:
    """One request on an open connection."""
    connection.request(method, path, body=body, headers={"Content-Type": content_type} if content_type else {})
    response = connection.getresponse()
    return Reply(response.status, response.headers.get("Content-Type", ""), response.read())


def tiny_model(path: Path, width: int = 784, classes: int = 62) -> Path:
    """A random linear classifier with softmax, of the shape that all backends serve."""
    weights = np.random.default_rng(0).normal(0, 0.3, (width, classes)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["images", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    rows: tuple[Value, Value] = (FLOAT, ["N", width]), (FLOAT, ["N", classes])
    onnx.save(model_of(nodes, {"images": rows[0]}, {"scores": rows[1]}, {"weights": weights}), path)
    return path


def truth(model: Path, images: FloatArray) -> FloatArray:
    """What the model in this file says itself: one with an input `images` and an output `scores`."""
    return np.asarray(OnnxPredictor(model)({"images": images})["scores"])


def some_images(count: int, width: int = 784) -> FloatArray:
    """Random pixels in 0..1, the same on each call."""
    return np.random.default_rng(count).random((count, width), dtype=np.float32)


def onnx_model(path: Path, signature: Signature | None = None) -> OnnxModel:
    """The model as our servers have it, of 28 x 28 images where no `signature` is given."""
    return OnnxModel(str(path), ServedSignature.read(signature_text(signature or load_model(path).signature)))


def nnef_model(model: Path, folder: Path) -> Path:
    """The ONNX file as an NNEF folder, written once by tract itself; skips where it is not installed."""
    tract = pytest.importorskip("tract")
    if not folder.exists():
        tract.nnef().write_model_to_dir(tract.onnx().load(model).into_model(), folder)
    return folder


@contextmanager
def running(
    name: str,
    folder: Path,
    model: Path,
    *arguments: str,
    exports: Mapping[str, Path] | None = None,
    env: Mapping[str, str] | None = None,
    signature: Signature | None = None,
    command: Sequence[str] = (),
) -> Iterator[Server]:
    """The backend `name`, staged in `folder` and answering; further arguments go to its command, or `command` stands for it.

    The model is one of 28 x 28 images where no `signature` is given. Skips where packages lack.
    """
    source = FIXTURES / "backends" / name
    config = tomllib.loads((source / "backend.toml").read_text("utf-8"))
    _skip_without_packages(name, source)
    app = folder / "app"
    shutil.copytree(source, app)
    for shared in config.get("shared", ()):
        shutil.copytree(FIXTURES / shared, app / shared, ignore=shutil.ignore_patterns("__pycache__"))
    port = _free_port()
    values = {"python": sys.executable, "host": "127.0.0.1", "model": str(model), "app": str(app), "cpus": "1"}
    words = [re.sub(r"\{port\[\d+\]\}", str(port), word) for word in command or config["command"]]
    words = [re.sub(r"\{(\w+)\}", lambda match: values[match[1]], word) for word in words]
    told = {"MODEL_PATH": str(model), "MODEL_SIGNATURE": signature_text(signature or load_model(model).signature)}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **told}
    environment |= {key: value.format(export=exports or {}) for key, value in config.get("env", {}).items()}
    environment |= env or {}
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, *arguments], cwd=app, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        server = Server(name, port, process, log, config)
        _wait_until_ready(server)
        yield server
    finally:
        _stop(process)


def missing_packages(source: Path) -> list[str]:
    """What the backend in this folder needs and this environment has not."""
    requirements = (line for file in sorted(source.glob("requirements*.txt")) for line in file.read_text("utf-8").splitlines())
    packages = [line.partition("==")[0].strip() for line in requirements if line.strip() and not line.startswith("#")]
    return [package for package in packages if not _is_installed(package)]


def _skip_without_packages(name: str, source: Path) -> None:
    missing = missing_packages(source)
    if missing:
        pytest.skip(f"backend {name} needs {', '.join(missing)}, which this environment has not")


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_ready(server: Server) -> None:
    deadline_s = time.perf_counter() + READY_S
    while time.perf_counter() < deadline_s and server.process.poll() is None:
        try:
            if server.ask("GET", "/healthz").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    tail = server.log.read_text("utf-8", "replace")[-2000:]
    raise AssertionError(f"backend {server.name} did not become ready within {READY_S:g} s; its log ends:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
