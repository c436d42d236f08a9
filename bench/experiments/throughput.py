"""What throughput does one client get in a closed loop, with all servers measured side by side?"""

from collections.abc import Collection, Sequence
from functools import partial

from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome
from bench.analysis.compared_cells import records_of
from bench.contract.cells import Cell
from bench.contract.scenarios import Scenario
from bench.contract.system import Role
from bench.experiments.experiment import Asked, Ended, Experiment, in_words
from bench.experiments.lane_builder import LaneBuilder
from bench.load.lane import Part
from bench.load.payload_sources import CyclingPayloads, FreshPayloads

SCENARIOS: tuple[Scenario, ...] = ()
"""Measured in addition to those of --batch-sizes; to add one, add a line here."""

AUDIT_SHARE = 0.15  # of a cell's measuring time, for each of the two audit lanes
AUDIT_SLICES = 12  # of an audit lane, at least, so that slow cells are audited too


class Throughput(Experiment):
    """See the module; for each server two more lanes look for a cache: one repeated image, and images never sent before."""

    kind = "throughput"
    turn = 2
    roles = frozenset(Role)
    gated = True
    soaked = True

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """The scenarios of --batch-sizes."""
        return tuple(dict.fromkeys((*asked.batch_sizes, *SCENARIOS)))

    def head(self, scenario: Scenario) -> str:
        """The heading; an exchange is a whole batch."""
        return f"{scenario.name}: seconds an exchange of {in_words(scenario)}"

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """The cell's measuring lane, and its audit lanes if it is audited."""
        payload_set = builder.payload_set(cell)
        measure = builder.one_client(cell, partial(CyclingPayloads, payload_set.payloads))
        # Twins too: the servers they are compared with have these connections, and some servers slow down with each connection.
        if not builder.audits or cell.backend.role not in (Role.SERVER, Role.TWIN):
            return CellRun(cell, payload_set, measure=measure, rerun=rerun)
        audit = partial(builder.one_client, cell, share=AUDIT_SHARE, slices=AUDIT_SLICES)
        same = audit(partial(CyclingPayloads, payload_set.payloads[:1]), Part.SAME)
        grow = builder.factory.fresh(cell.endpoint, cell.scenario.batch_size)
        fresh = audit(partial(FreshPayloads, grow), Part.FRESH) if grow is not None else None
        return CellRun(cell, payload_set, measure=measure, same=same, fresh=fresh, rerun=rerun)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """The outcomes, with the cells of each scenario compared with each other."""
        return compared(runs, ended, histogram=self.histogram)


def compared(runs: Sequence[CellRun], ended: Ended, *, histogram: bool, shared_cpus: Collection[int] = ()) -> list[Outcome]:
    """The outcomes of closed loops: figures, ratios, ranks and the gate's rows; see `records_of` for `shared_cpus`."""
    return records_of(
        runs,
        ended.factory,
        ratio_to=ended.ratio_to,
        server_cpus=ended.server_cpus,
        seed=ended.seed,
        interrupted=ended.interrupted,
        gate=ended.gate,
        histogram=histogram,
        shared_cpus=shared_cpus,
    )


EXPERIMENT = Throughput()
