"""Times one start of one server step by step, until it is warm.

Polling slows a starting server, so the poll interval grows with the time elapsed: each step is known to within 1 %, or 2 ms if
that is more.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from statistics import median
from time import perf_counter, sleep

from bench.contract.errors import BackendFailed, ConnectionLost, ExchangeError, MalformedAnswer
from bench.contract.rows import StartRow
from bench.contract.system import Instance, SystemUnderTest, log_end
from bench.contract.wire import Answer, Endpoint
from bench.load.closed_loop import run_slice
from bench.load.payload_sources import CyclingPayloads
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe

BLOCK = 20  # exchanges
LEAST_BLOCKS, MOST_BLOCKS = 8, 500
ASK_S, ASK_AT_MOST_S = 1.0, 15.0  # seconds of sending; the latter if LEAST_BLOCKS take longer than the former
WARM_WITHIN = 1.1  # times the steady state's latency
STEADY_SHARE = 0.75  # of the blocks from the first warm one on that must be warm
RESTLESS_SHARE = 0.9  # of the steady state's own blocks that always count as warm

_POLL_S, _POLL_SHARE, _POLL_AT_MOST_S = 0.002, 0.01, 0.1
_ALIVE_EVERY_S = 1.0
_TCP_PROBE_TIMEOUT_S, _HOLD_S = 1.0, 0.005

Blocks = Sequence[tuple[float, float]]
"""For each block of consecutive exchanges: when it began since the start was ordered, and its latency, in seconds."""


class Start:
    """One start; `run` it once, then `stop` it. `row` holds what was measured so far."""

    def __init__(self, instance: Instance, factory: PayloadFactory, probe: Probe, blank: StartRow) -> None:
        self.row = blank
        self._instance = instance
        self._factory = factory
        self._probe = probe
        self._ordered_s = 0.0
        self._asked_alive_s = 0.0

    def run(self, *, until_warm: bool) -> None:
        """Launch it, time each step, with `until_warm` send on until it is warm; what fails is recorded as `row.problem`."""
        self._ordered_s = perf_counter()
        try:
            system = self._instance.launch()
            self.row = replace(self.row, launch_s=self._since())
            endpoint = next(each for each in system.endpoints.values() if not self._factory.refusal(each))
            self.row = replace(self.row, port_open_s=self._reached(system, partial(tcp_probe, endpoint)))
            if self._instance.tells_ready:  # before that no client would send it a request
                self.row = replace(self.row, ready_s=self._reached(system, self._instance.check_ready))
            answered_s = self._reached(system, partial(self._probe.ask, system, endpoint))
            self.row = replace(self.row, first_answer_s=answered_s)
            if until_warm:
                self.row = replace(self.row, warm_s=warm_at(self._ask_on(system, endpoint)))
        except (BackendFailed, ExchangeError) as error:
            self.row = replace(self.row, problem=str(error))

    def stop(self) -> None:
        """Stop it, and time that if it was launched."""
        start = perf_counter()
        self._instance.stop()
        if self.row.launch_s is not None:
            self.row = replace(self.row, stop_s=perf_counter() - start)

    def _since(self) -> float:
        return perf_counter() - self._ordered_s

    def _reached(self, system: SystemUnderTest, ask: Callable[[], float | None]) -> float:
        """Poll `ask` until it raises no ExchangeError; seconds from the order to then, or to the time that `ask` returns.

        Raises BackendFailed at the time-out, or if the server has ended.
        """
        while True:
            try:
                at_s = ask()
                return (perf_counter() if at_s is None else at_s) - self._ordered_s
            except ExchangeError as error:
                self._check_hope(system, error)
            sleep(min(_POLL_AT_MOST_S, max(_POLL_S, _POLL_SHARE * self._since())))

    def _check_hope(self, system: SystemUnderTest, error: ExchangeError) -> None:
        seconds, timeout_s = self._since(), self._instance.ready_timeout_s
        what = f"gave no right answer within {timeout_s:g} s" if seconds >= timeout_s else ""
        if not what and seconds - self._asked_alive_s >= _ALIVE_EVERY_S:
            self._asked_alive_s = seconds
            what = "" if system.is_alive() else f"ended within {seconds:.1f} s of its start"
        if what:
            last = f"{type(error).__name__}: {error}"
            raise BackendFailed(f"{system.backend.name} {what}\n  last error: {last}\n{log_end(system)}") from error

    def _ask_on(self, system: SystemUnderTest, endpoint: Endpoint) -> Blocks:
        """Send one image after the other on one connection, verify every answer, return the blocks; raises ExchangeError."""
        payload_set = self._factory.payload_set(endpoint, self._factory.model.signature.batch or 1)
        payloads = payload_set.payloads[: BLOCK * LEAST_BLOCKS]
        transport = open_transport(system, endpoint, self._factory.model)
        blocks: list[tuple[float, float]] = []
        answers: list[Answer] = []
        try:
            transport.connect()
            source = CyclingPayloads(payloads, transport.prepare).requests(BLOCK)
            start = perf_counter()
            while not _asked_enough(len(blocks), perf_counter() - start):
                began_s = self._since()
                done = run_slice(transport, source, slice_s=inf, warm_up_request=False, most=BLOCK)
                if done.error is not None:
                    raise done.error
                blocks.append((began_s, undisturbed_s(done.duration_s)))
                answers += [Answer(index, body) for index, body in done.answers]
        finally:
            transport.close()
        verifier = self._factory.verifier(payload_set.codec, payloads, payload_set.expected)
        checked = verifier.verify(answers)
        if checked.wrong:
            raise MalformedAnswer(f"{endpoint.id}: {checked.wrong} of {checked.answers} answers: {checked.first_wrong}")
        return blocks


def undisturbed_s(duration_s: Sequence[float]) -> float:
    """The 10th percentile of a block's latencies: other load on the machine only adds, and a cold server is slow in all."""
    return sorted(duration_s)[len(duration_s) // 10]


def warm_at(blocks: Blocks) -> float | None:
    """When the latency had fallen to at most 10 % above its steady state, and stayed there; None if it did not settle.

    The steady state is the median of the second half of the blocks. The server is warm at the beginning of the first block of
    the first half that is within 10 % of it, if so are three of four blocks from there on: a stall of the host is no relapse.
    If the steady state varies more than that, the limit is what nine of ten of its own blocks keep.
    """
    latencies = [latency_s for _, latency_s in blocks]
    half = len(blocks) // 2
    if not half:
        return None
    steady = sorted(latencies[half:])
    limit_s = max(WARM_WITHIN * median(steady), steady[int(RESTLESS_SHARE * (len(steady) - 1))])
    for place in range(half):
        rest = latencies[place:]
        if rest[0] <= limit_s and sum(latency_s <= limit_s for latency_s in rest) >= STEADY_SHARE * len(rest):
            return blocks[place][0]
    return None


def tcp_probe(endpoint: Endpoint) -> float:
    """The time at which its port accepted a connection; raises ConnectionLost if it does not.

    A container engine's proxy accepts any connection, and drops it if no server listens behind: so it must last 5 ms.
    """
    try:
        with socket.create_connection((str(endpoint.host), endpoint.port), _TCP_PROBE_TIMEOUT_S) as connection:
            taken_s = perf_counter()
            connection.settimeout(_HOLD_S)
            try:
                dropped = connection.recv(1) == b""
            except TimeoutError:
                dropped = False
    except OSError as error:
        raise ConnectionLost(f"{endpoint.id}: {error}") from error
    if dropped:
        raise ConnectionLost(f"{endpoint.id}: its connection was dropped at once")
    return taken_s


def _asked_enough(blocks: int, seconds: float) -> bool:
    return (blocks >= LEAST_BLOCKS and seconds >= ASK_S) or blocks >= MOST_BLOCKS or seconds >= ASK_AT_MOST_S
