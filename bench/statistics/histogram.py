"""Latencies as HdrHistograms: texts that can be stored and read back without keeping every duration.

A text is in HdrHistogram's V2 format (base64 of compressed counts), so that its tools in any language can read and merge it.
Values are whole microseconds from 1 us to 120 s with three significant digits: a latency is read back within 0.1 %, or within
half a microsecond if that is more (below 0.5 ms). Durations outside the range count at its ends.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException
from hdrh.histogram import HdrHistogram

from bench.statistics.bootstrap import Floats, Ints
from bench.statistics.percentiles import highest_percentile, samples_above

LOWEST_US, HIGHEST_US, DIGITS = 1, 120_000_000, 3

_PER_DECADE = 24  # points of a curve from p50 to p95, from p90 to p99, ...
_DAMAGED = (HdrCookieException, HdrHistogramSettingsException, HdrLengthException, zlib.error, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Latencies:
    """The content of a text: `counts` [k] durations of about `upper_s` [k] seconds each, in ascending order.

    `upper_s` is the upper end of a bucket, as in HdrHistogram's own percentiles: a latency is never shown better than measured.
    """

    upper_s: Floats
    counts: Ints

    @property
    def n(self) -> int:
        """The number of durations in all."""
        return int(self.counts.sum())

    def percentile_s(self, percentile: float) -> float | None:
        """The percentile (0 to 1) as tables show it (see `latency_percentile`), in seconds; None if n is too small."""
        above = samples_above(self.n, percentile)
        if above is None:
            return None
        place = self.n - 1 - above if percentile > 0.5 else round(percentile * (self.n - 1))
        return float(self.upper_s[np.searchsorted(np.cumsum(self.counts), place, side="right")])


def encode_latencies(durations_s: Floats) -> str:
    """The text of `durations_s` [n] in seconds, any order. Raises ValueError for one that is negative, NaN or infinite."""
    microseconds = _microseconds(durations_s)
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for value, count in zip(*np.unique(np.clip(microseconds, LOWEST_US, HIGHEST_US), return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    return str(histogram.encode().decode("ascii"))


def decode(text: str) -> Latencies:
    """Read a text of `encode_latencies` or of any HdrHistogram in microseconds; raises ValueError for anything else."""
    histogram = _decoded(text)
    counts = np.ctypeslib.as_array(histogram.counts).astype(np.int64)
    places = np.flatnonzero(counts)
    upper_us = [histogram.get_highest_equivalent_value(histogram.get_value_from_index(int(place))) for place in places]
    return Latencies(np.array(upper_us, dtype=np.float64) / 1e6, counts[places])


def percentile_curve(text: str) -> tuple[Floats, Floats]:
    """Percentiles from the median up to the highest one that n supports, and the latency at each in seconds.

    The points are equally dense from each nine to the next (90 %, 99 %, ...). Both arrays are empty if n supports no percentile
    from the median up. Raises ValueError for a text that is no histogram.
    """
    latencies = decode(text)
    highest = highest_percentile(latencies.n)
    if highest is None or highest < 0.5:
        return np.empty(0), np.empty(0)
    first, last = -np.log10(0.5), -np.log10(1 - highest)
    nines = np.linspace(first, last, max(2, int(_PER_DECADE * (last - first)) + 1))
    # The ends are given, not computed: rounding must not lead to a percentile beyond what n supports.
    percentiles = np.array([0.5, *(1 - 10.0 ** -nines[1:-1]), highest])
    return percentiles, np.array([latencies.percentile_s(float(percentile)) for percentile in percentiles], dtype=np.float64)


def _microseconds(durations_s: Floats) -> Ints:
    durations_s = np.asarray(durations_s, dtype=np.float64)
    if not np.all(np.isfinite(durations_s) & (durations_s >= 0)):
        wrong = durations_s[~(np.isfinite(durations_s) & (durations_s >= 0))][0]
        raise ValueError(f"a latency is a finite number of seconds, 0 or more; seen {wrong}")
    return np.rint(np.minimum(durations_s * 1e6, 2.0 * HIGHEST_US)).astype(np.int64)


def _decoded(text: str) -> HdrHistogram:
    try:
        return HdrHistogram.decode(text)
    except _DAMAGED as error:
        raise ValueError(f"expected an HdrHistogram (V2, compressed, base64), seen {text[:24]!r}: {error}") from None
