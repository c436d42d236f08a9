"""The additive model of a campaign: log latency of a slice = effect of its cell + drift of the host at that moment.

Neighbouring slices see the same host, so the difference of two is a difference of cells plus noise. One number per cell
is fitted to all those differences by least absolute deviations, so that every cell helps to cancel the drift for all
others, and stolen time is one more outlier instead of a shift of a mean. Uncertainty: the fit is repeated on bootstrap
campaigns, whose rounds are drawn in blocks.

Solved by iteratively reweighted least squares on |r| smoothed to sqrt(r^2 + s^2): each step solves one small weighted
Laplacian system (Holland and Welsch 1977), and is made 1.5 times as long: the objective still decreases, since the function
that a step minimises is quadratic and lies above the smoothed one, and only half as many steps are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.statistics.bootstrap import MIN_ROUNDS, Floats, block_counts, block_length, round_places, stretch
from bench.statistics.neighbours import Pairs, Slices, neighbours

SMOOTHING = 0.1
"""s in units of the median |r|: residuals below s count about as their squares."""

_STEP = 1.5
_MOST_STEPS = 500
_CONVERGED = 1e-9
_REPLICATE_STEPS = 12  # start at the point estimate, about one standard error away; a thousandth of that is left, at the median
_LEAST_SMOOTHING = 1e-7  # a ten-millionth of a latency: below the resolution of any clock
_BATCH_ELEMENTS = 250_000  # replicates x pairs computed at once: fits in the processor's cache


@dataclass(frozen=True, slots=True)
class Effects:
    """The effect of each cell, in log latency, and its uncertainty.

    `value` [cells] sums to 0 over the cells that can be compared; NaN for those that no chain of neighbours connects to
    the rest. `replicates` [replicates, cells] are the same of bootstrap campaigns, their deviations from `value`
    calibrated; NaN where a replicate lacks the cell, and for cells with fewer than MIN_ROUNDS rounds.
    """

    value: Floats
    replicates: Floats

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """[cells] whether a cell has an interval, and may therefore be ranked."""
        finite = np.isfinite(self.replicates).sum(axis=0)
        return np.asarray(np.isfinite(self.value) & (finite > 0) & (2 * finite >= len(self.replicates)))


def fit_effects(slices: Slices, cells: int, *, smoothing: float = SMOOTHING) -> Floats:
    """Each cell's effect: [cells] in log latency, sum 0; NaN for cells that no chain of neighbours connects to the rest.

    exp(difference of two) is the ratio of the cells' typical latencies, without the host's drift. Deterministic.
    """
    pairs = neighbours(slices, round_places(slices.round_index)[0], cells)
    effects, _ = _fit(pairs, slices, smoothing)
    return np.asarray(_centred(effects[None], _connected(pairs, np.ones((1, len(pairs.difference)))))[0])


def bootstrap_effects(slices: Slices, cells: int, *, seed: int, replicates: int = 400) -> Effects:
    """The fit, and the fits of `replicates` campaigns whose rounds are drawn in blocks (circular block bootstrap).

    A pair belongs to the round of its earlier slice. The block length is the median of the best lengths for each cell's
    scores; each cell's deviations are stretched by the calibration factor of its own series (see `bootstrap`).
    """
    place, places = round_places(slices.round_index)
    pairs = neighbours(slices, place, cells)
    everything = np.ones((1, len(pairs.difference)))
    start, smoothing = _fit(pairs, slices, SMOOTHING)
    value = _centred(start[None], _connected(pairs, everything))[0]
    unknown = Effects(value, np.full((replicates, cells), np.nan))
    rounds = [np.unique(place[slices.cell == cell]) for cell in range(cells)]
    measured = np.array([len(seen) >= MIN_ROUNDS for seen in rounds]) & np.isfinite(value)
    if not measured.any() or not len(pairs.difference):
        return unknown
    rng = np.random.default_rng(seed)
    scores = _scores(pairs, start, smoothing, places)
    usable = np.flatnonzero(measured)
    block = int(np.median([block_length(scores[rounds[cell], cell]) for cell in usable]))
    counts = block_counts(rng, places, block, replicates)
    drawn = np.concatenate([_refit(pairs, batch, start, smoothing) for batch in _batches(counts, len(pairs.difference))])
    for cell in usable:
        share = max(1, round(block * len(rounds[cell]) / places))
        drawn[:, cell] = value[cell] + stretch(scores[rounds[cell], cell], share, rng) * (drawn[:, cell] - value[cell])
    return Effects(value, np.where(measured, drawn, np.nan))


def _fit(pairs: Pairs, slices: Slices, smoothing: float) -> tuple[Floats, float]:
    """The effects [cells] fitted to all pairs, and the final s of the smoothing, which shrinks with the residuals."""
    effects = np.zeros(pairs.cells)
    for cell in np.unique(slices.cell):
        effects[cell] = np.median(slices.log_latency[slices.cell == cell])
    s = np.inf
    for _ in range(_MOST_STEPS if len(pairs.difference) else 0):
        typical = float(np.median(np.abs(_residuals(pairs, effects[None]))))
        s = max(min(s, smoothing * typical), _LEAST_SMOOTHING)
        step = _step(pairs, np.ones((1, len(pairs.difference))), effects[None], s)[0]
        effects = effects - _STEP * step
        if np.abs(step).max() < _CONVERGED:
            break
    return effects, s


def _refit(pairs: Pairs, counts: Floats, start: Floats, smoothing: float) -> Floats:
    """The effects [replicates, cells] of campaigns in which each place occurs `counts` times [replicates, places]."""
    weight = counts[:, pairs.place]
    effects = np.repeat(start[None], len(counts), axis=0)
    for _ in range(_REPLICATE_STEPS):
        effects -= _STEP * _step(pairs, weight, effects, smoothing)
    return _centred(effects, _connected(pairs, weight))


def _batches(counts: Floats, pairs: int) -> Iterator[Floats]:
    size = max(1, _BATCH_ELEMENTS // max(pairs, 1))
    return (counts[first : first + size] for first in range(0, len(counts), size))


def _residuals(pairs: Pairs, effects: Floats) -> Floats:
    """Fitted minus measured difference: [replicates, pairs]."""
    fitted = effects[:, pairs.second] - effects[:, pairs.first]
    return np.repeat(fitted, pairs.size, axis=1) - pairs.difference


def _step(pairs: Pairs, weight: Floats, effects: Floats, smoothing: float) -> Floats:
    """How far the weighted least squares solution is from `effects`: [replicates, cells], to be subtracted."""
    residual = _residuals(pairs, effects)
    pull = weight / np.sqrt(residual**2 + smoothing**2)
    laplacian = _laplacian(pairs, np.add.reduceat(pull, pairs.start, axis=1))
    slope = _divergence(pairs, np.add.reduceat(pull * residual, pairs.start, axis=1))
    return np.asarray(np.linalg.solve(_grounded(laplacian), slope[..., None])[..., 0], dtype=np.float64)


def _laplacian(pairs: Pairs, pull: Floats) -> Floats:
    """The Laplacian [replicates, cells, cells] of the graph whose edges have the weights `pull` [replicates, kinds]."""
    laplacian = np.zeros((len(pull), pairs.cells, pairs.cells))
    laplacian[:, pairs.first, pairs.second] = laplacian[:, pairs.second, pairs.first] = -pull
    diagonal = np.arange(pairs.cells)
    laplacian[:, diagonal, diagonal] = -laplacian.sum(axis=2)
    return laplacian


def _grounded(laplacian: Floats) -> Floats:
    """The Laplacian made invertible; a shift common to connected cells is left unchanged."""
    size = laplacian.shape[-1]
    trace = np.trace(laplacian, axis1=1, axis2=2)[:, None, None]
    return np.asarray(laplacian + np.eye(size) * (1e-9 * trace / size + np.finfo(np.float64).tiny))


def _divergence(pairs: Pairs, flow: Floats) -> Floats:
    """[rows, cells]: the net flow into each cell, if `flow` [rows, kinds] goes from each kind's first cell to its second."""
    ends = np.zeros((len(pairs.first), pairs.cells))
    kind = np.arange(len(pairs.first))
    ends[kind, pairs.second], ends[kind, pairs.first] = 1.0, -1.0
    return flow @ ends


def _connected(pairs: Pairs, weight: Floats) -> npt.NDArray[np.bool_]:
    """[replicates, cells]: whether a cell is in the largest set connected by chains of pairs with non-zero weight."""
    pull = np.add.reduceat(weight, pairs.start, axis=1) if len(pairs.difference) else np.zeros((len(weight), 0))
    reach = (_laplacian(pairs, pull) != 0) | np.eye(pairs.cells, dtype=np.bool_)
    for _ in range(int(np.ceil(np.log2(max(pairs.cells, 2))))):
        reach = reach.astype(np.float32) @ reach.astype(np.float32) > 0
    largest = reach.sum(axis=2).argmax(axis=1)
    together = np.take_along_axis(reach, largest[:, None, None], axis=1)[:, 0]
    return np.asarray(together & (together.sum(axis=1, keepdims=True) > 1))


def _centred(effects: Floats, connected: npt.NDArray[np.bool_]) -> Floats:
    """Effects [replicates, cells] with sum 0 over the connected cells, NaN for the others."""
    members = np.maximum(connected.sum(axis=1, keepdims=True), 1)
    mean = np.where(connected, effects, 0.0).sum(axis=1, keepdims=True) / members
    return np.where(connected, effects - mean, np.nan)


def _scores(pairs: Pairs, effects: Floats, smoothing: float, places: int) -> Floats:
    """The influence of each place on each cell's effect, up to scale: [places, cells], the fit's influence function."""
    residual = _residuals(pairs, effects[None])[0]
    pull = 1 / np.sqrt(residual**2 + smoothing**2)
    slope = np.zeros((places, pairs.cells))
    np.add.at(slope, (pairs.place, np.repeat(pairs.second, pairs.size)), pull * residual)
    np.add.at(slope, (pairs.place, np.repeat(pairs.first, pairs.size)), -pull * residual)
    laplacian = _laplacian(pairs, np.add.reduceat(pull, pairs.start)[None])
    return np.asarray(slope @ np.linalg.pinv(laplacian[0]))
