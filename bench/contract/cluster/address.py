"""What --ray says: checked as it stands, and whether anybody is there."""

import socket
from importlib.util import find_spec

from bench.contract.errors import BadInput

LOCAL = "local"
"""Instead of an address: a cluster of this machine alone, started for the session."""

REACH_S = 5.0
"""How long whoever is there may take to say anything."""


def checked_address(text: str | None) -> str:
    """`10.0.0.1:6379`, or `local`; empty where none is given. Raises BadInput."""
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
    """Raise BadInput where Ray is not installed, or nobody listens there; starts nothing."""
    if find_spec("ray") is None:
        raise BadInput(
            f"--ray {address}: expected Ray beside the suite, seen none; install locks/ray.lock too, as `tox -e bench-ray` does"
        )
    if address == LOCAL:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as error:
        raise BadInput(
            f"--ray {address}: expected a Ray cluster there, seen none ({error}); start one with `ray start --head`, or give "
            f"--ray={LOCAL}"
        ) from error
