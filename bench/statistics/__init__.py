"""What numbers may be said of the samples, and how sure they are; knows no cell's name, no clock and no file.

percentiles   latencies that n supports, outliers counted
histogram     latencies as texts that are stored and drawn; import it directly
bootstrap     blocks of rounds, their length, and the calibration that makes 95 % mean 95 %
throughput    images per second with its confidence interval
neighbours    the slices of a campaign that are near enough in time to be compared
additive      log latency of a slice = effect of its cell + drift of the host
comparison    ratios, ranks with ties, changes between the halves of a campaign
magnitude     the unit in which differences of outputs are measured, and the tolerance of each type
"""

from bench.statistics.additive import Effects, bootstrap_effects, fit_effects
from bench.statistics.bootstrap import MIN_ROUNDS, Interval
from bench.statistics.comparison import BETWEEN_STARTS, effect_halves, group_ratio, pairwise_faster, ranks, ratios
from bench.statistics.magnitude import PROBABILITIES, Magnitude, differences, tolerance_of
from bench.statistics.neighbours import Slices
from bench.statistics.percentiles import latency_percentile, min_samples, outliers, supported_percentile
from bench.statistics.throughput import throughput, throughput_halves

__all__ = [
    "BETWEEN_STARTS",
    "MIN_ROUNDS",
    "PROBABILITIES",
    "Effects",
    "Interval",
    "Magnitude",
    "Slices",
    "bootstrap_effects",
    "differences",
    "effect_halves",
    "fit_effects",
    "group_ratio",
    "latency_percentile",
    "min_samples",
    "outliers",
    "pairwise_faster",
    "ranks",
    "ratios",
    "supported_percentile",
    "throughput",
    "throughput_halves",
    "tolerance_of",
]
