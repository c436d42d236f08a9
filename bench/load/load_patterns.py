"""Load patterns: how a lane loads its server in one slice. Those here are closed loops of one client or of several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bench.contract.wire import Transport
from bench.load.closed_loop import Requests, Slice, run_slice
from bench.load.payload_sources import PayloadSource
from bench.load.senders import Sender

_TURNS = 4  # exchanges of each client in a slice, so that its untimed beginning and end are the smaller part
_WARM_UP_S = 0.1
_LONGEST_LEAD_IN_S = 1.0


class LoadPattern(Protocol):
    """One way of loading a server; never raises an `ExchangeError`: it ends the slice and is in `Slice.error`."""

    @property
    def done(self) -> bool | None:
        """Whether it has its result; None if the lane's goals decide when it is done."""
        ...

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """Seconds that a slice will take if `slice_s` is asked for and an exchange takes `typical_s`."""
        ...

    def warm_up(self, source: PayloadSource, count: int) -> Iterator[Slice]:
        """Untimed slices: one client sends `count` requests; several clients send for as long as they need."""
        ...

    def settle(self, requests: Requests, wake_s: float) -> Slice:
        """Send untimed requests for `wake_s` seconds after a resume; no-op if `run` starts with untimed requests anyway."""
        ...

    def ask_once(self, requests: Requests) -> Slice:
        """Send as few untimed requests of one client as possible, to see whether there is any answer."""
        ...

    def run(self, requests: Requests, *, slice_s: float, typical_s: float, warm_up_request: bool) -> Slice:
        """Run one slice of about `slice_s` seconds; `typical_s` is the recent time per exchange, 0 before the first answer.

        `warm_up_request`: one client sends an untimed warm-up request first.
        """
        ...

    def close(self) -> None:
        """Close all connections; never raises."""
        ...


@dataclass(slots=True)
class OneClient:
    """One client on one kept connection, one exchange after the other."""

    transport: Transport[Any]
    done: bool | None = None

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """At least one exchange."""
        return max(slice_s, typical_s)

    def warm_up(self, source: PayloadSource, count: int) -> Iterator[Slice]:
        """One exchange a slice, so that an error costs that exchange only."""
        requests = source.requests(count)
        for _ in range(count):
            yield run_slice(self.transport, requests, slice_s=0.0, warm_up_request=False, most=1)

    def settle(self, requests: Requests, wake_s: float) -> Slice:
        """One request after the other."""
        return run_slice(self.transport, requests, slice_s=wake_s, warm_up_request=False)

    def ask_once(self, requests: Requests) -> Slice:
        """One exchange."""
        return run_slice(self.transport, requests, slice_s=0.0, warm_up_request=False, most=1)

    def run(self, requests: Requests, *, slice_s: float, typical_s: float, warm_up_request: bool) -> Slice:  # noqa: ARG002 - see LoadPattern
        """See `run_slice`."""
        return run_slice(self.transport, requests, slice_s=slice_s, warm_up_request=warm_up_request)

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()


@dataclass(slots=True)
class Clients:
    """`clients` connections at once, each in a closed loop."""

    sender: Sender
    clients: int
    done: bool | None = None
    lead_in_s: float = 0.0

    def length_s(self, slice_s: float, typical_s: float) -> float:
        """Long enough for several exchanges of each client."""
        return max(slice_s, _TURNS * self.clients * typical_s)

    def warm_up(self, source: PayloadSource, count: int) -> Iterator[Slice]:
        """All clients together for a while; as briefly as possible where `count` is 1 (smoke)."""
        yield self.sender.clients(self.clients, source.requests(0), slice_s=_WARM_UP_S if count > 1 else 0.0)

    def settle(self, requests: Requests, wake_s: float) -> Slice:
        """All clients together."""
        return self.sender.clients(self.clients, requests, slice_s=wake_s)

    def ask_once(self, requests: Requests) -> Slice:
        """See `run_clients`."""
        return self.sender.clients(1, requests, slice_s=0.0)

    def run(self, requests: Requests, *, slice_s: float, typical_s: float, warm_up_request: bool) -> Slice:  # noqa: ARG002 - see LoadPattern
        """See `run_clients`; the lead-in is `mixing_s` of the last slice's durations, up to a limit."""
        length_s = self.length_s(slice_s, typical_s)
        done = self.sender.clients(self.clients, requests, slice_s=length_s, lead_in_s=self.lead_in_s)
        if done.duration_s:
            self.lead_in_s = min(mixing_s(done.duration_s), _LONGEST_LEAD_IN_S)
        return done

    def close(self) -> None:
        """Close all connections."""
        self.sender.close()


def mixing_s(duration_s: Sequence[float]) -> float:
    """Seconds until clients that all start at once are mixed: until as many wait for a slow answer as in the steady state.

    At a random moment a client is more likely to be in a long request than in a short one: the mean duration of the request it
    is in is the mean of the squares over the mean. After 1.5 times that, what is left of the start is lost in the noise.
    """
    durations = np.asarray(duration_s)
    return float(1.5 * (durations**2).sum() / durations.sum())
