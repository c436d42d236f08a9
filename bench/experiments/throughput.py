"""How many images a second does one client get answered, one request after the other, all servers side by side?"""

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
"""Measured beside those of --batch-sizes; one more is one more line here."""

AUDIT_SHARE = 0.15  # of a cell's measuring time, for each of the two audit lanes
AUDIT_SLICES = 12  # at least, so that slow cells are audited too


class Throughput(Experiment):
    """See the module; beside each server two lanes look for a cache: one repeated image, and images never seen before."""

    kind = "throughput"
    turn = 2
    roles = frozenset(Role)
    gated = True
    soaked = True

    def scenarios(self, asked: Asked) -> Sequence[Scenario]:
        """Those of --batch-sizes."""
        return tuple(dict.fromkeys((*asked.batch_sizes, *SCENARIOS)))

    def head(self, scenario: Scenario) -> str:
        """An exchange is a whole batch."""
        return f"{scenario.name}: seconds an exchange of {in_words(scenario)}"

    def run_of(self, cell: Cell, builder: LaneBuilder, rerun: str) -> CellRun:
        """The cell's lane, and its audits."""
        payload_set = builder.payload_set(cell)
        measure = builder.one_client(cell, partial(CyclingPayloads, payload_set.payloads))
        # A twin too: what it is compared with has these connections as well, and some servers are slower with each one more.
        if not builder.audits or cell.backend.role not in (Role.SERVER, Role.TWIN):
            return CellRun(cell, payload_set, measure=measure, rerun=rerun)
        audit = partial(builder.one_client, cell, share=AUDIT_SHARE, slices=AUDIT_SLICES)
        same = audit(partial(CyclingPayloads, payload_set.payloads[:1]), Part.SAME)
        grow = builder.factory.fresh(cell.endpoint, cell.scenario.batch_size)
        fresh = audit(partial(FreshPayloads, grow), Part.FRESH) if grow is not None else None
        return CellRun(cell, payload_set, measure=measure, same=same, fresh=fresh, rerun=rerun)

    def outcomes(self, runs: Sequence[CellRun], ended: Ended) -> list[Outcome]:
        """Each scenario's cells held against each other."""
        return compared(runs, ended, histogram=self.histogram)


def compared(runs: Sequence[CellRun], ended: Ended, *, histogram: bool, shared_cpus: Collection[int] = ()) -> list[Outcome]:
    """The outcomes of closed loops: figures, ratios, ranks, and what the gate says; see `records_of` for `shared_cpus`."""
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
