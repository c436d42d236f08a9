"""Compares each cell with the others of its scenario: its ratio to the base cell, its rank, and the leader's lead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.cell_measurement import CellMeasurement
from bench.analysis.cell_record import Speed, Standing
from bench.analysis.lane_speeds import LaneSpeeds
from bench.analysis.verdicts import Evidence
from bench.contract.cells import Cell
from bench.contract.errors import BadInput
from bench.contract.records import Verdict
from bench.contract.system import Backend, Role
from bench.statistics import BETWEEN_STARTS

STUDY = "systems-of-2018"


@dataclass(frozen=True, slots=True)
class RatioTo:
    """Picks the base cell of the ratios; `wanted` is the name of a backend or the id of an endpoint.

    If it is None, the base is the first server of the 2018 study, or the first server if there is none of them.
    """

    wanted: str | None

    def __call__(self, measured: Sequence[Cell]) -> Cell | None:
        """The base among the `measured` cells; None if none of them qualifies."""
        if self.wanted is not None:
            return next((cell for cell in measured if self.wanted in (cell.backend.name, cell.endpoint.id)), None)
        servers = [cell for cell in measured if cell.backend.role is Role.SERVER]
        return next((cell for cell in servers if STUDY in cell.backend.sets), servers[0] if servers else None)


def checked_ratio_to(wanted: str | None, backends: Sequence[Backend]) -> RatioTo:
    """A RatioTo whose `wanted` is a selected backend or endpoint, or None; raises BadInput."""
    names = [name for backend in backends for name in (backend.name, *(endpoint.id for endpoint in backend.endpoints))]
    if wanted is not None and wanted not in names:
        raise BadInput(f"--ratio-to {wanted}: expected a selected backend or endpoint; those are {', '.join(names)}")
    return RatioTo(wanted)


@dataclass(frozen=True, slots=True)
class JudgedCell:
    """One cell with its verdict, before it is compared with the others; `speed` is None if nothing was timed."""

    measurement: CellMeasurement
    evidence: Evidence
    verdict: Verdict
    reason: str
    speed: Speed | None

    @property
    def may_be_ranked(self) -> bool:
        """Whether it is a server, with a verdict that allows a rank."""
        return self.measurement.cell.backend.role is Role.SERVER and self.verdict.ranked


def standings(
    cells: Sequence[JudgedCell], speeds: LaneSpeeds, ratio_to: Callable[[Sequence[Cell]], Cell | None]
) -> list[Standing]:
    """The standing of each cell, in the same order; all `cells` are of one scenario."""
    timed = [each.measurement for each in cells if each.measurement.measure.slices]
    base_cell = ratio_to([measurement.cell for measurement in timed])
    base = next((measurement for measurement in timed if measurement.cell is base_cell), None)
    order = speeds.ranks(
        [each.measurement.measure for each in cells],
        [each.may_be_ranked for each in cells],
        between_starts=BETWEEN_STARTS,
    )
    ranked = [(rank, -(_images_per_s(cells[n])), n) for n, rank in enumerate(order) if rank is not None]
    leader = cells[min(ranked)[2]].measurement if ranked else None
    return [
        _standing(each.measurement, speeds, base, rank, leader if rank is not None else None)
        for each, rank in zip(cells, order, strict=True)
    ]


def _images_per_s(cell: JudgedCell) -> float:
    return cell.speed.images_per_s if cell.speed is not None else 0.0


def _standing(
    measurement: CellMeasurement,
    speeds: LaneSpeeds,
    base: CellMeasurement | None,
    rank: int | None,
    leader: CellMeasurement | None,
) -> Standing:
    measure = measurement.measure
    ratio = leader_ratio = None
    if base is not None and measure.slices:
        ratio = speeds.ratio([measure], [base.measure], between_starts=BETWEEN_STARTS)
    if leader is not None and leader is not measurement:
        leader_ratio = speeds.ratio([leader.measure], [measure], between_starts=BETWEEN_STARTS)
    return Standing(
        ratio=ratio,
        ratio_to=base.cell.endpoint.id if base is not None and ratio is not None else None,
        rank=rank,
        leader=leader.cell.id if leader is not None and leader_ratio is not None else None,
        leader_ratio=leader_ratio,
    )
