"""From a cell to the lanes that measure it: how each kind of scenario asks, of what, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bench.analysis.cell_measurement import CellRun
from bench.contract.cells import Cell
from bench.contract.scenarios import CONNECTIONS, Kind
from bench.contract.system import Fleet, Role
from bench.load.connection_pool import ConnectionPool
from bench.load.lane import Goals, Lane, Part
from bench.load.load_patterns import Clients, LoadPattern, OneClient
from bench.load.payload_sources import CyclingPayloads, FreshPayloads, PayloadSource, Prepare
from bench.load.scheduled_load import OpenLoop, Peak, SloSearch
from bench.load.scheduler import Settings
from bench.load.slo_search import Search
from bench.machine.idle_cpu import LEAST_SLICES, IdleWatch
from bench.protocols import codec
from bench.statistics import min_samples
from bench.transports.connect import open_connection, open_transport
from bench.verification.payloads import PayloadFactory

UNDER_LOAD = (Kind.CLIENTS, Kind.OPEN_LOOP, Kind.SLO)
"""Measured all scenarios of a kind together, since they are compared with each other; each kind when its first cell is due."""

CLIENTS_SHARE = 0.5  # of a cell's measuring time: a curve has six of them
AUDIT_SHARE = 0.15  # of a cell's measuring time, for each of the two audit lanes
AUDIT_SLICES = 12  # at least, so that slow cells are audited too
_CLIENTS_SLICES = 8
_WINDOWS = 3  # that an open loop's measuring time is cut into
_WINDOW_S = (0.25, 1.0)


def settings_of(kind: Kind, settings: Settings) -> Settings:
    """What of the session's settings is another for this kind: an open loop's windows are longer than slices."""
    if kind is Kind.CLIENTS:
        return settings.with_times(CLIENTS_SHARE * settings.max_time_s, settings.slice_s)
    if kind in (Kind.OPEN_LOOP, Kind.SLO):
        window_s = float(np.clip(settings.max_time_s / _WINDOWS, *_WINDOW_S))
        return settings.with_times(settings.max_time_s, window_s)
    return settings


class LaneMaker:
    """Makes the runs of one campaign; the connections of an endpoint are shared by its lanes under load."""

    def __init__(self, settings: Settings, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch, *, audits: bool) -> None:
        self._settings = settings
        self._fleet = fleet
        self._factory = factory
        self._idle = idle
        self._audits = audits
        self._pools: dict[str, tuple[ConnectionPool, CyclingPayloads, Peak]] = {}

    def run_of(self, cell: Cell, again: str) -> CellRun:
        """The cell's lanes, and the payloads that they will send."""
        kind = cell.scenario.kind
        payload_set = self._factory.payload_set(
            codec(cell.endpoint.protocol), cell.scenario.batch_size, wrap=kind is not Kind.ACCURACY
        )
        if kind in UNDER_LOAD:
            return CellRun(cell=cell, payload_set=payload_set, measure=self._lane_under_load(cell), rerun=again)
        measure = self._lane(cell, Part.MEASURE, partial(CyclingPayloads, payload_set.payloads))
        same = fresh = None
        # A twin too: what it is compared with has these connections as well, and some servers are slower with each one more.
        if self._audits and cell.backend.role in (Role.SERVER, Role.TWIN) and kind is not Kind.ACCURACY:
            same = self._lane(cell, Part.SAME, partial(CyclingPayloads, payload_set.payloads[:1]))
            grow = self._factory.fresh(payload_set.codec, cell.scenario.batch_size)
            fresh = self._lane(cell, Part.FRESH, partial(FreshPayloads, grow))
        return CellRun(cell=cell, payload_set=payload_set, measure=measure, same=same, fresh=fresh, rerun=again)

    def _lane(self, cell: Cell, part: Part, source: Callable[[Prepare], PayloadSource]) -> Lane:
        system = self._fleet.running[cell.backend.name]
        transport = open_transport(system, system.endpoints[cell.endpoint.name])
        audits, paused_server = part is not Part.MEASURE, self._idle.paused_server(cell.backend.name)
        return Lane(
            part=part,
            system=system,
            pattern=OneClient(transport),
            source=source(transport.prepare),
            goals=Goals(
                measured_s=(AUDIT_SHARE if audits else 1.0) * self._settings.max_time_s,
                slices=AUDIT_SLICES if audits else 1 if paused_server is None else LEAST_SLICES,
            ),
            endpoint=cell.endpoint.id,
            paused_server=paused_server,
        )

    def _lane_under_load(self, cell: Cell) -> Lane:
        scenario = cell.scenario
        pool, source, peak = self._pool_of(cell)
        instrument = cell.backend.role is Role.CEILING
        return Lane(
            part=Part.MEASURE,
            system=self._fleet.running[cell.backend.name],
            pattern=self._pattern(cell, pool, peak),
            source=source,
            goals=Goals(
                # Of null's open loop it is enough to see that the client keeps its schedule.
                measured_s=self._settings.max_time_s / (_WINDOWS if instrument and scenario.kind is Kind.OPEN_LOOP else 1),
                slices=_CLIENTS_SLICES if scenario.kind is Kind.CLIENTS else 1,
                exchanges=min_samples(0.99) if scenario.kind is Kind.OPEN_LOOP else 0,
            ),
            clients=scenario.concurrency if scenario.kind is Kind.CLIENTS else 1,
            endpoint=cell.endpoint.id,
            paused_server=self._idle.paused_server(cell.backend.name),
        )

    def _pattern(self, cell: Cell, pool: ConnectionPool, peak: Peak) -> LoadPattern:
        scenario = cell.scenario
        if scenario.kind is Kind.CLIENTS:
            return Clients(pool, scenario.concurrency)
        seed = [self._settings.seed, *cell.id.encode()]
        rng = np.random.default_rng(seed)
        offers = OpenLoop(pool, peak, scenario.arrival, rng, scenario.load, scenario.rate_per_s)
        return offers if scenario.slo_s is None else SloSearch(offers, scenario.slo_s, Search())

    def _pool_of(self, cell: Cell) -> tuple[ConnectionPool, CyclingPayloads, Peak]:
        """One for each endpoint; only one lane is at it at a time, and what is sent is prepared once."""
        if cell.endpoint.id not in self._pools:
            system = self._fleet.running[cell.backend.name]
            endpoint = system.endpoints[cell.endpoint.name]
            pool = ConnectionPool([open_connection(endpoint) for _ in range(CONNECTIONS)])
            payload_set = self._factory.payload_set(codec(cell.endpoint.protocol), cell.scenario.batch_size)
            self._pools[cell.endpoint.id] = pool, CyclingPayloads(payload_set.payloads, pool.prepare), Peak(pool)
        return self._pools[cell.endpoint.id]
