"""The cells that were measured under load, by endpoint: who comes first, and what may be shown of a cell; no words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Arrival
from bench.contract.system import Role
from reports.tables.tables import endpoint_name, of_one_client

COMPARABLE = (Verdict.VALID, Verdict.UNSTABLE, Verdict.OVERSUBSCRIBED)
_LIKE_MOST = 0.7


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """One column of an open loop: a part of each one's own peak, or (`of_peak` false) a rate that is the same for all."""

    arrival: Arrival
    of_peak: bool
    value: float
    scenario: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """One endpoint under load; `cells` by scenario."""

    first: Record
    cells: Mapping[str, Record]

    @property
    def name(self) -> str:
        """`<backend>-<endpoint>`."""
        return endpoint_name(self.first)

    @property
    def clients(self) -> Mapping[int, Record]:
        """The concurrency sweep, by number of clients, ascending."""
        swept = [record for record in self.cells.values() if record.kind == "clients"]
        return {record.concurrency: record for record in sorted(swept, key=lambda record: record.concurrency)}

    @property
    def reached(self) -> float:
        """Requests/s to sort by: with the most clients, else what is known of its peak."""
        swept = [record.images_per_s for record in self.clients.values() if is_answered(record) and record.images_per_s]
        peaks = [record.peak_per_s or record.images_per_s for record in self.cells.values() if is_answered(record)]
        return swept[-1] if swept else max((peak for peak in peaks if peak), default=0.0)


def under_load(records: Sequence[Record]) -> list[Record]:
    """All cells that `of_one_client` leaves out."""
    plain = {id(record) for record in of_one_client(records)}
    return [record for record in records if id(record) not in plain]


def endpoints_of(records: Sequence[Record], role: Role = Role.SERVER) -> list[Loaded]:
    """Those of one role that have a cell under load: the fastest protocol first, within it the fastest endpoint."""
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in under_load(records):
        if record.role == role:
            cells.setdefault((record.backend, record.endpoint), []).append(record)
    found = [Loaded(mine[0], {record.scenario: record for record in mine}) for mine in cells.values()]
    best: dict[str, float] = {}
    for each in found:
        best[each.first.protocol] = max(best.get(each.first.protocol, 0.0), each.reached)
    return sorted(found, key=lambda x: (-best[x.first.protocol], x.first.protocol, -x.reached, x.name))


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
    found = {_level(record) for each in endpoints for record in each.cells.values() if record.kind == "open-loop"}
    return sorted(found, key=lambda level: (level.arrival != Arrival.POISSON, not level.of_peak, level.value, level.scenario))


def equal_load(endpoints: Sequence[Loaded]) -> Level | None:
    """The load at which tails are compared: the one nearest to 70 % of the peak that has a latency to show."""
    levels = [level for level in levels_of(endpoints) if level.of_peak]
    shown = [level for level in levels if any(has_latency(each.cells.get(level.scenario)) for each in endpoints)]
    return min(shown, key=lambda level: (level.arrival != Arrival.POISSON, abs(level.value - _LIKE_MOST)), default=None)


def limits_of(endpoints: Sequence[Loaded]) -> list[str]:
    """The scenarios that looked for the highest rate under a limit, the tightest limit first."""
    cells = [record for each in endpoints for record in each.cells.values() if record.kind == "slo"]
    found = {(record.slo_s or 0.0, record.scenario) for record in cells}
    return [scenario for _, scenario in sorted(found)]


def is_answered(record: Record) -> bool:
    """Whether it was measured, and every answer was right: else its figures are nobody's."""
    return record.verdict not in (Verdict.WRONG_ANSWERS, Verdict.FAILED, Verdict.NOT_MEASURED)


def is_shown(record: Record | None) -> bool:
    """Whether its figures may stand in a report: not of wrong answers, and never a client's own as those of a server.

    A closed loop that is bound by its client says what the two reach together, so it is shown, marked. An open loop that
    could not keep its schedule says nothing of the server, and one that its server could not keep up with has no latency.
    """
    if record is None or not is_answered(record) or record.verdict == Verdict.SATURATED:
        return False
    return record.kind == "clients" or record.verdict != Verdict.CLIENT_BOUND


def has_latency(record: Record | None) -> bool:
    """Whether there is a latency to show."""
    return record is not None and is_shown(record) and record.latency_p50_s is not None


def tail(record: Record) -> tuple[str, float] | None:
    """The highest of p99, p90 and p50 that n supports, in seconds."""
    known = (("p99", record.latency_p99_s), ("p90", record.latency_p90_s), ("p50", record.latency_p50_s))
    return next(((name, value) for name, value in known if value is not None), None)


def _level(record: Record) -> Level:
    if record.load is not None:
        return Level(record.arrival, True, record.load, record.scenario)
    named = re.search(r"-(\d+(?:p\d+)?)rps$", record.scenario)
    return Level(record.arrival, False, float(named[1].replace("p", ".")) if named else 0.0, record.scenario)
