"""The cells that were measured under load, by endpoint: in which order, and what may be shown of a cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.records import Record
from bench.contract.scenarios import CONNECTIONS, Arrival
from bench.contract.system import Role
from reports.tables.names import endpoint_name

_LIKE_MOST = 0.7


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """A load offered in an open loop: a part of each server's own peak, or (`of_peak` false) a rate that is equal for all."""

    arrival: Arrival
    of_peak: bool
    value: float
    batch_size: int
    connections: int
    scenario: str

    @property
    def title(self) -> str:
        """`70 %` of the peak, or `200/s`; with the number of connections if it is lower than usual."""
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
        """The request sizes, in images, of the concurrency sweeps."""
        return {record.batch_size for record in self._closed}

    def swept(self, batch_size: int) -> Mapping[int, Record]:
        """The concurrency sweep with `batch_size` images in a request, by number of clients, ascending."""
        mine = [record for record in self._closed if record.batch_size == batch_size]
        return {record.concurrency: record for record in sorted(mine, key=lambda record: record.concurrency)}

    @property
    def _closed(self) -> list[Record]:
        return [record for record in self.cells.values() if record.arrival is Arrival.CLOSED_LOOP]

    @property
    def reached(self) -> float:
        """Images/s to sort by: those with the most clients, else the highest that is known of its peak, else 0."""
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
    """The endpoints of one role, from cells under load: the fastest protocol first, within it the fastest endpoint first."""
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
    """Endpoints by protocol, both in the order given."""
    groups: dict[str, list[Loaded]] = {}
    for each in endpoints:
        groups.setdefault(each.first.protocol, []).append(each)
    return groups


def concurrencies(endpoints: Sequence[Loaded]) -> list[int]:
    """The numbers of clients that were measured, ascending."""
    return sorted({clients for each in endpoints for clients in each.clients})


def levels_of(endpoints: Sequence[Loaded]) -> list[Level]:
    """The loads offered in open loops: Poisson arrivals first, parts of the peak before rates, ascending."""
    cells = [record for each in endpoints for record in each.cells.values()]
    levels = {_level(record) for record in cells if record.arrival is not Arrival.CLOSED_LOOP and record.slo_s is None}
    return sorted(levels, key=lambda x: (x.arrival != Arrival.POISSON, not x.of_peak, x.batch_size, x.value, x.scenario))


def equal_load(endpoints: Sequence[Loaded]) -> Level | None:
    """The load at which tails are compared: the one nearest to 70 % of the peak with a latency to show; None without any."""
    levels = [level for level in levels_of(endpoints) if level.of_peak]
    shown = [level for level in levels if any(has_latency(each.cells.get(level.scenario)) for each in endpoints)]
    return min(shown, key=lambda x: (x.arrival != Arrival.POISSON, x.batch_size, abs(x.value - _LIKE_MOST)), default=None)


def limits_of(endpoints: Sequence[Loaded]) -> list[str]:
    """The scenarios that searched for the highest rate under a latency limit, the tightest limit first."""
    cells = [record for each in endpoints for record in each.cells.values()]
    limits = {(record.slo_s, record.scenario) for record in cells if record.slo_s is not None}
    return [scenario for _, scenario in sorted(limits)]


def is_shown(record: Record | None) -> bool:
    """Whether a cell's figures may be shown: not if answers were wrong, nor if they describe the client instead of the server.

    A closed loop limited by its client tells what client and server reach together, so it is shown, marked. An open loop whose
    client fell behind its schedule tells nothing about the server, and one whose server fell behind has no latency.
    """
    if record is None or not record.verdict.shown:
        return False
    return record.arrival is Arrival.CLOSED_LOOP or not record.verdict.lower_bound


def has_latency(record: Record | None) -> bool:
    """Whether a cell has a latency that may be shown."""
    return record is not None and is_shown(record) and record.latency_p50_s is not None


def tail(record: Record) -> tuple[str, float] | None:
    """Name and seconds of the highest of p99, p90 and p50 that the number of samples supports; None without any."""
    percentiles = (("p99", record.latency_p99_s), ("p90", record.latency_p90_s), ("p50", record.latency_p50_s))
    return next(((name, value) for name, value in percentiles if value is not None), None)


def _level(record: Record) -> Level:
    value = record.load if record.load is not None else record.rate_per_s
    return Level(record.arrival, record.load is not None, value or 0.0, record.batch_size, record.concurrency, record.scenario)
