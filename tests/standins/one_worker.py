"""A server with one worker of known service time: what queueing theory calls a single server, as a process of its own.

Takes any HTTP request that comes in one piece, answers each a fixed time after it began to serve it, one after the other in
the order in which they came, and stalls once if told to. Service counts in absolute time: that the process wakes late delays
one answer, not those behind it, so it keeps its promise on a noisy machine as well; each answer tells by how many seconds it
left late. Prints its port.
"""

from __future__ import annotations

import argparse
import math
import select
import socket
import time
from collections import deque

ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n{:9.6f}"
SPIN_S = 0.002  # before an answer it does not sleep: waking would come too late


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service-s", type=float, default=0.005)
    parser.add_argument("--stall-s", type=float, default=0.0)
    parser.add_argument("--stall-after-s", type=float, default=math.inf, help="since the first request")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        _Worker(listener, options.service_s, options.stall_s, options.stall_after_s).serve()


class _Worker:
    def __init__(self, listener: socket.socket, service_s: float, stall_s: float, stall_after_s: float) -> None:
        self._listener = listener
        self._service_s, self._stall_s, self._stall_after_s = service_s, stall_s, stall_after_s
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._clients: dict[int, socket.socket] = {}
        self._due: deque[tuple[float, socket.socket]] = deque()
        self._free_at = 0.0
        self._first_at: float | None = None

    def serve(self) -> None:
        """Take what comes, answer what is due."""
        while True:
            left_s = self._due[0][0] - time.perf_counter() if self._due else 1.0
            for descriptor, _ in self._epoll.poll(left_s - SPIN_S if left_s > 2 * SPIN_S else 0.0):
                self._accept() if descriptor == self._listener.fileno() else self._take(descriptor)
            while self._due and self._due[0][0] <= time.perf_counter():
                due, client = self._due.popleft()
                client.sendall(ANSWER.format(time.perf_counter() - due).encode())

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client.fileno()] = client
        self._epoll.register(client.fileno(), select.EPOLLIN)

    def _take(self, descriptor: int) -> None:
        now, client = time.perf_counter(), self._clients[descriptor]
        if not client.recv(65536):
            self._epoll.unregister(descriptor)
            self._clients.pop(descriptor).close()
            return
        self._first_at = now if self._first_at is None else self._first_at
        if now >= self._first_at + self._stall_after_s:
            self._free_at, self._stall_after_s = max(now, self._free_at) + self._stall_s, math.inf
        self._free_at = max(now, self._free_at) + self._service_s
        self._due.append((self._free_at, client))


if __name__ == "__main__":
    main()
