"""The address of --ray: checks its syntax, and whether a cluster listens there."""

import os
import socket
from importlib.util import find_spec

from bench.contract.errors import BadInput

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, started for the session."""

_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # an empty HTTP/2 SETTINGS frame

REACH_S = 5.0
"""Seconds that the other end may take to answer."""


def checked_address(text: str | None) -> str:
    """The given address, like `10.0.0.1:6379`, or `local`; empty if none was given. Raises BadInput if it is neither."""
    if text is None or text == LOCAL:
        return text or ""
    host, _, port = text.rpartition(":")
    if not host or "/" in text or " " in text or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 2**16:
        raise BadInput(
            f"--ray {text[:200]}: expected the HOST:PORT that `ray start --head` printed, like 10.0.0.1:6379, or {LOCAL} for a "
            "cluster of this machine alone"
        )
    return text


def check_reachable(address: str) -> None:
    """Raise BadInput if Ray is not installed, or no Ray listens there; starts nothing."""
    if find_spec("ray") is None:
        raise BadInput(
            f"--ray {address}: expected Ray beside the suite, seen none; install locks/ray.lock too, as `tox -e bench-ray` does"
        )
    if address == LOCAL:
        return
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S) as there:
            if os.environ.get("RAY_USE_TLS") != "1" and not _speaks_grpc(there):
                raise OSError("what listens there is not Ray: it does not speak gRPC")
    except OSError as error:
        raise BadInput(
            f"--ray {address}: expected a Ray cluster there, seen none ({error}); start one with `ray start --head`, or give "
            f"--ray={LOCAL}"
        ) from error


def _speaks_grpc(there: socket.socket) -> bool:
    """Whether it answers an HTTP/2 preface with SETTINGS (RFC 9113, 3.4); Ray itself would keep trying for two minutes."""
    there.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS)
    return there.recv(4, socket.MSG_WAITALL)[3:] == _SETTINGS[3:4]
