"""Builds the lanes that measure a cell: connections, payloads and goals; the cell's experiment decides which lanes it needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.agents.agent_sender import AgentSender
from bench.agents.crew import LEAST_WINDOW_S, Crew
from bench.agents.work import work_message
from bench.contract.cells import Cell
from bench.contract.scenarios import CONNECTIONS
from bench.contract.system import Fleet, Role, SystemUnderTest, cpus_beside_client
from bench.contract.wire import Endpoint, Transport
from bench.load.connection_pool import BUSY_POLL_S, ConnectionPool
from bench.load.lane import Goals, Lane, Part
from bench.load.load_patterns import LoadPattern, OneClient
from bench.load.payload_sources import CyclingPayloads, PayloadSource, Prepare
from bench.load.scheduled_load import Peak
from bench.load.scheduler import Settings
from bench.load.senders import OwnSender, Sender
from bench.machine.idle_cpu import LEAST_SLICES, IdleWatch
from bench.transports.connect import open_connections, open_transport
from bench.verification.judgements import Judgements
from bench.verification.payloads import PayloadFactory, PayloadSet

MOST_EXCHANGES = 100_000
"""The most exchanges of a one-client lane to a server that the suite did not start, whatever the measuring time."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the lanes under load of one endpoint share: its connections, and per batch size also the requests and the peak.

    `judgements` are those of the answers if load agents receive them, None if this process does.
    """

    sender: Sender
    source: CyclingPayloads
    peak: Peak
    judgements: Judgements | None = None


def shared_settings(crew: Crew | None, settings: Settings) -> Settings:
    """The settings; with load agents, slices are so long that the uncertainty of the agents' clocks is small in comparison."""
    return settings if crew is None else replace(settings, slice_s=max(settings.slice_s, LEAST_WINDOW_S))


class LaneBuilder:
    """Makes the lanes of one campaign; those under load send through the `crew`, if there is one.

    With `smoke` no lane looks for caches. If a server does not have `client_cpu` and is not far, its pool polls without sleep.
    """

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        factory: PayloadFactory,
        idle: IdleWatch,
        crew: Crew | None,
        client_cpu: int,
        *,
        smoke: bool,
    ) -> None:
        self._crew = crew
        self.settings = settings
        self.factory = factory
        self.audits = not smoke
        self._client_cpu = client_cpu
        self._fleet = fleet
        self._idle = idle
        self._pools: dict[str, ConnectionPool] = {}
        self._agents: dict[tuple[str, int], AgentSender] = {}
        self._kept: dict[str, Transport[Any]] = {}
        self._shared: dict[tuple[str, int, int], Shared] = {}

    def payload_set(self, cell: Cell, *, wrap: bool = True) -> PayloadSet:
        """The payloads that cover the dataset once in the cell's protocol and batch size; see `batches` for `wrap`."""
        return self.factory.payload_set(cell.endpoint, cell.scenario.batch_size, wrap=wrap)

    def random(self, cell: Cell) -> np.random.Generator:
        """The cell's own random generator, with the same numbers in each session with the same seed."""
        return np.random.default_rng([self.settings.seed, *cell.id.encode()])

    def one_client(
        self,
        cell: Cell,
        source: Callable[[Prepare], PayloadSource],
        part: Part = Part.MEASURE,
        *,
        share: float = 1.0,
        slices: int = 1,
    ) -> Lane:
        """A lane with one kept connection, one exchange after the other, for `share` of a cell's measuring time.

        The connection is the lane's own; lanes of an endpoint that the suite did not start share one.
        """
        system, endpoint = self._asked(cell)
        transport = self._kept.get(endpoint.id) or open_transport(system, endpoint, self.factory.model)
        if cell.backend.attached:
            self._kept[endpoint.id] = transport
        paused_server = self._idle.paused_server(cell.server)
        least = LEAST_SLICES if paused_server is not None and part is Part.MEASURE else slices
        return Lane(
            part=part,
            system=system,
            pattern=OneClient(transport),
            source=source(transport.prepare),
            goals=Goals(
                measured_s=share * self.settings.max_time_s,
                slices=least,
                most=MOST_EXCHANGES if cell.backend.attached else None,
            ),
            endpoint=endpoint.id,
            paused_server=paused_server,
        )

    def under_load(
        self, cell: Cell, pattern: LoadPattern, *, share: float = 1.0, slices: int = 1, exchanges: int = 0, clients: int = 1
    ) -> Lane:
        """A lane whose `pattern` uses what `shared` returned; see `Goals` for the minimum of slices and exchanges."""
        system, endpoint = self._asked(cell)
        return Lane(
            part=Part.MEASURE,
            system=system,
            pattern=pattern,
            source=self.shared(cell).source,
            goals=Goals(measured_s=share * self.settings.max_time_s, slices=slices, exchanges=exchanges),
            clients=clients,
            endpoint=endpoint.id,
            paused_server=self._idle.paused_server(cell.server),
        )

    def shared(self, cell: Cell) -> Shared:
        """What the cell's lane shares with others; all lanes of an endpoint use the same connections.

        Only one of them runs at a time, so the server has no idle connections. Requests are prepared once for each batch size;
        a peak holds for one batch size and number of connections.
        """
        name, size, most = self._asked(cell)[1].id, cell.scenario.batch_size, cell.scenario.concurrency
        if (name, size, most) not in self._shared:
            same = next((each.source for key, each in self._shared.items() if key[:2] == (name, size)), None)
            if self._crew is not None:
                agents = self._agents_of(cell, self._crew)
                source = same or CyclingPayloads(self.payload_set(cell).payloads, lambda payload: payload)
                self._shared[name, size, most] = Shared(agents, source, Peak(agents, most), agents.judgements)
            else:
                pool = self._pool_of(cell)
                source = same or CyclingPayloads(self.payload_set(cell).payloads, pool.prepare)
                own = OwnSender(pool)
                self._shared[name, size, most] = Shared(own, source, Peak(own, most))
        return self._shared[name, size, most]

    def _agents_of(self, cell: Cell, crew: Crew) -> AgentSender:
        """The sender of the cell's endpoint and batch size: agents prepare requests themselves, and connect per endpoint."""
        key = (self._asked(cell)[1].id, cell.scenario.batch_size)
        if key not in self._agents:
            self._agents[key] = agents_asking(cell, crew, self._fleet, self.factory, self.settings.seed)
        return self._agents[key]

    def _pool_of(self, cell: Cell) -> ConnectionPool:
        system, endpoint = self._asked(cell)
        if endpoint.id not in self._pools:
            own_cpu = self._client_cpu not in cpus_beside_client(system, self._fleet)
            self._pools[endpoint.id] = ConnectionPool(
                open_connections(endpoint, CONNECTIONS),
                deadline_s=endpoint.deadline_s,
                # for a server elsewhere the client's CPU time decides on CLIENT_BOUND, and polling would count in it
                busy_poll_s=BUSY_POLL_S if own_cpu and not cell.is_far else 0.0,
            )
        return self._pools[endpoint.id]

    def _asked(self, cell: Cell) -> tuple[SystemUnderTest, Endpoint]:
        return _asked(cell, self._fleet)


def agents_asking(cell: Cell, crew: Crew, fleet: Fleet, factory: PayloadFactory, seed: int) -> AgentSender:
    """A sender to a cell's server, which must run, through the agents of `crew`."""
    system, endpoint = _asked(cell, fleet)
    payloads = factory.payload_set(cell.endpoint, cell.scenario.batch_size)
    work = work_message(crew.new_key(), endpoint, payloads, factory, canned=cell.backend.role is Role.CEILING)
    return AgentSender(
        crew,
        work,
        endpoint.deadline_s,
        # Not the schedule's own random numbers: which agent sends a request must not depend on when it is due.
        np.random.default_rng([seed, *b"agents", *cell.id.encode()]),
        busy_poll_s=0.0 if cell.is_far else BUSY_POLL_S,
        server_cpus=cpus_beside_client(system, fleet),
    )


def _asked(cell: Cell, fleet: Fleet) -> tuple[SystemUnderTest, Endpoint]:
    """The server that the cell measures, and its endpoint, located."""
    system = fleet.running[cell.server]
    return system, system.endpoints[cell.endpoint.name]
