"""A server that is right until a fault is due; the standard library alone, so that it runs wherever a backend does.

Arguments: host, port. MODEL_PATH names a JSON file with the weights of `tests.bench.scripted`'s model; FAULT, what goes wrong,
and FAULT_FROM, with which request (the first is 0), say the rest. Every connection has its own thread.
"""

import itertools
import json
import math
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

SLOWER_EACH = 1.3
EVERY = 100

with Path(os.environ["MODEL_PATH"]).open(encoding="utf-8") as _file:
    WEIGHTS: list[list[float]] = json.load(_file)
FAULT, FAULT_FROM = os.environ.get("FAULT", ""), int(os.environ.get("FAULT_FROM", "0"))
NUMBERS = itertools.count()


def scores(image: tuple[float, ...]) -> list[float]:
    """Softmax of three times image @ weights."""
    logits = [
        3.0 * sum(value * row[place] for value, row in zip(image, WEIGHTS, strict=True)) for place in range(len(WEIGHTS[0]))
    ]
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def right(body: bytes) -> bytes:
    """The answer in raw's framing."""
    (rows,) = struct.unpack_from("<I", body)
    width = len(WEIGHTS)
    found = [value for row in range(rows) for value in scores(struct.unpack_from(f"<{width}f", body, 4 + 4 * width * row))]
    return struct.pack(f"<I{len(found)}f", rows, *found)


def whole(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer, with another length than its own where one is given."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def _signalled(number: signal.Signals) -> NoReturn:
    """The kernel may give the signal to another thread first: this one does nothing more, not even close its connection."""
    os.kill(os.getpid(), number)
    while True:
        time.sleep(60.0)


def killed(connection: socket.socket, body: bytes, since: int) -> bool:
    """No answer any more."""
    _signalled(signal.SIGKILL)


def frozen(connection: socket.socket, body: bytes, since: int) -> bool:
    """It lives, and does nothing."""
    _signalled(signal.SIGSTOP)


def greedy(connection: socket.socket, body: bytes, since: int) -> bool:
    """It takes memory and gives none back; for containers, which have a limit."""
    hoard = []
    while True:
        hoard.append(b"x" * 2**20)


def errors(connection: socket.socket, body: bytes, since: int) -> bool:
    """One answer in a hundred is a 500."""
    connection.sendall(whole(b"out of luck", "500 Oh") if since % EVERY == EVERY - 1 else whole(body))
    return True


def cut(connection: socket.socket, body: bytes, since: int) -> bool:
    """Half of it, then an orderly end."""
    answer = whole(body)
    connection.sendall(answer[: -len(body) // 2])
    return False


def reset(connection: socket.socket, body: bytes, since: int) -> bool:
    """Half of it, then a reset."""
    cut(connection, body, since)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def slower(connection: socket.socket, body: bytes, since: int) -> bool:
    """Each answer takes longer than the one before."""
    time.sleep(min(0.001 * SLOWER_EACH**since, 600.0))
    connection.sendall(whole(body))
    return True


def too_long(connection: socket.socket, body: bytes, since: int) -> bool:
    """More is announced than comes, and the connection stays open."""
    connection.sendall(whole(body, length=len(body) + 10))
    return True


def too_short(connection: socket.socket, body: bytes, since: int) -> bool:
    """More comes than is announced."""
    connection.sendall(whole(body, length=len(body) - 4))
    return True


def lost(connection: socket.socket, body: bytes, since: int) -> bool:
    """One answer in ten never comes."""
    if since % 10 != 9:
        connection.sendall(whole(body))
    return True


def naps(connection: socket.socket, body: bytes, since: int) -> bool:
    """Two answers never come, all others do."""
    if since >= 2:
        connection.sendall(whole(body))
    return True


def endless(connection: socket.socket, body: bytes, since: int) -> bool:
    """No length, and no end; not fast, so that it is the deadline that ends it."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(body)
        time.sleep(0.01)


FAULTS: dict[str, Callable[[socket.socket, bytes, int], bool]] = {
    fault.__name__: fault
    for fault in (killed, frozen, greedy, errors, cut, reset, slower, too_long, too_short, lost, naps, endless)
}
"""By name: answers one request, the `since`-th of those with a fault; whether the connection goes on."""


def request(connection: socket.socket) -> bytes | None:
    """One request's body; None when the client is gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        if not (more := connection.recv(65536)):
            return None
        body += more
    return body


def talk(connection: socket.socket) -> None:
    """One connection, until it ends."""
    try:
        with connection:
            while (body := request(connection)) is not None:
                number = next(NUMBERS)
                if FAULT and number >= FAULT_FROM:
                    if not FAULTS[FAULT](connection, right(body), number - FAULT_FROM):
                        return
                else:
                    connection.sendall(whole(right(body)))
    except OSError:
        pass  # the client gave up


def main() -> None:
    """Listen and talk."""
    host, port = sys.argv[1], int(sys.argv[2])
    print(f"faulty server: {FAULT or 'no fault'} from request {FAULT_FROM} on", flush=True)
    with socket.create_server((host, port), backlog=64) as listener:
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=talk, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
