"""The cells that were measured under load, by endpoint: who comes first, and what may be shown of a cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.records import Record
from bench.contract.scenarios import CONNECTIONS, Arrival
from bench.contract.system import Role
from reports.tables.names import endpoint_name

_LIKE_MOST = 0.7


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """One column of an open loop: a part of each one's own peak, or (`of_peak` false) a rate that is the same for all."""

    arrival: Arrival
    of_peak: bool
    value: float
    batch_size: int
    connections: int
    scenario: str

    @property
    def title(self) -> str:
        """`70 %` of the peak, or `200/s`; with the connections where these are fewer than usual."""
        offered = f"{100 * self.value:g} %" if self.of_peak else f"{self.value:,g}/s" if self.value else self.scenario
        return offered if self.connections == CONNECTIONS else f"{offered}, {self.connections} connections"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One endpoint under load; `cells` by scenario; `sweep_size` is the smallest request (images) of any endpoint's sweep."""

    first: Record
    cells: Mapping[str, Record]
    sweep_size: int = 1

    @property
    def name(self) -> str:
        """`<backend>-<endpoint>`."""
        return endpoint_name(self.first)

    @property
    def clients(self) -> Mapping[int, Record]:
        """The concurrency sweep with the smallest requests, by number of clients, ascending."""
        return self.swept(self.sweep_size)

    @property
    def batch_sizes(self) -> set[int]:
        """The images a request of the concurrency sweeps."""
        return {record.batch_size for record in self._closed}

    def swept(self, batch_size: int) -> Mapping[int, Record]:
        """The concurrency sweep with so many images a request, by number of clients, ascending."""
        mine = [record for record in self._closed if record.batch_size == batch_size]
        return {record.concurrency: record for record in sorted(mine, key=lambda record: record.concurrency)}

    @property
    def _closed(self) -> list[Record]:
        return [record for record in self.cells.values() if record.arrival is Arrival.CLOSED_LOOP]

    @property
    def reached(self) -> float:
        """Images/s to sort by: with the most clients, else what is known of its peak."""
        swept = [record.images_per_s for record in self.clients.values() if record.verdict.answered and record.images_per_s]
        answered = [record for record in self.cells.values() if record.verdict.answered]
        peaks = [record.batch_size * record.peak_per_s if record.peak_per_s else record.images_per_s for record in answered]
        return swept[-1] if swept else max((peak for peak in peaks if peak), default=0.0)


@dataclass(frozen=True, slots=True)
class CellsUnderLoad:
    """All cells under load of a run: the servers' endpoints, and those of null, which are their ceilings."""

    endpoints: Sequence[Loaded]
    ceilings: Sequence[Loaded]


def endpoints_of(records: Sequence[Record], role: Role = Role.SERVER) -> list[Loaded]:
    """Of cells under load, the endpoints of one role: the fastest protocol first, within it the fastest endpoint."""
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.role == role:
            cells.setdefault((record.backend, record.endpoint), []).append(record)
    sweep_size = min((r.batch_size for r in records if r.arrival is Arrival.CLOSED_LOOP), default=1)
    endpoints = [Loaded(mine[0], {record.scenario: record for record in mine}, sweep_size) for mine in cells.values()]
    best: dict[str, float] = {}
    for each in endpoints:
        best[each.first.protocol] = max(best.get(each.first.protocol, 0.0), each.reached)
    return sorted(endpoints, key=lambda x: (-best[x.first.protocol], x.first.protocol, -x.reached, x.name))


def protocols_of(endpoints: Sequence[Loaded]) -> dict[str, list[Loaded]]:
    """By protocol, both in their order."""
    groups: dict[str, list[Loaded]] = {}
    for each in endpoints:
        groups.setdefault(each.first.protocol, []).append(each)
    return groups


def concurrencies(endpoints: Sequence[Loaded]) -> list[int]:
    """The numbers of clients that were measured."""
    return sorted({clients for each in endpoints for clients in each.clients})


def levels_of(endpoints: Sequence[Loaded]) -> list[Level]:
    """The open loops that were measured: Poisson first, parts of the peak before rates, ascending."""
    cells = [record for each in endpoints for record in each.cells.values()]
    levels = {_level(record) for record in cells if record.arrival is not Arrival.CLOSED_LOOP and record.slo_s is None}
    return sorted(levels, key=lambda x: (x.arrival != Arrival.POISSON, not x.of_peak, x.batch_size, x.value, x.scenario))


def equal_load(endpoints: Sequence[Loaded]) -> Level | None:
    """The load at which tails are compared: the one nearest to 70 % of the peak that has a latency to show."""
    levels = [level for level in levels_of(endpoints) if level.of_peak]
    shown = [level for level in levels if any(has_latency(each.cells.get(level.scenario)) for each in endpoints)]
    return min(shown, key=lambda x: (x.arrival != Arrival.POISSON, x.batch_size, abs(x.value - _LIKE_MOST)), default=None)


def limits_of(endpoints: Sequence[Loaded]) -> list[str]:
    """The scenarios that looked for the highest rate under a limit, the tightest limit first."""
    cells = [record for each in endpoints for record in each.cells.values()]
    limits = {(record.slo_s, record.scenario) for record in cells if record.slo_s is not None}
    return [scenario for _, scenario in sorted(limits)]


def is_shown(record: Record | None) -> bool:
    """Whether its figures may stand in a report: not of wrong answers, and never a client's own as those of a server.

    A closed loop that is bound by its client says what the two reach together, so it is shown, marked. An open loop that
    could not keep its schedule says nothing of the server, and one that its server could not keep up with has no latency.
    """
    if record is None or not record.verdict.shown:
        return False
    return record.arrival is Arrival.CLOSED_LOOP or not record.verdict.lower_bound


def has_latency(record: Record | None) -> bool:
    """Whether there is a latency to show."""
    return record is not None and is_shown(record) and record.latency_p50_s is not None


def tail(record: Record) -> tuple[str, float] | None:
    """The highest of p99, p90 and p50 that n supports, in seconds."""
    percentiles = (("p99", record.latency_p99_s), ("p90", record.latency_p90_s), ("p50", record.latency_p50_s))
    return next(((name, value) for name, value in percentiles if value is not None), None)


def _level(record: Record) -> Level:
    value = record.load if record.load is not None else record.rate_per_s
    return Level(record.arrival, record.load is not None, value or 0.0, record.batch_size, record.concurrency, record.scenario)
