"""The slices of a campaign, and the pairs of them that are near enough in time to be compared: they see the same host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.statistics.bootstrap import Floats, Ints

REACH = 4
"""Slices at most this many positions apart are compared."""


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of all cells of a campaign, each array [slices], in any order.

    `cell` is 0 to cells - 1, `position` the place in the campaign's order (no two alike), `round_index` the round, and
    `log_latency` the natural logarithm of the slice's median seconds per exchange. Raises ValueError if they do not fit
    together.
    """

    cell: Ints
    position: Ints
    round_index: Ints
    log_latency: Floats

    def __post_init__(self) -> None:
        lengths = {len(self.cell), len(self.position), len(self.round_index), len(self.log_latency)}
        if len(lengths) != 1:
            raise ValueError(f"all arrays are one number a slice: expected equal lengths, seen {sorted(lengths)}")
        if len(np.unique(self.position)) != len(self.position):
            raise ValueError("two slices have the same position: positions count the slices of the whole campaign")
        if not np.all(np.isfinite(self.log_latency)):
            raise ValueError("log_latency must be finite: leave out slices without an answered exchange")

    def part(self, chosen: npt.NDArray[np.bool_]) -> Slices:
        """The slices that are `chosen` [slices]."""
        return Slices(self.cell[chosen], self.position[chosen], self.round_index[chosen], self.log_latency[chosen])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of neighbouring slices of different cells, sorted by kind, which is the two cells: `first` < `second` [kinds].

    The pairs of kind k are the `size[k]` ones from `start[k]` on; `difference` [pairs] is log latency of second - first;
    `place` [pairs] is the place of the earlier slice (see `round_places`).
    """

    cells: int
    first: Ints
    second: Ints
    start: Ints
    size: Ints
    difference: Floats
    place: Ints


def neighbours(slices: Slices, place: Ints, cells: int) -> Pairs:
    """All pairs of slices of different cells at most REACH positions apart; raises ValueError for a cell outside `cells`."""
    if len(slices.cell) and not (slices.cell.min() >= 0 and slices.cell.max() < cells):
        seen = f"{slices.cell.min()} to {slices.cell.max()}"
        raise ValueError(f"slices name cells outside the campaign: expected 0 to {cells - 1}, seen {seen}")
    order = np.argsort(slices.position)
    cell, position, place, latency = slices.cell[order], slices.position[order], place[order], slices.log_latency[order]
    near = []
    for apart in range(1, min(REACH, len(order) - 1) + 1):
        earlier = np.arange(len(order) - apart)
        fits = (position[apart:] - position[:-apart] <= REACH) & (cell[apart:] != cell[:-apart])
        near.append(np.stack([earlier, earlier + apart])[:, fits])
    earlier, later = np.concatenate(near, axis=1) if near else np.empty((2, 0), dtype=np.int64)
    turn = np.where(cell[earlier] < cell[later], 1.0, -1.0)
    kind = np.minimum(cell[earlier], cell[later]) * cells + np.maximum(cell[earlier], cell[later])
    by_kind = np.argsort(kind, kind="stable")
    kinds, start, size = np.unique(kind[by_kind], return_index=True, return_counts=True)
    difference = (turn * (latency[later] - latency[earlier]))[by_kind]
    return Pairs(cells, kinds // cells, kinds % cells, start, size, difference, place[earlier][by_kind])
