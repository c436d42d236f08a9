"""What a load agent does: takes orders over its control connection, sends the load, and returns every sample.

It sends with the same code (`bench/load/`) as a session without agents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench.agents.messages import Message
from bench.agents.work import Outcome, Work, answers_arrays, outcomes_message, work_of
from bench.contract.errors import ExchangeError
from bench.contract.scenarios import CONNECTIONS
from bench.contract.wire import Answer
from bench.load.closed_loop import Begin, Slice, Trace, run_clients
from bench.load.connection_pool import ConnectionPool
from bench.load.open_loop import Schedule, run_schedule
from bench.load.payload_sources import CyclingPayloads
from bench.transports.connect import open_connections
from bench.verification.judgements import digest_of

_TOLD_EVERY_S = 0.5
_SPIN_S = 0.001

Clock = Callable[[], float]


class Cancelled(ExchangeError):
    """Another agent could not begin, so nobody does."""


@dataclass(slots=True, eq=False)
class _Connections:
    """The connection pool of one endpoint: its first connection goes to instance `turn`, each further one to the next."""

    make: Callable[[int], ConnectionPool]
    instances: int
    turn: int
    pool: ConnectionPool

    def from_turn(self, first: int) -> ConnectionPool:
        """The pool whose first connection is number `first` of all agents' together; a new pool if its instance changes."""
        if self.turn != first % self.instances:
            self.pool.close()
            self.turn = first % self.instances
            self.pool = self.make(self.turn)
        return self.pool


@dataclass(slots=True)
class _Prepared:
    """Work with what it takes to send it; `told` are the (payload index, digest) whose outcomes were already reported."""

    work: Work
    connections: _Connections
    source: CyclingPayloads
    told: set[tuple[int, bytes]] = field(default_factory=set)


class Agent:
    """Carries out the orders that come over `connection`, until that ends; all times it reports are by `clock`.

    It is agent `number`, counted from 1, of `agents` in all.
    """

    def __init__(self, connection: Connection, clock: Clock, *, number: int, agents: int) -> None:
        self._connection = connection
        self._clock = clock
        self._place = (number - 1) / agents  # where it begins in the payloads: agents should not all send the same at once
        self._prepared: dict[int, _Prepared] = {}
        self._connections: dict[str, _Connections] = {}  # by endpoint
        self._bodies: list[tuple[int, bytes, bytes]] = []  # not yet judged: payload index, digest, body

    def serve(self) -> None:
        """Carry out one order after the other; raises EOFError or OSError when the driver is gone."""
        orders: dict[str, Callable[[Message], None]] = {
            "ping": self._ping,
            "work": self._take_work,
            "clients": self._clients,
            "schedule": self._schedule,
            "judge": self._judge,
            "drop": self._drop,
        }
        while True:
            order = self._receive()
            orders[order.what](order)

    def _receive(self) -> Message:
        return Message.unpacked(self._connection.recv_bytes())

    def _send(self, message: Message) -> None:
        self._connection.send_bytes(message.packed())

    def _ping(self, _: Message) -> None:
        self._send(Message("pong", {"at_s": self._clock()}))

    def _take_work(self, order: Message) -> None:
        work = work_of(order)
        endpoint = repr((work.endpoint.id, work.endpoint.host, work.endpoint.port))

        def make(turn: int) -> ConnectionPool:
            return ConnectionPool(
                open_connections(work.endpoint, CONNECTIONS, turn),
                deadline_s=work.endpoint.deadline_s,
                clock=self._clock,
            )

        if endpoint not in self._connections:
            self._connections[endpoint] = _Connections(make, len(work.endpoint.instances), 0, make(0))
        connections = self._connections[endpoint]
        source = CyclingPayloads(work.payloads, connections.pool.prepare, int(len(work.payloads) * self._place))
        self._prepared[order.fields["key"]] = _Prepared(work, connections, source)
        self._send(Message("taken"))

    def _drop(self, order: Message) -> None:
        prepared = self._prepared.pop(order.fields["key"], None)
        if prepared is None:
            return
        prepared.connections.pool.close()
        used = {id(each.connections) for each in self._prepared.values()}
        self._connections = {name: each for name, each in self._connections.items() if id(each) in used}

    def _clients(self, order: Message) -> None:
        said, prepared = order.fields, self._prepared[order.fields["key"]]
        pool = prepared.connections.from_turn(said["first"])
        _poll_as_said(pool, said)

        def run(begin: Begin, trace: Trace) -> Slice:
            return run_clients(
                pool,
                said["clients"],
                prepared.source.requests(0),
                slice_s=said["slice_s"],
                lead_in_s=said["lead_in_s"],
                begin=begin,
                trace=trace,
            )

        self._run(run)

    def _schedule(self, order: Message) -> None:
        said, prepared = order.fields, self._prepared[order.fields["key"]]
        plan = Schedule(order.arrays["due_s"], said["lead_in_s"], said["window_s"])
        _poll_as_said(prepared.connections.pool, said)

        def run(begin: Begin, trace: Trace) -> Slice:
            return run_schedule(
                prepared.connections.pool,
                prepared.source.requests(0),
                plan,
                connections=said["connections"],
                most=said["most"],
                begin=begin,
                trace=trace,
            )

        self._run(run)

    def _run(self, run: Callable[[Begin, Trace], Slice]) -> None:
        trace: Trace = []
        began_s = 0.0
        started, own_s = time.perf_counter(), time.thread_time()

        def begin() -> float:
            nonlocal began_s, started, own_s
            began_s = self._agreed_beginning()
            started, own_s = time.perf_counter(), time.thread_time()
            return began_s

        done = run(begin, trace)
        share = (time.thread_time() - own_s) / (time.perf_counter() - started)
        answers = [(index, digest_of(body), body) for index, body in done.answers]
        self._bodies += answers
        error = done.error
        fields: dict[str, Any] = {
            "began_s": began_s,
            "reconnects": done.reconnects,
            "client_share": share,
            "error": None if error is None else [type(error).__name__, str(error)],
        }
        arrays = {
            "trace": np.array(trace, dtype=np.float64).reshape(-1, 3),
            "lag_s": np.array(done.lag_s, dtype=np.float64),
            **answers_arrays([(index, digest) for index, digest, _ in answers]),
        }
        self._send(Message("samples", fields, arrays))

    def _agreed_beginning(self) -> float:
        """Report that all connections are open, answer pings, and wait for the start; returns it, or raises Cancelled."""
        self._send(Message("ready"))
        while True:
            order = self._receive()
            if order.what == "ping":
                self._ping(order)
            elif order.what == "go":
                break
            else:
                raise Cancelled("another agent could not begin")
        at_s = float(order.fields["at_s"])
        time.sleep(max(0.0, at_s - self._clock() - _SPIN_S))
        while self._clock() < at_s:
            pass
        return at_s

    def _judge(self, order: Message) -> None:
        """Judge the answers not reported before; report now and then, since an agent that is silent for long is given up."""
        prepared = self._prepared[order.fields["key"]]
        bodies, self._bodies = self._bodies, []
        outcomes: list[Outcome] = []
        told_s = time.perf_counter()
        for index, digest, body in bodies:
            if (index, digest) in prepared.told:
                continue
            prepared.told.add((index, digest))
            verifier = prepared.work.verifier
            judged = None if verifier is None else verifier.judge(Answer(index, body))
            outcomes.append(Outcome(index, digest, len(body), judged))
            if time.perf_counter() - told_s > _TOLD_EVERY_S:
                self._send(outcomes_message(outcomes, more=True))
                outcomes, told_s = [], time.perf_counter()
        self._send(outcomes_message(outcomes, more=False))


def _poll_as_said(pool: ConnectionPool, said: Mapping[str, Any]) -> None:
    pool.busy_poll_s, pool.takes_turns = said["busy_poll_s"], said["takes_turns"]
