"""Load patterns on a schedule: an open loop at part of the server's peak, and the search for its highest load under a limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np

from bench.contract.scenarios import CONNECTIONS, Arrival
from bench.load.closed_loop import Requests, Slice
from bench.load.open_loop import in_time, schedule
from bench.load.payload_sources import PayloadSource
from bench.load.senders import Sender
from bench.load.slo_search import Search
from bench.statistics import supported_percentile

SUPPORTED = 700
"""Requests enough to support a p99 even if one of them is over the limit (see `bench.statistics.percentiles`)."""

LONGEST_PROBE_S = 8.0

WINDOWS = 3
"""Number of windows in the measuring time of an open loop, and the most late ones that are measured again."""

_PEAK_CLIENTS = (1, 4, 16, CONNECTIONS)
_PEAK_S = 0.15
_LEAD_IN_S = (0.05, 0.5)
_RELAXATIONS = 2.0
_OVER = 0.01  # of the requests
_CLEARLY_BELOW = 0.5  # of the requests within the limit
_SATURATED_BELOW = 0.97  # of the scheduled requests


@dataclass(slots=True)
class Peak:
    """A server's highest throughput in a closed loop, measured anew whenever a part of it is to be offered.

    The host's speed drifts within tenths of a second: half of the peak of a minute ago may be the whole peak now.
    `clients` is the number of clients that reaches it, at most `most`; `known`: it was found without an error.
    """

    sender: Sender
    most: int = CONNECTIONS
    clients: int = 1
    known: bool = False

    def find_clients(self, source: PayloadSource, count: int) -> Iterator[Slice]:
        """Try several numbers of clients, up to `most`, and keep the one with the highest throughput.

        No-op once a pass had no error. See `Clients.warm_up` for `count`.
        """
        if self.known:
            return
        best_per_s, complete = 0.0, count > 1
        numbers = sorted({min(clients, self.most) for clients in _PEAK_CLIENTS})
        for clients in numbers if count > 1 else numbers[:1]:
            tried = self.sender.clients(clients, source.requests(0), slice_s=_PEAK_S if count > 1 else 0.0)
            rate_per_s = tried.exchanges / tried.seconds if tried.seconds else 0.0
            if rate_per_s > best_per_s:
                self.clients, best_per_s = clients, rate_per_s
            complete = complete and tried.error is None and not tried.repeated
            yield tried
        self.known = complete

    def measure(self, requests: Requests) -> Slice:
        """Measure the peak: requests/s in `peak_per_s`, None if nothing was measured; answers to verify, no durations."""
        done = self.sender.clients(self.clients, requests, slice_s=_PEAK_S)
        rate_per_s = done.exchanges / done.seconds if done.seconds else None
        return Slice(
            answers=done.answers,
            reconnects=done.reconnects,
            error=done.error,
            repeated=done.repeated,
            peak_per_s=rate_per_s,
        )


@dataclass(slots=True)
class OpenLoop:
    """Requests on a schedule, over at most `connections` connections.

    Their rate is `rate_per_s`, or the part `load` of the peak that was measured just before.

    A window with late sends is measured again, up to `repeats_left` times: the client's delays say nothing about the server.
    """

    sender: Sender
    peak: Peak
    arrival: Arrival
    rng: np.random.Generator
    load: float | None = None
    rate_per_s: float | None = None
    connections: int = CONNECTIONS
    repeats_left: int = WINDOWS
    done: bool | None = None

    def length_s(self, slice_s: float, typical_s: float) -> float:  # noqa: ARG002 - see LoadPattern
        """The length of the window; lead-in and measuring the peak come on top."""
        return slice_s

    def warm_up(self, source: PayloadSource, count: int) -> Iterator[Slice]:
        """Find how many clients it takes to reach the peak."""
        yield from self.peak.find_clients(source, count)

    def settle(self, requests: Requests, wake_s: float) -> Slice:  # noqa: ARG002 - see LoadPattern
        """No-op: `run` starts by measuring the peak."""
        return Slice()

    def ask_once(self, requests: Requests) -> Slice:
        """See `run_clients`."""
        return self.sender.clients(1, requests, slice_s=0.0)

    def run(self, requests: Requests, *, slice_s: float, typical_s: float, warm_up_request: bool) -> Slice:  # noqa: ARG002 - see LoadPattern
        """Measure the peak, then follow the schedule for a window of `slice_s`."""
        return self.if_in_time(self.offer(requests, self.load, slice_s))

    def offer(self, requests: Requests, load: float | None, window_s: float, least: int = 0) -> Slice:
        """Measure the peak, then offer the part `load` of it, or `rate_per_s` if `load` is None, for `window_s` seconds.

        The window is extended up to LONGEST_PROBE_S seconds so that about `least` requests fit.
        """
        peak = self.peak.measure(requests)
        if peak.error is not None or not peak.peak_per_s:
            return peak
        rate_per_s = self.rate_per_s if load is None else load * peak.peak_per_s
        if not rate_per_s:
            return peak
        window_s = min(max(window_s, least / rate_per_s), max(window_s, LONGEST_PROBE_S))
        lead_in_s = _lead_in_s(rate_per_s, peak.peak_per_s)
        plan = schedule(self.arrival, rate_per_s, lead_in_s=lead_in_s, window_s=window_s, rng=self.rng)
        offered = self.sender.schedule(requests, plan, connections=self.peak.clients, most=self.connections)
        offered.answers = peak.answers + offered.answers
        offered.reconnects += peak.reconnects
        offered.peak_per_s = peak.peak_per_s
        return offered

    def if_in_time(self, window: Slice) -> Slice:
        """The window itself or, if its sends were late and it may be measured again, only its answers."""
        if window.error is not None or in_time(window) or not self.repeats_left:
            return window
        self.repeats_left -= 1
        return Slice(answers=window.answers, reconnects=window.reconnects, repeated=1)

    def close(self) -> None:
        """Close all connections."""
        self.sender.close()


@dataclass(slots=True)
class SloSearch:
    """Searches for the highest load at which the p99 of latency stays under `slo_s`; each slice is one probe of one load."""

    open_loop: OpenLoop
    slo_s: float
    search: Search

    @property
    def done(self) -> bool | None:
        """Whether the search has ended."""
        return self.search.load is None

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """See `OpenLoop`."""
        return self.open_loop.length_s(slice_s, typical_s)

    def warm_up(self, source: PayloadSource, count: int) -> Iterator[Slice]:
        """See `OpenLoop`."""
        return self.open_loop.warm_up(source, count)

    def settle(self, requests: Requests, wake_s: float) -> Slice:
        """See `OpenLoop`."""
        return self.open_loop.settle(requests, wake_s)

    def ask_once(self, requests: Requests) -> Slice:
        """See `OpenLoop`."""
        return self.open_loop.ask_once(requests)

    def run(self, requests: Requests, *, slice_s: float, typical_s: float, warm_up_request: bool) -> Slice:  # noqa: ARG002 - see LoadPattern
        """Run one probe."""
        load = self.search.load
        if load is None:
            return Slice()
        probe = self.open_loop.offer(requests, load, slice_s, least=SUPPORTED)
        probe = self.open_loop.if_in_time(probe)
        if probe.error is None and not probe.repeated:
            self.search.note(holds(probe, self.slo_s), probe, clearly=fails_clearly(probe, self.slo_s))
        return probe

    def close(self) -> None:
        """See `OpenLoop`."""
        self.open_loop.close()


def saturated(scheduled: int, answered: int, exchanges: int) -> bool:
    """Whether a server fell behind: some requests `scheduled` in the window were never answered, or too few within it."""
    return answered < scheduled or exchanges < _SATURATED_BELOW * scheduled - 2 * sqrt(scheduled)


def holds(probe: Slice, slo_s: float) -> bool | None:
    """Whether the 99th percentile of a probe was under the limit and the server kept up.

    None if there were too few requests to tell, of which at most one in a hundred was over the limit.
    """
    if saturated(probe.scheduled, len(probe.duration_s), probe.exchanges):
        return False
    tail_s = supported_percentile(np.asarray(probe.duration_s), 0.99)
    if tail_s is not None:
        return tail_s <= slo_s
    over = sum(duration > slo_s for duration in probe.duration_s)
    return False if over > _OVER * len(probe.duration_s) else None


def fails_clearly(probe: Slice, slo_s: float) -> bool:
    """Whether most requests were over the limit or never answered, which no brief disturbance of the machine can cause."""
    within = sum(duration <= slo_s for duration in probe.duration_s)
    return probe.scheduled > 0 and within < _CLEARLY_BELOW * probe.scheduled


def _lead_in_s(rate_per_s: float, peak_per_s: float) -> float:
    """Seconds until the queue is in its steady state: twice the relaxation time of a single server, within bounds.

    1 / (mu (1 - sqrt(rho))^2) is that of M/M/1 (Morse 1958); for other servers it is of that order.
    """
    load = min(rate_per_s / peak_per_s, 0.99)
    return float(np.clip(_RELAXATIONS / (peak_per_s * (1 - sqrt(load)) ** 2), *_LEAD_IN_S))
