"""Several clients at once: what they send, what is timed, and what becomes of connections that end or fall silent."""

import contextlib
import itertools
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeTimeout
from bench.contract.wire import Endpoint, Payload
from bench.load.closed_loop import run_clients
from bench.load.connection_pool import ConnectionPool
from bench.load.load_patterns import mixing_s
from bench.load.payload_sources import CyclingPayloads
from bench.transports.http import HttpTransport
from tests.bench.sockets import Script, answering, ok, read_request, serving

PAYLOADS = [Payload(bytes([65 + n]), "text/plain", (n,)) for n in range(7)]


@contextlib.contextmanager
def pool_of(
    count: int, script: Script, deadline_s: float = 5.0, busy_poll_s: float = 0.0
) -> Iterator[tuple[ConnectionPool, CyclingPayloads]]:
    """So many connections to a scripted server, and what is sent on them."""
    with serving(script) as endpoint:
        transports = [HttpTransport(endpoint, deadline_s=deadline_s) for _ in range(count)]
        pool = ConnectionPool(transports, deadline_s=deadline_s, busy_poll_s=busy_poll_s)
        try:
            yield pool, CyclingPayloads(PAYLOADS, pool.prepare)
        finally:
            pool.close()


def echo(body: bytes) -> bytes:
    return ok(body)


class Census:
    """How many connections a server has, and how many requests it works on at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.connections = self.at_once = self.most_at_once = self.most_connections = 0

    def script(self, connection: socket.socket) -> None:
        """Answer after a while."""
        self._count(connections=1)
        try:
            while (body := read_request(connection)) is not None:
                self._count(at_once=1)
                time.sleep(0.002)
                self._count(at_once=-1)
                connection.sendall(ok(body))
        finally:
            self._count(connections=-1)

    def _count(self, connections: int = 0, at_once: int = 0) -> None:
        with self._lock:
            self.connections += connections
            self.at_once += at_once
            self.most_connections = max(self.most_connections, self.connections)
            self.most_at_once = max(self.most_at_once, self.at_once)


@pytest.mark.parametrize(
    ("busy_poll_s", "takes_turns"), [(0.0, False), (0.001, False), (5.0, False), (0.001, True), (5.0, True)]
)
def test_each_answer_belongs_to_its_payload_and_all_clients_are_at_it(busy_poll_s: float, takes_turns: bool) -> None:
    """Five clients keep five requests going; every answer is that of the payload which was sent on its connection.

    Answers come after 2 ms: while the client sleeps, after it polled in vain, and while it polls.
    """
    census = Census()
    with pool_of(5, census.script, busy_poll_s=busy_poll_s) as (pool, source):
        pool.takes_turns = takes_turns
        done = run_clients(pool, 5, source.requests(0), slice_s=0.1)
    assert done.error is None
    assert all(body == PAYLOADS[index].body for index, body in done.answers)
    assert census.most_at_once == census.most_connections == 5
    # each answer but the one that closes the window sends one more, and so does the one that opens it
    assert done.exchanges == len(done.duration_s) > 5
    # what opens and what drains is answered, and verified, but not timed: five or more at the beginning, four at the end
    assert len(done.answers) >= done.exchanges + 5 + 4
    assert done.seconds >= 0.1


def test_a_request_that_outlasts_the_window_is_timed_to_its_end() -> None:
    """Otherwise nothing slower than a window would ever be seen beside clients that go on; they stay at it meanwhile."""
    first, together = itertools.count(), threading.Barrier(3)

    def script(connection: socket.socket) -> None:
        slow, requests = next(first) == 0, itertools.count(1)
        while (body := read_request(connection)) is not None:
            number = next(requests)
            if number == 1:
                together.wait()
            time.sleep({2: 0.03, 3: 0.5}.get(number, 0.001) if slow else 0.001)
            connection.sendall(ok(body))

    with pool_of(3, script) as (pool, source):
        done = run_clients(pool, 3, source.requests(0), slice_s=0.1)
    assert done.error is None
    assert max(done.duration_s) >= 0.5
    assert done.seconds < 0.5
    assert done.exchanges < len(done.answers) - 20  # of those who were asked until the slow one was there


def test_exactly_as_many_connections_are_open_as_there_are_clients() -> None:
    """After eight clients two: the other six connections are closed, since some servers pay for idle ones."""
    census = Census()
    with pool_of(8, census.script) as (pool, source):
        for clients in (8, 2):
            run_clients(pool, clients, source.requests(0), slice_s=0.02)
            give_up_at = time.monotonic() + 5
            while census.connections != clients and time.monotonic() < give_up_at:
                time.sleep(0.005)
            assert census.connections == clients


def test_a_server_that_closes_after_each_answer_is_reopened() -> None:
    """As Flask's development server does: each exchange on a new connection, all counted."""

    def once(connection: socket.socket) -> None:
        body = read_request(connection)
        if body is not None:
            connection.sendall(ok(body, "Connection: close\r\n"))

    with pool_of(3, once) as (pool, source):
        done = run_clients(pool, 3, source.requests(0), slice_s=0.1)
    assert done.error is None
    # one for each answer but the last ones, whose connections nobody needs any more
    assert done.reconnects == len(done.answers) - 3


class InTurn:
    """In place of a connection pool: every answer takes a millisecond, and they come in the order of their requests."""

    reconnects = 0

    def __init__(self) -> None:
        self.asked: deque[int] = deque()
        self.now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    @property
    def busy(self) -> bool:
        return bool(self.asked)

    def gather(self, clients: int) -> range:
        return range(clients)

    def start(self, number: int, request: object) -> float:
        self.asked.append(number)
        return self.now_s

    def take(self, limit_s: float, answered: Callable[[int, bytes], None]) -> None:
        self.now_s += 0.001
        answered(self.asked.popleft(), b"")


def test_the_window_opens_when_the_lead_in_is_over() -> None:
    """What is answered before is not timed; nor are four after it: one of the first client, the others' last, then its own."""
    for lead_in_s, before in ((0.0, 3), (0.5, 500)):
        pool = InTurn()
        done = run_clients(
            cast(ConnectionPool, pool), 3, itertools.cycle([(0, b"")]), slice_s=0.0995, lead_in_s=lead_in_s - 0.0005
        )
        assert done.error is None
        assert done.seconds == pytest.approx(0.1)
        assert done.exchanges == 100
        assert done.duration_s == pytest.approx([0.003] * 100)
        assert len(done.answers) == before + 100 + 4


def test_clients_have_mixed_after_the_length_of_the_request_that_one_finds_them_at() -> None:
    """Equal answers: one and a half of them. Rare slow ones: nearly one and a half of those, for in them the time is spent."""
    assert mixing_s([0.002] * 100) == pytest.approx(0.003)
    assert 0.06 < mixing_s([0.001] * 96 + [0.06] * 4) < 0.09


def failing_after(count: int, failure: Callable[[socket.socket], object]) -> Script:
    """Right for so many answers, then as `failure` says."""
    answered = itertools.count(1)

    def script(connection: socket.socket) -> None:
        while (body := read_request(connection)) is not None:
            if next(answered) > count:
                failure(connection)
                return
            connection.sendall(ok(body))

    return script


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (lambda connection: connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"), ErrorStatus),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort"), ConnectionLost),
        (lambda connection: None, ConnectionLost),
        (lambda connection: time.sleep(3), ExchangeTimeout),
    ],
    ids=["status", "cut", "closed", "silent"],
)
def test_an_error_ends_the_slice_and_its_unfinished_window_counts_for_nothing(
    failure: Callable[[socket.socket], object], error: type[Exception]
) -> None:
    """The answers before it are kept to be verified; the next slice starts afresh on new connections."""
    with pool_of(4, failing_after(12, failure), deadline_s=0.3) as (pool, source):
        done = run_clients(pool, 4, source.requests(0), slice_s=5.0)
        assert isinstance(done.error, error), done.error
        assert not done.duration_s
        assert not done.seconds
        assert 4 <= len(done.answers) <= 12
        assert not pool.busy


def test_an_answer_that_trickles_for_ever_ends_at_the_deadline_though_others_go_on() -> None:
    """One connection gets a byte now and then; those beside it are answered all the time."""
    first = itertools.count()

    def script(connection: socket.socket) -> None:
        slow = next(first) == 0
        while (body := read_request(connection)) is not None:
            if slow:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                for _ in range(200):
                    connection.sendall(b".")
                    time.sleep(0.02)
            connection.sendall(ok(body))

    with pool_of(3, script, deadline_s=0.4) as (pool, source):
        done = run_clients(pool, 3, source.requests(0), slice_s=30.0)
    assert isinstance(done.error, ExchangeTimeout)
    assert "no complete answer" in str(done.error)


def test_a_connection_that_is_never_answered_ends_at_the_deadline_though_others_go_on() -> None:
    """A server with fewer workers than connections leaves one waiting: the window does not open meanwhile."""
    first = itertools.count()

    def script(connection: socket.socket) -> None:
        if next(first) == 0:
            time.sleep(3)
        while (body := read_request(connection)) is not None:
            connection.sendall(ok(body))

    with pool_of(3, script, deadline_s=0.4) as (pool, source):
        done = run_clients(pool, 3, source.requests(0), slice_s=0.05)
    assert isinstance(done.error, ExchangeTimeout)
    assert "no complete answer" in str(done.error)


def test_requests_larger_than_the_socket_takes_are_sent_as_room_comes() -> None:
    """Several megabytes to a server that reads slowly, on all connections at once, arrive whole."""
    sizes = []

    def count(body: bytes) -> bytes:
        sizes.append(len(body))
        return ok(str(len(body)).encode())

    large = Payload(b"x" * 8_000_000, "application/octet-stream", (0,))
    with serving(answering(count)) as endpoint:
        pool = ConnectionPool([HttpTransport(endpoint) for _ in range(3)])
        source = CyclingPayloads([large], pool.prepare)
        done = run_clients(pool, 3, source.requests(0), slice_s=0.05)
        pool.close()
    assert done.error is None
    assert set(sizes) == {8_000_000}
    assert {body for _, body in done.answers} == {b"8000000"}


def test_nobody_listening_is_told() -> None:
    """Connecting fails as it does for one client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    pool = ConnectionPool([HttpTransport(Endpoint("nobody", "raw", "raw", port=port, host="127.0.0.1"))])
    source: Any = iter([(0, b"")])
    done = run_clients(pool, 1, source, slice_s=0.1)
    assert isinstance(done.error, ConnectionLost)
