"""Are all answers the model's, and how many are right? One pass over all images; its times rank nobody."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome, pass_outcome
from bench.contract.cells import Cell
from bench.contract.scenarios import ACCURACY, Scenario
from bench.contract.system import Role
from bench.experiments.experiment import Asked, Ended, Experiment
from bench.experiments.lane_builder import LaneBuilder
from bench.load.payload_sources import CyclingPayloads
from bench.verification.payloads import PayloadFactory

SCENARIOS: tuple[Scenario, ...] = (ACCURACY,)


class Accuracy(Experiment):
    """See the module."""

    kind = "accuracy"
    turn = 1
    roles = frozenset({Role.SERVER, Role.REFERENCE})  # null knows no image; a baseline is there for its speed alone
    timed = False
    soaked = True

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:  # noqa: ARG002 - see Experiment
        """The same whatever the options say."""
        return SCENARIOS

    def fitted(self, scenario: Scenario, factory: PayloadFactory) -> Scenario:
        """In requests of a size that any server takes."""
        return replace(scenario, batch_size=factory.accuracy_batch)

    def head(self, scenario: Scenario) -> str:
        """It is asked once."""
        return f"{scenario.name}: one pass over all images, {scenario.batch_size} a request, not interleaved"

    def label(self, cell: Cell) -> str:
        """The test's name says the rest."""
        return cell.endpoint.id if cell.scenario.name == ACCURACY.name else cell.id

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """Each item once: the last request may be a short one."""
        payload_set = builder.payload_set(cell, wrap=False)
        return CellRun(
            cell, payload_set, measure=builder.one_client(cell, partial(CyclingPayloads, payload_set.payloads)), rerun=rerun
        )

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """What was answered; of the pass itself, since nothing else is measured."""
        return [pass_outcome(run, ended.factory) for run in runs]


EXPERIMENT = Accuracy()
