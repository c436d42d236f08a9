"""The base classes of experiments: one question that is asked of servers, and all that depends on this question alone."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from bench.analysis.cell_measurement import CellMeasurement, CellRun
from bench.analysis.cell_record import Outcome
from bench.contract.cells import Cell
from bench.contract.scenarios import Arrival, Offer, Scenario
from bench.contract.system import Role
from bench.experiments.lane_builder import LaneBuilder
from bench.load.scheduler import Settings
from bench.verification.payloads import PayloadFactory


class Asked(Protocol):
    """The options of a session that choose scenarios, parsed and checked."""

    @property
    def batch_sizes(self) -> Sequence[Scenario]:
        """The scenarios of --batch-sizes, smallest first."""
        ...

    @property
    def clients(self) -> Sequence[int]:
        """The numbers of clients of --clients, ascending."""
        ...

    @property
    def loads(self) -> Sequence[Offer]:
        """The offered loads of --loads."""
        ...

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """The arrival processes of --arrivals."""
        ...

    @property
    def slo(self) -> float | None:
        """The latency limit of --slo in seconds; None: no search."""
        ...

    @property
    def cpus(self) -> Sequence[int]:
        """The numbers of CPUs of --cpus, ascending."""
        ...

    @property
    def replicas(self) -> Sequence[int]:
        """The numbers of instances of --replicas, ascending."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a campaign ended, and what its cells are compared with.

    `ratio_to` picks the base cell of the ratios. `gate` is the allowed regression as a fraction, None without a gate; `seed` is
    the bootstrap's. The run's servers had `server_cpus` CPUs, unless a scenario gave them others; the processes that sent the
    load had the CPUs `client_cpus`.
    """

    factory: PayloadFactory
    ratio_to: Callable[[Sequence[Cell]], Cell | None]
    server_cpus: int
    client_cpus: Sequence[int]
    seed: int
    interrupted: bool = False
    gate: float | None = None


class Experiment(ABC):
    """One question: its scenarios and cells, how a cell is measured, and how the measurements become a record.

    Each is the `EXPERIMENT` of the module of this package that is named after its `kind`. It has no state: a session may call
    its methods in any order. All other code calls these methods, and never branches on the kind.
    """

    kind: ClassVar[str]
    """The `Scenario.kind` of its scenarios and the `Record.kind` of its cells."""
    turn: ClassVar[int]
    """Its place in the order, lowest first: a session that is stopped early has measured what most people want."""
    roles: ClassVar[frozenset[Role]]
    """The roles of backends that have cells; a ceiling only if a near server of its protocol, or no server, is selected."""
    timed: ClassVar[bool] = True
    """Whether cells are measured in slices, side by side; else in one pass over the payloads, whose times give no rank."""
    together: ClassVar[bool] = False
    """Whether its scenarios are compared with each other, so that one campaign measures them all; else one campaign each."""
    with_gate: ClassVar[bool] = True
    """Whether a session with --gate measures its cells too."""
    gated: ClassVar[bool] = False
    """Whether --gate judges its cells of servers."""
    histogram: ClassVar[bool] = False
    """Whether its records keep all latencies as a histogram, which can be merged and drawn."""
    soaked: ClassVar[bool] = False
    """Whether each lap of a soak measures its cells."""
    loads: ClassVar[bool] = False
    """Whether it sends a server more than one request at once: a host other than this machine then needs --may-load."""

    @abstractmethod
    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenarios that a session measures, in the order of the report."""

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:  # noqa: ARG002 - no option selects it
        """The options that select this scenario, and as few others of its kind as possible."""
        return {}

    @abstractmethod
    def head(self, scenario: Scenario) -> str:
        """The heading of its cells in pytest-benchmark's table, which says what the durations measure."""

    def label(self, cell: Cell) -> str:
        """The cell's id in the brackets after the test's name; unique in a session."""
        return cell.id

    def refusal(self, cell: Cell) -> str:  # noqa: ARG002 - most can measure any cell
        """Why a cell cannot be measured, as far as its declaration shows; empty if it can."""
        return ""

    def fitted(self, scenario: Scenario, factory: PayloadFactory) -> Scenario:  # noqa: ARG002 - most need no change
        """The scenario adapted to the run's model; see `PayloadFactory.refusal` for what the model does not support at all."""
        return scenario

    def settings(self, settings: Settings) -> Settings:
        """The session's settings, with the times adapted to this experiment's campaign."""
        return settings

    @abstractmethod
    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """The cell with the lanes that measure it; its backend runs. `rerun` is the command that measures it again."""

    @abstractmethod
    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """One outcome for each run, in the same order; called when the campaign's lanes hold their results."""

    def rate_so_far(self, measurement: CellMeasurement) -> float | None:
        """Images/s of a cell that is still being measured; None if nothing was measured yet, or a rate has no meaning."""
        measure = measurement.measure
        answered = sum(result.exchanges for result in measure.slices)
        return answered * measurement.cell.scenario.batch_size / measure.measured_s if measure.measured_s else None


class UnderLoad(Experiment):
    """The base of experiments that use several connections at once, or a schedule."""

    together = True
    with_gate = False
    histogram = True
    loads = True
    roles = frozenset({Role.SERVER, Role.CEILING})  # the reference has no connections that several clients could use


def in_words(scenario: Scenario) -> str:
    """The contents of one request as text, like `8 images`."""
    return f"{scenario.batch_size} image{'s' if scenario.batch_size > 1 else ''}"
