"""Senders of the requests of a load pattern: this process on its own connections, or load agents (`bench/agents/`)."""

from dataclasses import dataclass
from typing import Protocol

from bench.load.closed_loop import Requests, Slice, run_clients
from bench.load.connection_pool import ConnectionPool
from bench.load.open_loop import Schedule, run_schedule


class Sender(Protocol):
    """Sends to one endpoint; never raises an `ExchangeError`: it ends the slice and is in `Slice.error`."""

    def clients(self, clients: int, requests: Requests, *, slice_s: float, lead_in_s: float = 0.0) -> Slice:
        """Run `clients` at once, each in a closed loop; see `run_clients`."""
        ...

    def schedule(self, requests: Requests, plan: Schedule, *, connections: int, most: int | None = None) -> Slice:
        """Send requests on a schedule; see `run_schedule`."""
        ...

    def close(self) -> None:
        """Close all connections; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class OwnSender:
    """Sends from this process, over the connections of `pool`."""

    pool: ConnectionPool

    def clients(self, clients: int, requests: Requests, *, slice_s: float, lead_in_s: float = 0.0) -> Slice:
        """See `run_clients`."""
        return run_clients(self.pool, clients, requests, slice_s=slice_s, lead_in_s=lead_in_s)

    def schedule(self, requests: Requests, plan: Schedule, *, connections: int, most: int | None = None) -> Slice:
        """See `run_schedule`."""
        return run_schedule(self.pool, requests, plan, connections=connections, most=most)

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()
