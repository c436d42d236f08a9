"""What an experiment is: one question that is asked of servers, and all that only this question decides."""

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
    """What the options of a session ask for, parsed and checked."""

    @property
    def batch_sizes(self) -> Sequence[Scenario]:
        """The scenarios of --batch-sizes, smallest first."""
        ...

    @property
    def clients(self) -> Sequence[int]:
        """Those of --clients, ascending."""
        ...

    @property
    def loads(self) -> Sequence[Offer]:
        """Those of --loads."""
        ...

    @property
    def arrivals(self) -> Sequence[Arrival]:
        """Those of --arrivals."""
        ...

    @property
    def slo(self) -> float | None:
        """Seconds of --slo; None: no search."""
        ...

    @property
    def cpus(self) -> Sequence[int]:
        """Numbers of CPUs of --cpus, ascending."""
        ...

    @property
    def replicas(self) -> Sequence[int]:
        """Numbers of instances of --replicas, ascending."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a campaign ended, and what its cells are held against.

    `gate` is the regression that is allowed, a fraction, None where nothing is gated; `seed` is the bootstrap's. The servers of
    the run had `server_cpus` CPUs, unless a scenario gave them others; who sent what is under load had `client_cpus`.
    """

    factory: PayloadFactory
    ratio_to: Callable[[Sequence[Cell]], Cell | None]
    server_cpus: int
    client_cpus: Sequence[int]
    seed: int
    interrupted: bool = False
    gate: float | None = None


class Experiment(ABC):
    """One question: its scenarios and cells, how a cell is measured, and how what it brought becomes a record.

    Each is the `EXPERIMENT` of the module of this package that is named like its `kind`. It holds no state: a session may
    ask it in any order. Everybody else asks it, and nobody its kind.
    """

    kind: ClassVar[str]
    """Scenario.kind of its scenarios, Record.kind of its cells."""
    turn: ClassVar[int]
    """The lowest is measured first: who stops a session early keeps what most people ask for."""
    roles: ClassVar[frozenset[Role]]
    """Which backends have cells; a ceiling only where a server with its protocol is selected, or none at all."""
    timed: ClassVar[bool] = True
    """Measured in slices, side by side with others; else one pass over the payloads, whose times rank nobody."""
    together: ClassVar[bool] = False
    """All its scenarios are compared with each other, so they are measured in one campaign; else one each."""
    with_gate: ClassVar[bool] = True
    """A session with --gate has its cells."""
    gated: ClassVar[bool] = False
    """--gate judges its cells of servers."""
    histogram: ClassVar[bool] = False
    """Its records keep all latencies as a histogram, which can be merged and drawn."""
    soaked: ClassVar[bool] = False
    """Each lap of a soak has its cells."""
    loads: ClassVar[bool] = False
    """It loads a server with more than one request at once: a host that is not this machine must be allowed for it."""

    @abstractmethod
    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """What a session measures of it, in the order of the report."""

    def rerun_options(self, scenario: Scenario) -> Mapping[str, str]:  # noqa: ARG002 - what the options do not say
        """The options with which a session has this scenario, and no more of its kind than it must."""
        return {}

    @abstractmethod
    def head(self, scenario: Scenario) -> str:
        """Under which head its cells stand in pytest-benchmark's table: what the durations are of."""

    def label(self, cell: Cell) -> str:
        """What stands in brackets behind the test's name; no other cell of a session has the same."""
        return cell.id

    def refusal(self, cell: Cell) -> str:  # noqa: ARG002 - most ask whom they are told
        """Why a cell cannot be measured, as far as that is declared; empty where it can."""
        return ""

    def fitted(self, scenario: Scenario, factory: PayloadFactory) -> Scenario:  # noqa: ARG002 - most ask as they are told
        """The scenario as the run's model can be asked; see `PayloadFactory.refusal` for what it cannot be asked at all."""
        return scenario

    def settings(self, settings: Settings) -> Settings:
        """The session's settings with the times of this experiment's campaign."""
        return settings

    @abstractmethod
    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """The lanes that measure a cell whose backend runs; `rerun` is the command that measures it again."""

    @abstractmethod
    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """One outcome for each run, in the same order, once the campaign's lanes hold what they brought."""

    def rate_so_far(self, measurement: CellMeasurement) -> float | None:
        """Images/s of a cell that is still being measured; None where that says nothing."""
        measure = measurement.measure
        answered = sum(result.exchanges for result in measure.slices)
        return answered * measurement.cell.scenario.batch_size / measure.measured_s if measure.measured_s else None


class UnderLoad(Experiment):
    """Several connections at once, or a schedule."""

    together = True
    with_gate = False
    histogram = True
    loads = True
    roles = frozenset({Role.SERVER, Role.CEILING})  # the reference has no wire that more than one could use


def in_words(scenario: Scenario) -> str:
    """`8 images`: what one request of it carries."""
    return f"{scenario.batch_size} image{'s' if scenario.batch_size > 1 else ''}"
