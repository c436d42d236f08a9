"""Percentiles of latency that the number of samples supports, and outliers, which are counted and never removed.

Source: MLPerf's early stopping (mlcommons/inference, loadgen/early_stopping.cc) with confidence 0.99 and tolerance 0.
"""

import math
from functools import lru_cache

import numpy as np

from bench.statistics.bootstrap import Floats

CONFIDENCE = 0.99


def min_samples(percentile: float, over_limit: int = 0) -> int:
    """Fewest samples that certify `percentile` (0 to 1) if `over_limit` of them are above the limit: 459 for 0.99 and 0.

    The least n with P(Binomial(n, 1 - percentile) <= over_limit) <= 1 - CONFIDENCE: if the true percentile were above
    the limit, so few would be above it in at most 1 of 100 runs. Raises ValueError for a percentile outside (0, 1), or a
    negative `over_limit`.
    """
    _check(percentile)
    if over_limit < 0:
        raise ValueError(f"over_limit counts samples: expected 0 or more, seen {over_limit}")
    low, high = over_limit, over_limit + 1
    while not _certifies(high, over_limit, percentile):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _certifies(middle, over_limit, percentile) else (middle, high)
    return high


@lru_cache(maxsize=8192)
def samples_above(n: int, percentile: float) -> int | None:
    """How many of `n` samples may lie above the limit if they are to certify `percentile`, at most; None if n is too small."""
    if n < min_samples(percentile):
        return None
    low, high = 0, n
    while high - low > 1:  # t is monotone in n
        middle = (low + high) // 2
        low, high = (middle, high) if _certifies(n, middle, percentile) else (low, middle)
    return low


def highest_percentile(n: int) -> float | None:
    """The highest percentile (0 to 1) that `n` samples can certify; None without samples."""
    if n < 1:
        return None
    return float((1 - CONFIDENCE) ** (1 / n)) * (1 - 1e-12)  # slightly less: rounding must not exceed what n certifies


def supported_percentile(durations: Floats, percentile: float) -> float | None:
    """The least measured latency, in seconds, that the true percentile does not exceed with confidence 0.99.

    `durations` [n] in seconds, any order. With t the most samples that may be above the limit (min_samples(percentile,
    t) <= n) it is the (t + 1)-th highest: of 459 samples the highest is the defensible p99, of 662 the second, of 1000
    the third (LoadGen counts the estimate itself as over the limit, and so reports the one above). None if n is too small.
    It assumes independent samples, as MLPerf does; stalls come in clusters, so the bound holds only under that assumption.
    """
    n = len(durations)
    above = samples_above(n, percentile)
    if above is None:
        return None
    return float(np.partition(durations, n - 1 - above)[n - 1 - above])


def latency_percentile(durations: Floats, percentile: float) -> float | None:
    """The percentile as tables show it, in seconds: p50 and below as the empirical quantile, tails as the supported one.

    Readers take a median for the middle of the samples, and a p99 for a promise: so the middle is the plain
    quantile (linear between neighbours, as numpy's default), the tail `supported_percentile`. None if
    n < min_samples(percentile).
    """
    if len(durations) < min_samples(percentile):
        return None
    if percentile <= 0.5:
        return float(np.quantile(durations, percentile))
    return supported_percentile(durations, percentile)


def outliers(durations: Floats) -> int:
    """How many of `durations` [n] lie above Q3 + 3 (Q3 - Q1), Tukey's outer fence; 0 for none."""
    if len(durations) == 0:
        return 0
    first, third = np.quantile(durations, [0.25, 0.75])
    return int(np.count_nonzero(durations > third + 3 * (third - first)))


def _check(percentile: float) -> None:
    if not 0 < percentile < 1:
        raise ValueError(f"a percentile is a fraction: expected 0 < percentile < 1 (p99 is 0.99), seen {percentile}")


def _certifies(n: int, over_limit: int, percentile: float) -> bool:
    """Whether P(Binomial(n, 1 - percentile) <= over_limit) <= 1 - CONFIDENCE; summed in logarithms, so n may be millions."""
    if over_limit >= n:
        return False
    k = np.arange(over_limit + 1, dtype=np.float64)
    odds = math.log1p(-percentile) - math.log(percentile)
    steps = np.log((n - k[:-1]) / (k[:-1] + 1)) + odds
    terms = n * math.log(percentile) + np.concatenate([[0.0], np.cumsum(steps)])
    top = float(terms.max())
    return top + math.log(float(np.exp(terms - top).sum())) <= math.log1p(-CONFIDENCE)
