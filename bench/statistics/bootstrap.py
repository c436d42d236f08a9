"""The circular block bootstrap over rounds: the length of a block, and the calibration of intervals that are too narrow.

Neighbouring rounds share the state of the host, so rounds are drawn in blocks. Blocks alone are not enough: with 60
to 300 rounds and a drift that lasts 15 of them, a 95 % interval from the plain block bootstrap contains the truth in 50
to 80 % of simulated campaigns. `stretch` measures that shortfall on surrogate campaigns and returns the factor to widen by.

Sources: Politis and Romano 1992 (circular blocks); Politis and White 2004 with the correction of Patton, Politis and
White 2009 (block length); Loh 1987, Beran 1987 (calibration); Hall 1988 (symmetric intervals); Whittle 1953
(likelihood of a periodogram).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_ROUNDS = 6
"""Fewest rounds for an interval: n = 6 is the least at which even [min, max] covers the median in 95 % of cases."""

_MOST_PLACES = 1000
_SURROGATES = 600
_DRIFT_SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
_DRIFT_TIMES = 14
_SHORT_IS_LIKELIER = 0.6  # prior density of log(drift's time) falls with this power of the time: 0 covers too often


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its confidence interval; `low` and `high` are None if there are too few data. Raises ValueError."""

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"an interval has both ends or none, seen low={self.low}, high={self.high}")
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"an interval holds its value, seen {self.low} <= {self.value} <= {self.high}")

    def times(self, factor: float) -> Interval:
        """The interval of the estimate multiplied by `factor`."""
        ends = (None if end is None else factor * end for end in (self.low, self.high))
        return Interval(factor * self.value, *ends)

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside the interval; never without ends."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


def round_places(round_index: Ints) -> tuple[Ints, int]:
    """The place in time of each slice [slices], 0 to places - 1, and the number of places.

    A place is a round; with more than 1000 rounds it is a few neighbouring ones: that bounds memory and time, and 1000
    places are enough for an interval.
    """
    rounds, place = np.unique(round_index, return_inverse=True)
    together = max(1, -(-len(rounds) // _MOST_PLACES))
    return place.reshape(-1) // together, -(-len(rounds) // together)


def symmetric_interval(value: float, log_deviations: Floats, level: float, *, besides: float = 0.0) -> Interval:
    """value / f to value x f, f = exp(`level` quantile of |log deviation| [replicates]); no ends if under half are finite.

    Symmetric, because with few rounds or few replicates its coverage is more accurate than that of two percentiles (Hall 1988).
    `besides` is a second, independent source of error: its own half-width at this level, as a logarithm.
    """
    distances = np.abs(log_deviations[np.isfinite(log_deviations)])
    if distances.size == 0 or 2 * distances.size < log_deviations.size:
        return Interval(value)
    factor = float(np.exp(np.hypot(np.quantile(distances, level), besides)))
    return Interval(value, value / factor, value * factor)


def block_length(series: Floats) -> int:
    """Rounds per block for `series` [rounds], one number per round: Politis and White's automatic choice, 1 to n / 3."""
    n = len(series)
    longest = int(np.ceil(min(3 * np.sqrt(n), n / 3)))
    centred = series - series.mean()
    if n < MIN_ROUNDS or not np.any(centred):
        return 1
    covariance = np.fft.irfft(np.abs(np.fft.rfft(centred, 2 * n)) ** 2)[:n] / n
    run = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    lags = min(int(np.ceil(np.sqrt(n))) + run, n - 1)
    strong = np.abs(covariance[1 : lags + 1]) > 2 * np.sqrt(np.log10(n) / n) * covariance[0]
    lag = np.arange(1, min(2 * max(_last_lag(strong, run), 1), lags) + 1)
    flat_top = np.minimum(1, 2 * (1 - lag / len(lag)))
    weighted = 2 * flat_top * covariance[lag]
    spectrum = covariance[0] + weighted.sum()
    if spectrum <= 0:
        return longest
    return int(np.clip(np.ceil(np.cbrt(1.5 * n * ((lag * weighted).sum() / spectrum) ** 2)), 1, longest))


def _last_lag(strong: npt.NDArray[np.bool_], run: int) -> int:
    """The first lag after which `run` autocorrelations in a row are not `strong`; if there is none, the last strong lag."""
    for lag in range(len(strong) - run + 1):
        if not strong[lag : lag + run].any():
            return lag
    return int(np.flatnonzero(strong)[-1]) + 1 if strong.any() else 0


def block_counts(rng: np.random.Generator, rounds: int, block: int, replicates: int) -> Floats:
    """How often each round is drawn: [replicates, rounds], each row sums to `rounds`."""
    starts = rng.integers(rounds, size=(replicates, -(-rounds // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(replicates, -1)[:, :rounds] % rounds
    flat = drawn + rounds * np.arange(replicates)[:, None]
    return np.bincount(flat.ravel(), minlength=replicates * rounds).reshape(replicates, rounds).astype(np.float64)


def stretch(series: Floats, block: int, rng: np.random.Generator, level: float = 0.95) -> float:
    """The factor by which the block bootstrap's deviations for `series` [rounds] must be multiplied to cover at `level`.

    The series' autocorrelation (how much of its variance is drift, how long that lasts) is estimated with its uncertainty, as
    a posterior over models of drift + white noise. Surrogate series are drawn from it, each is bootstrapped in blocks of
    `block` (the variance has a closed form), and the `level` quantile of |mean| / bootstrap error is divided by that of the
    normal distribution. This also corrects for few blocks (as Student's t does).
    """
    n = len(series)
    if not np.any(series != series[0]):
        return 1.0
    time, share = _memory(series, rng)
    surrogates = _surrogates(rng, n, time, share)
    mean = surrogates.mean(axis=0)
    total = np.cumsum(np.vstack([np.zeros_like(mean), surrogates - mean, (surrogates - mean)[:block]]), axis=0)
    variance = ((total[block : block + n] - total[:n]) ** 2).mean(axis=0) / (block * n)
    needed = float(np.quantile(np.abs(mean) / np.sqrt(variance), level))
    return needed / NormalDist().inv_cdf((1 + level) / 2)


def _memory(series: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draws from the posterior of (correlation time in rounds, share of the variance that drifts), two arrays."""
    n = len(series)
    times, shares, spectra = _spectra(n)
    ordinates = spectra.shape[1]
    calm = np.clip(series, *_fences(series))
    periodogram = np.abs(np.fft.rfft(calm - calm.mean()))[1 : ordinates + 1] ** 2 / n
    scale = np.maximum((periodogram / spectra).mean(axis=1), np.finfo(np.float64).tiny)
    log_density = -ordinates * np.log(scale) - np.log(spectra).sum(axis=1) - _SHORT_IS_LIKELIER * np.log(times)
    weight = np.exp(log_density - log_density.max())
    drawn = rng.choice(len(times), size=_SURROGATES, p=weight / weight.sum())
    return times[drawn], shares[drawn]


def _fences(series: Floats) -> tuple[float, float]:
    """Three standard deviations about the median, as the middle half of the series estimates them: low, high.

    The series is clipped there: a few stalls beyond would hide the drift in the periodogram.
    """
    first, middle, third = np.quantile(series, [0.25, 0.5, 0.75])
    reach = 3 * (third - first) / 1.349
    return (float(middle - reach), float(middle + reach)) if reach > 0 else (float(series.min()), float(series.max()))


def _spectra(n: int) -> tuple[Floats, Floats, Floats]:
    """The grid of models: times [models], shares [models], and each one's expected periodogram [models, (n - 1) // 2].

    Drift is a first-order autoregression with a correlation time of 0.3 to n rounds; the expectation is exact for n rounds.
    """
    lag = np.arange(n)
    times = np.geomspace(0.3, n, _DRIFT_TIMES)
    drift = 2 * np.fft.rfft((1 - lag / n) * np.exp(-lag / times[:, None]), axis=1).real - 1
    drift = drift[:, 1 : (n - 1) // 2 + 1]
    share = np.array(_DRIFT_SHARES)
    spectra = share[None, :, None] * drift[:, None, :] + (1 - share)[None, :, None]
    grid = np.meshgrid(times, share, indexing="ij")
    return grid[0].ravel(), grid[1].ravel(), spectra.reshape(-1, drift.shape[1])


def _surrogates(rng: np.random.Generator, n: int, time: Floats, share: Floats) -> Floats:
    """One series of drift and noise for each (time, share): [n, series], unit variance, mean 0."""
    shape = (n, len(time))
    keep = np.exp(-1 / time).astype(np.float32)
    drift = rng.standard_normal(shape, dtype=np.float32)
    drift[1:] *= np.sqrt(1 - keep**2)
    for row in range(1, n):
        drift[row] += keep * drift[row - 1]
    noise = rng.standard_normal(shape, dtype=np.float32)
    return np.asarray(np.sqrt(share) * drift + np.sqrt(1 - share) * noise, dtype=np.float64)
