"""Which cell the ratios are to: `--ratio-to`, else the first backend of the 2018 study that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.cells import Cell
from bench.contract.errors import BadInput
from bench.contract.system import Backend, Role

STUDY = "systems-of-2018"


@dataclass(frozen=True, slots=True)
class RatioTo:
    """Picks the base among measured cells; `wanted` is a backend's or an endpoint's name, or None for the study's first."""

    wanted: str | None

    def __call__(self, measured: Sequence[Cell]) -> Cell | None:
        """The base; None if nothing fit to be one was measured."""
        if self.wanted is not None:
            return next((cell for cell in measured if self.wanted in (cell.backend.name, cell.endpoint.id)), None)
        servers = [cell for cell in measured if cell.backend.role is Role.SERVER]
        return next((cell for cell in servers if STUDY in cell.backend.sets), servers[0] if servers else None)


def checked_ratio_to(wanted: str | None, backends: Sequence[Backend]) -> RatioTo:
    """A RatioTo whose name is known; raises BadInput."""
    known = [name for backend in backends for name in (backend.name, *(endpoint.id for endpoint in backend.endpoints))]
    if wanted is not None and wanted not in known:
        raise BadInput(f"--ratio-to {wanted}: expected a selected backend or endpoint; those are {', '.join(known)}")
    return RatioTo(wanted)
