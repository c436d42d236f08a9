"""The relative speeds of the lanes of one campaign, with the host's drift taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.lane_measurement import LaneMeasurement
from bench.contract.tensors import FloatArray64, IntArray
from bench.load.lane_results import SliceResult
from bench.statistics import (
    Effects,
    Interval,
    Slices,
    bootstrap_effects,
    effect_halves,
    group_ratio,
    ranks,
    throughput_halves,
)

_HALVES_LEVEL = 0.99  # dozens of cells are judged: at 95 % one healthy cell in twenty would be called unstable


@dataclass(frozen=True, slots=True)
class LaneSpeeds:
    """The speeds of a campaign's lanes. All methods take lanes that were given to `of`, else raise KeyError."""

    _effects: Effects
    _halves: Sequence[Interval | None]
    _place: Mapping[int, int]  # index of the lane by its `id()`
    _lanes: Sequence[LaneMeasurement]  # keeps their `id()`s from being reused

    @classmethod
    def of(cls, lanes: Sequence[LaneMeasurement], *, seed: int) -> LaneSpeeds:
        """Fit and bootstrap the speeds of `lanes`; deterministic for a seed and an order of lanes."""
        slices = slices_of([lane.slices for lane in lanes])
        effects = bootstrap_effects(slices, len(lanes), seed=seed)
        return cls(effects, _halves_of(lanes, slices, seed), {id(lane): n for n, lane in enumerate(lanes)}, lanes)

    def ratio(
        self, lanes: Sequence[LaneMeasurement], to: Sequence[LaneMeasurement], *, between_starts: float = 0.0
    ) -> Interval | None:
        """The speed of some lanes over that of others, see `bench.statistics.group_ratio`; exactly 1 for a lane over itself."""
        if len(lanes) == len(to) == 1 and lanes[0] is to[0]:
            return Interval(1.0, 1.0, 1.0)
        return group_ratio(self._effects, self._places(lanes), self._places(to), between_starts=between_starts)

    def halves(self, lane: LaneMeasurement) -> Interval | None:
        """The speed of the lane's second half over that of its first; None if too little was measured."""
        return self._halves[self._place[id(lane)]]

    def ranks(self, lanes: Sequence[LaneMeasurement], eligible: Sequence[bool], *, between_starts: float) -> list[int | None]:
        """The rank of each of these lanes among those that are `eligible`, see `bench.statistics.ranks`."""
        everywhere = [False] * len(self._place)
        places = self._places(lanes)
        for place, fit in zip(places, eligible, strict=True):
            everywhere[place] = fit
        order = ranks(self._effects, everywhere, between_starts=between_starts)
        return [order[place] for place in places]

    def _places(self, lanes: Sequence[LaneMeasurement]) -> list[int]:
        return [self._place[id(lane)] for lane in lanes]


def slices_of(lanes: Sequence[Sequence[SliceResult]]) -> Slices:
    """The slices of all lanes as arrays, in the order in which they ran."""
    rows = sorted(
        ((index, result) for index, results in enumerate(lanes) for result in results),
        key=lambda row: (row[1].position, row[0]),
    )
    return Slices(
        cell=np.array([index for index, _ in rows], dtype=np.int64),
        position=np.array([result.position for _, result in rows], dtype=np.int64),
        round_index=np.array([result.round_index for _, result in rows], dtype=np.int64),
        log_latency=np.log(np.array([result.pace_s for _, result in rows], dtype=np.float64)),
    )


def slice_sums(slices: Sequence[SliceResult], batch_size: int) -> tuple[FloatArray64, FloatArray64, IntArray]:
    """Images, seconds and round index of each slice of one lane: three arrays [slices]."""
    return (
        np.array([result.exchanges * batch_size for result in slices], dtype=np.float64),
        np.array([result.seconds for result in slices], dtype=np.float64),
        np.array([result.round_index for result in slices], dtype=np.int64),
    )


def _halves_of(lanes: Sequence[LaneMeasurement], slices: Slices, seed: int) -> list[Interval | None]:
    """Each lane's second half over its first; a single lane cannot be compared with others, so its raw throughput is used."""
    if sum(bool(lane.slices) for lane in lanes) > 1:
        return effect_halves(slices, len(lanes), seed=seed, level=_HALVES_LEVEL)
    return [_throughput_halves(lane.slices, seed) for lane in lanes]


def _throughput_halves(slices: Sequence[SliceResult], seed: int) -> Interval | None:
    if len({result.round_index for result in slices}) < 2:
        return None
    images, seconds, rounds = slice_sums(slices, batch_size=1)
    return throughput_halves(images, seconds, rounds, seed=seed, level=_HALVES_LEVEL)
