"""Do all answers agree with the model's, and how many are right? One pass over all images; its times give no rank."""

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
    """The accuracy pass, see the module."""

    kind = "accuracy"
    turn = 1
    roles = frozenset({Role.SERVER, Role.REFERENCE})  # null computes nothing, twins are there for their speed alone
    timed = False
    soaked = True

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:  # noqa: ARG002 - see Experiment
        """The one accuracy scenario, whatever the options are."""
        return SCENARIOS

    def fitted(self, scenario: Scenario, factory: PayloadFactory) -> Scenario:
        """The scenario with a batch size that any server accepts."""
        return replace(scenario, batch_size=factory.accuracy_batch)

    def head(self, scenario: Scenario) -> str:
        """The heading, which says that there is a single pass."""
        return f"{scenario.name}: one pass over all images, {scenario.batch_size} a request, not interleaved"

    def label(self, cell: Cell) -> str:
        """The endpoint alone, as the test's name says that it is the accuracy pass."""
        return cell.endpoint.id if cell.scenario.name == ACCURACY.name else cell.id

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """One lane that sends each item once; the last request may be smaller than the others."""
        payload_set = builder.payload_set(cell, wrap=False)
        return CellRun(
            cell, payload_set, measure=builder.one_client(cell, partial(CyclingPayloads, payload_set.payloads)), rerun=rerun
        )

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """The outcomes of the pass itself, since there is no measurement besides."""
        return [pass_outcome(run, ended.factory) for run in runs]


EXPERIMENT = Accuracy()
