"""How a lane asks its server in one slice: one client or several in a closed loop, or requests on a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import numpy as np

from bench.contract.scenarios import CONNECTIONS, Arrival
from bench.contract.wire import Transport
from bench.load.closed_loop import Sendings, Slice, run_clients, run_slice
from bench.load.connection_pool import Crowd
from bench.load.open_loop import run_schedule, schedule
from bench.load.payload_sources import Feed
from bench.load.slo_search import Search
from bench.statistics import supported_percentile

SUPPORTED = 700
"""Requests that support a p99 although one of them is over the limit (see `bench.statistics.percentiles`)."""

_TURNS = 4  # exchanges of each client in a slice, so that its untimed beginning and end stay the smaller part
_WARM_UP_S = 0.1
_PEAK_CLIENTS = (1, 4, 16, CONNECTIONS)
_LOOK_S = 0.15
_LONGEST_LEAD_IN_S = 1.0
_LEAD_IN_S = (0.05, 0.5)
_RELAXATIONS = 2.0
LONGEST_PROBE_S = 8.0
_OVER = 0.01  # of the requests
_CLEARLY_BELOW = 0.5  # of the requests within the limit
_SATURATED_BELOW = 0.97  # of what was to be answered


class Drive(Protocol):
    """One way of asking. `done` is None where the lane's measuring time decides when it is done."""

    @property
    def done(self) -> bool | None:
        """Whether it found what it looked for."""
        ...

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """How long a slice will be for which `slice_s` is asked."""
        ...

    def warm_up(self, feed: Feed, count: int) -> Iterator[Slice]:
        """Ask untimed, by one client `count` times; more clients as long as they need."""
        ...

    def settle(self, sendings: Sendings, wake_s: float) -> Slice:
        """Ask a server that was just woken for so long, untimed, unless `run` begins with as much."""
        ...

    def look(self, sendings: Sendings) -> Slice:
        """As few exchanges as can be, of one client, untimed: whether there is an answer at all."""
        ...

    def run(self, sendings: Sendings, *, slice_s: float, typical_s: float, opener: bool) -> Slice:
        """One slice of about `slice_s` seconds; `typical_s` is what an answer has taken so far, 0 where nothing is known."""
        ...

    def close(self) -> None:
        """Close all connections; never raises."""
        ...


@dataclass(slots=True)
class OneClient:
    """One kept connection, one exchange after the other."""

    transport: Transport[Any]
    done: bool | None = None

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """One exchange at least."""
        return max(slice_s, typical_s)

    def warm_up(self, feed: Feed, count: int) -> Iterator[Slice]:
        """One exchange a slice, so that an error costs that exchange only."""
        sendings = feed.sendings(count)
        for _ in range(count):
            yield run_slice(self.transport, sendings, slice_s=0.0, opener=False, most=1)

    def settle(self, sendings: Sendings, wake_s: float) -> Slice:
        """By itself."""
        return run_slice(self.transport, sendings, slice_s=wake_s, opener=False)

    def look(self, sendings: Sendings) -> Slice:
        """One exchange."""
        return run_slice(self.transport, sendings, slice_s=0.0, opener=False, most=1)

    def run(self, sendings: Sendings, *, slice_s: float, typical_s: float, opener: bool) -> Slice:  # noqa: ARG002 - see Drive
        """See `run_slice`."""
        return run_slice(self.transport, sendings, slice_s=slice_s, opener=opener)

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()


@dataclass(slots=True)
class Clients:
    """So many clients at once, each in a closed loop."""

    crowd: Crowd
    clients: int
    done: bool | None = None
    lead_in_s: float = 0.0

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """Long enough that each client has some turns."""
        return max(slice_s, _TURNS * self.clients * typical_s)

    def warm_up(self, feed: Feed, count: int) -> Iterator[Slice]:
        """All clients together for a while, or as shortly as they can if one exchange is all that is asked for (smoke)."""
        yield run_clients(self.crowd, self.clients, feed.sendings(0), slice_s=_WARM_UP_S if count > 1 else 0.0)

    def settle(self, sendings: Sendings, wake_s: float) -> Slice:
        """All together."""
        return run_clients(self.crowd, self.clients, sendings, slice_s=wake_s)

    def look(self, sendings: Sendings) -> Slice:
        """See `run_clients`."""
        return run_clients(self.crowd, 1, sendings, slice_s=0.0)

    def run(self, sendings: Sendings, *, slice_s: float, typical_s: float, opener: bool) -> Slice:  # noqa: ARG002 - see Drive
        """See `run_clients`; its lead-in is as long as the last slice's answers say that it takes until all have mixed."""
        length_s = self.length_s(slice_s, typical_s)
        done = run_clients(self.crowd, self.clients, sendings, slice_s=length_s, lead_in_s=self.lead_in_s)
        if done.duration_s:
            self.lead_in_s = min(mixing_s(done.duration_s), _LONGEST_LEAD_IN_S)
        return done

    def close(self) -> None:
        """Close all connections."""
        self.crowd.close()


@dataclass(slots=True)
class Peak:
    """What a server carries in a closed loop, looked at anew whenever a part of it is to be offered.

    The host's speed drifts within tenths of a second: half of what was carried a minute ago may be all that is there now.
    """

    crowd: Crowd
    clients: int = 1
    found: bool = False

    def find(self, feed: Feed, count: int) -> Iterator[Slice]:
        """Try several numbers of clients, once without an error; the one that carries most is used from then on.

        See `Clients.warm_up` for `count`.
        """
        if self.found:
            return
        best, complete = 0.0, count > 1
        for clients in _PEAK_CLIENTS if count > 1 else _PEAK_CLIENTS[:1]:
            tried = run_clients(self.crowd, clients, feed.sendings(0), slice_s=_LOOK_S if count > 1 else 0.0)
            rate = tried.exchanges / tried.seconds if tried.seconds else 0.0
            if rate > best:
                self.clients, best = clients, rate
            complete = complete and tried.error is None
            yield tried
        self.found = complete

    def look(self, sendings: Sendings) -> Slice:
        """Requests a second, in `peak_per_s`; the answers are there to be verified, its durations are nobody's figures."""
        seen = run_clients(self.crowd, self.clients, sendings, slice_s=_LOOK_S)
        rate = seen.exchanges / seen.seconds if seen.seconds else None
        return Slice(answers=seen.answers, reconnects=seen.reconnects, error=seen.error, peak_per_s=rate)


@dataclass(slots=True)
class OpenLoop:
    """Requests on a schedule: `rate_per_s`, or the part `load` of what the server carried just before."""

    crowd: Crowd
    peak: Peak
    arrival: Arrival
    rng: np.random.Generator
    load: float | None = None
    rate_per_s: float | None = None
    done: bool | None = None

    def length_s(self, slice_s: float, typical_s: float) -> float:  # noqa: ARG002 - see Drive
        """The window's; lead-in and looking at the peak come on top."""
        return slice_s

    def warm_up(self, feed: Feed, count: int) -> Iterator[Slice]:
        """Find how many clients it takes to see its peak."""
        yield from self.peak.find(feed, count)

    def settle(self, sendings: Sendings, wake_s: float) -> Slice:  # noqa: ARG002 - see Drive
        """Nothing: it begins with a look at the peak."""
        return Slice()

    def look(self, sendings: Sendings) -> Slice:
        """See `run_clients`."""
        return run_clients(self.crowd, 1, sendings, slice_s=0.0)

    def run(self, sendings: Sendings, *, slice_s: float, typical_s: float, opener: bool) -> Slice:  # noqa: ARG002 - see Drive
        """A look at the peak, then a stretch of the schedule whose window is `slice_s` long."""
        return self.offer(sendings, self.load, slice_s)

    def offer(self, sendings: Sendings, load: float | None, window_s: float, least: int = 0) -> Slice:
        """Offer that part of the peak, or the given rate, for a window of so many seconds and about `least` requests."""
        looked = self.peak.look(sendings)
        if looked.error is not None or not looked.peak_per_s:
            return looked
        rate = self.rate_per_s if load is None else load * looked.peak_per_s
        if not rate:
            return looked
        window_s = min(max(window_s, least / rate), max(window_s, LONGEST_PROBE_S))
        lead_in_s = _lead_in_s(rate, looked.peak_per_s)
        plan = schedule(self.arrival, rate, lead_in_s=lead_in_s, window_s=window_s, rng=self.rng)
        offered = run_schedule(self.crowd, sendings, plan, connections=self.peak.clients)
        offered.answers = looked.answers + offered.answers
        offered.reconnects += looked.reconnects
        offered.peak_per_s = looked.peak_per_s
        return offered

    def close(self) -> None:
        """Close all connections."""
        self.crowd.close()


@dataclass(slots=True)
class SloSearch:
    """Looks for the highest load with the 99th percentile of latency under `slo_s`: each slice is one probe of one load."""

    offers: OpenLoop
    slo_s: float
    search: Search

    @property
    def done(self) -> bool | None:
        """Whether the search has ended."""
        return self.search.load is None

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """See `OpenLoop`."""
        return self.offers.length_s(slice_s, typical_s)

    def warm_up(self, feed: Feed, count: int) -> Iterator[Slice]:
        """See `OpenLoop`."""
        return self.offers.warm_up(feed, count)

    def settle(self, sendings: Sendings, wake_s: float) -> Slice:
        """See `OpenLoop`."""
        return self.offers.settle(sendings, wake_s)

    def look(self, sendings: Sendings) -> Slice:
        """See `OpenLoop`."""
        return self.offers.look(sendings)

    def run(self, sendings: Sendings, *, slice_s: float, typical_s: float, opener: bool) -> Slice:  # noqa: ARG002 - see Drive
        """One probe."""
        load = self.search.load
        if load is None:
            return Slice()
        probe = self.offers.offer(sendings, load, slice_s, least=SUPPORTED)
        if probe.error is None:
            self.search.note(holds(probe, self.slo_s), probe, clearly=fails_clearly(probe, self.slo_s))
        return probe

    def close(self) -> None:
        """See `OpenLoop`."""
        self.offers.close()


def mixing_s(duration_s: Sequence[float]) -> float:
    """How long clients that all begin at once take until as many of them wait for a slow answer as ever do.

    The request that one finds a client at is a long one more often than the one it sends: its length, on average, is the
    mean of the squares over the mean. Half as much again, and what is left of the beginning is lost in the noise.
    """
    durations = np.asarray(duration_s)
    return float(1.5 * (durations**2).sum() / durations.sum())


def saturated(scheduled: int, answered: int, exchanges: int) -> bool:
    """Whether a server fell behind: of those `scheduled` in the window some were never answered, or too few within it."""
    return answered < scheduled or exchanges < _SATURATED_BELOW * scheduled - 2 * sqrt(scheduled)


def holds(probe: Slice, slo_s: float) -> bool | None:
    """Whether the 99th percentile of a probe is known to be under the limit, and the server kept up.

    None where there were too few requests to know, and yet not more than one in a hundred over the limit.
    """
    if saturated(probe.scheduled, len(probe.duration_s), probe.exchanges):
        return False
    tail_s = supported_percentile(np.asarray(probe.duration_s), 0.99)
    if tail_s is not None:
        return tail_s <= slo_s
    over = sum(duration > slo_s for duration in probe.duration_s)
    return False if over > _OVER * len(probe.duration_s) else None


def fails_clearly(probe: Slice, slo_s: float) -> bool:
    """Whether most requests were beyond the limit, or never answered: no passing disturbance of the machine does that."""
    within = sum(duration <= slo_s for duration in probe.duration_s)
    return probe.scheduled > 0 and within < _CLEARLY_BELOW * probe.scheduled


def _lead_in_s(rate_per_s: float, peak_per_s: float) -> float:
    """How long the queue takes to forget that it was empty: the relaxation time of a single server, twice, within bounds.

    1 / (mu (1 - sqrt(rho))^2) is that of M/M/1 (Morse 1958); other servers' is of that size.
    """
    load = min(rate_per_s / peak_per_s, 0.99)
    return float(np.clip(_RELAXATIONS / (peak_per_s * (1 - sqrt(load)) ** 2), *_LEAD_IN_S))
