"""Comparisons of cells by their effects: ratios with intervals, which is faster, ranks with ties, changes between halves."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.statistics.additive import Effects, bootstrap_effects
from bench.statistics.bootstrap import Floats, Interval, symmetric_interval
from bench.statistics.neighbours import Slices

Flags = npt.NDArray[np.bool_]

BETWEEN_STARTS = 0.02
"""Allowance for differences between starts of one server, which were up to 1 % and last as long as the processes."""


def ratios(effects: Effects, to: int, *, level: float = 0.95, between_starts: float = 0.0) -> list[Interval | None]:
    """Each cell's speed over that of the cell `to`, one per cell: exp(effect of `to` - effect of the cell).

    Exactly 1 for `to` itself; without ends for a cell with too few rounds; None for one that cannot be compared.
    The interval is about the processes that were measured, and is often narrower than the difference between two starts of
    the same server (memory layout: one percent was seen, as long as the processes lived). `between_starts` adds that: the
    fraction by which two starts differ at most at this level, 0.02 for 2 %; it is combined as independent.
    """
    return [
        Interval(1.0, 1.0, 1.0)
        if cell == to
        else group_ratio(effects, [cell], [to], level=level, between_starts=between_starts)
        for cell in range(len(effects.value))
    ]


def group_ratio(
    effects: Effects, cells: Sequence[int], to: Sequence[int], *, level: float = 0.95, between_starts: float = 0.0
) -> Interval | None:
    """The speed of `cells` over that of `to`, each several starts of one server: the ratio of geometric means.

    The mean of n starts differs from that of m others by sqrt((1/n + 1/m) / 2) times the difference of two single starts.
    None if a start cannot be compared; see `ratios`.
    """
    difference = float(np.mean(effects.value[list(to)]) - np.mean(effects.value[list(cells)]))
    if not np.isfinite(difference):
        return None
    replicates = effects.replicates[:, list(to)].mean(axis=1) - effects.replicates[:, list(cells)].mean(axis=1)
    besides = float(np.log1p(between_starts) * np.sqrt((1 / len(cells) + 1 / len(to)) / 2))
    return symmetric_interval(float(np.exp(difference)), replicates - difference, level, besides=besides)


def pairwise_faster(effects: Effects, *, level: float = 0.95, between_starts: float = 0.0) -> Flags:
    """[cells, cells]: whether the row's cell is significantly faster than the column's: their ratio's interval excludes 1."""
    cells = len(effects.value)
    faster = np.zeros((cells, cells), dtype=np.bool_)
    for one in range(cells):
        for other in range(one + 1, cells):
            ratio = group_ratio(effects, [one], [other], level=level, between_starts=between_starts)
            if ratio is not None and ratio.excludes(1.0):
                faster[one, other], faster[other, one] = ratio.value > 1, ratio.value < 1
    return faster


def ranks(effects: Effects, eligible: Sequence[bool], *, level: float = 0.95, between_starts: float = 0.0) -> list[int | None]:
    """1 + the number of eligible cells that are significantly faster; ties share a rank. None if not eligible or unknown.

    "Not significantly different" is no equivalence: of three cells the middle one may not differ from either of the others,
    which still differ from each other. Each rank can be read alone: so many cells are known to be faster.
    """
    ranked = np.asarray(eligible, dtype=np.bool_) & effects.known
    faster = pairwise_faster(effects, level=level, between_starts=between_starts)[ranked].sum(axis=0)
    return [1 + int(count) if seen else None for count, seen in zip(faster, ranked, strict=True)]


def effect_halves(
    slices: Slices, cells: int, *, seed: int, replicates: int = 400, level: float = 0.95
) -> list[Interval | None]:
    """Each cell's speed in the second half of the rounds over that in the first, relative to the median of all cells.

    The drift that all share cancels: 0.9 says that this cell lost a tenth while the others did not. With two cells
    it is unknown which of them changed, and half of the change is assigned to each. None for a cell that is not in both
    halves, and for a campaign of one cell (see `throughput_halves`). Of twenty stable cells, one is outside at 95 % by
    chance: use a higher level if many are judged.
    """
    middle = np.median(np.unique(slices.round_index)) if len(slices.round_index) else 0.0
    halves = slices.round_index < middle, slices.round_index >= middle
    before, after = (
        bootstrap_effects(slices.part(half), cells, seed=seed + n, replicates=replicates) for n, half in enumerate(halves)
    )
    change = before.value - after.value
    if not np.isfinite(change).any():
        return [None] * cells
    shared = before.known & after.known
    value = change - np.median(change[shared if shared.any() else np.isfinite(change)])
    moved = before.replicates - after.replicates
    deviation = moved - _row_median(moved[:, shared]) - value
    return [
        symmetric_interval(float(np.exp(value[cell])), deviation[:, cell], level) if np.isfinite(value[cell]) else None
        for cell in range(cells)
    ]


def _row_median(rows: Floats) -> Floats:
    """The median of the finite numbers of each row [rows, 1]; NaN for a row without any."""
    with_any = np.isfinite(rows).any(axis=1)
    medians = np.full((len(rows), 1), np.nan)
    medians[with_any, 0] = np.nanmedian(rows[with_any], axis=1)
    return medians
