"""The statistics against known answers, a linear programme, and simulated campaigns whose truth is known."""

import itertools
import math
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics import (
    MIN_ROUNDS,
    Effects,
    Interval,
    Slices,
    bootstrap_effects,
    effect_halves,
    fit_effects,
    group_ratio,
    latency_percentile,
    min_samples,
    outliers,
    pairwise_faster,
    ranks,
    ratios,
    supported_percentile,
    throughput,
    throughput_halves,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


# --- percentiles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percentile", "over_limit", "expected"),
    [(0.99, 0, 459), (0.99, 1, 662), (0.999, 0, 4603), (0.9, 0, 44), (0.95, 0, 90), (0.5, 0, 7)],
)
def test_min_samples_known(percentile: float, over_limit: int, expected: int) -> None:
    """MLPerf's numbers: 459 samples for p99, 662 with one over the limit, 4,603 for p99.9."""
    assert min_samples(percentile, over_limit) == expected


@given(st.sampled_from([0.5, 0.75, 0.9]), st.integers(0, 6))
def test_min_samples_is_the_least_that_certifies(percentile: float, over_limit: int) -> None:
    """With n samples so few over the limit have a chance of at most 1 %, with one sample less they have more."""

    def chance(n: int) -> float:
        return sum(comb(n, k) * (1 - percentile) ** k * percentile ** (n - k) for k in range(over_limit + 1))

    n = min_samples(percentile, over_limit)
    assert chance(n) <= 0.01 < chance(n - 1)


@pytest.mark.parametrize(("n", "from_the_top"), [(459, 1), (661, 1), (662, 2), (1000, 3)])
def test_supported_percentile_order_statistic(n: int, from_the_top: int) -> None:
    """The defensible p99 is the highest of 459 samples, the second of 662, the third of 1000; order does not matter."""
    durations = np.random.default_rng(1).permutation(np.arange(n, dtype=np.float64))
    assert supported_percentile(durations, 0.99) == n - from_the_top


@pytest.mark.parametrize(("n", "percentile"), [(458, 0.99), (4602, 0.999), (0, 0.5), (6, 0.5)])
def test_unsupported_percentile_is_none(n: int, percentile: float) -> None:
    """Where n is too small there is no number at all."""
    durations = np.ones(n)
    assert supported_percentile(durations, percentile) is None
    assert latency_percentile(durations, percentile) is None


@pytest.mark.parametrize("n", [459, 1000])
def test_supported_percentile_bounds_the_true_one(n: int) -> None:
    """In 99 of 100 runs the true p99 is not above the estimate."""
    runs = np.random.default_rng(2).exponential(size=(600, n))
    bound = [supported_percentile(run, 0.99) for run in runs]
    covered = np.mean([value is not None and value >= -np.log(0.01) for value in bound])
    assert covered >= 0.98


@given(st.integers(459, 3000), st.integers(0, 1000), st.floats(0.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_percentiles_grow(n: int, seed: int, spread: float) -> None:
    """p50 <= p90 <= p95 <= p99, and each lies within what was seen."""
    array = np.random.default_rng(seed).lognormal(sigma=spread, size=n)
    found = [latency_percentile(array, percentile) for percentile in (0.5, 0.9, 0.95, 0.99)]
    known = [value for value in found if value is not None]
    assert len(known) == 4
    assert known == sorted(known)
    assert array.min() <= known[0]
    assert known[-1] <= array.max()


def test_latency_p50_is_the_median() -> None:
    """The middle is shown as the plain median, not as a bound."""
    assert latency_percentile(np.array([1.0, 9, 2, 8, 3, 7, 4, 6]), 0.5) == 5.0


@pytest.mark.parametrize("percentile", [0.0, 1.0, 99.0])
def test_percentile_is_a_fraction(percentile: float) -> None:
    """99 instead of 0.99 is refused by name."""
    with pytest.raises(ValueError, match=r"p99 is 0\.99"):
        min_samples(percentile)


def test_min_samples_refuses_a_negative_count() -> None:
    """Fewer than no samples over the limit make no sense."""
    with pytest.raises(ValueError, match="expected 0 or more, seen -1"):
        min_samples(0.99, -1)


def test_outliers_beyond_the_outer_fence() -> None:
    """What lies above Q3 + 3 IQR is counted; slow but ordinary samples are not."""
    ordinary = np.linspace(1.0, 2.0, 101)
    assert outliers(ordinary) == 0
    assert outliers(np.concatenate([ordinary, [3.0, 5.0, 50.0]])) == 2
    assert outliers(np.array([])) == 0


# --- intervals -------------------------------------------------------------------------------------------------------


def test_interval_excludes() -> None:
    """Only an interval with ends can speak against a value."""
    assert Interval(1.1, 1.05, 1.15).excludes(1.0)
    assert not Interval(1.1, 0.95, 1.25).excludes(1.0)
    assert not Interval(1.1).excludes(1.0)


@pytest.mark.parametrize("ends", [(1.0, None), (None, 1.0), (1.2, 1.3), (0.8, 0.9)])
def test_interval_refuses_nonsense(ends: tuple[float | None, float | None]) -> None:
    """One end alone, and ends that do not hold the value, are refused."""
    with pytest.raises(ValueError, match="an interval"):
        Interval(1.0, *ends)


# --- throughput ------------------------------------------------------------------------------------------------------


def drift(rng: np.random.Generator, n: int, time: float, campaigns: int = 1) -> Floats:
    """First-order autoregressions with unit variance and this correlation time: [campaigns, n]."""
    keep = np.exp(-1 / time)
    path = rng.standard_normal((campaigns, n))
    for step in range(1, n):
        path[:, step] = keep * path[:, step - 1] + np.sqrt(1 - keep**2) * path[:, step]
    return path


def stalls(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Heavy-tailed, one-sided: what a slice's exchanges take longer, as a fraction."""
    rare = (rng.random(shape) < 0.03) * rng.exponential(1.0, size=shape)
    return np.asarray(0.03 * np.abs(rng.standard_t(2, size=shape)) + rare)


@pytest.mark.parametrize(("rounds", "time"), [(60, 0.2), (60, 3.0), (120, 10.0)])
def test_throughput_interval_covers(rounds: int, time: float) -> None:
    """Of 400 drifting, stalling campaigns the 95 % interval holds the long-run rate in 93 to 97 %."""
    rng = np.random.default_rng(12)
    log_drift = 0.1 * drift(rng, rounds, time, campaigns=400)
    speed = 1000 * np.exp(log_drift) / (1 + stalls(rng, log_drift.shape))
    truth = 1000 * np.exp(0.1**2 / 2) * np.mean(1 / (1 + stalls(rng, (1_000_000,))))
    seconds, index = np.full(rounds, 0.02), np.arange(rounds)
    found = [throughput(0.02 * campaign, seconds, index, seed=seed) for seed, campaign in enumerate(speed)]
    covered = np.mean([not interval.excludes(float(truth)) for interval in found])
    assert 0.93 <= covered <= 0.97


def test_throughput_value_is_all_images_over_all_seconds() -> None:
    """Slow slices weigh by their seconds; several slices of a round and their order change nothing."""
    images, seconds = np.array([128, 128, 256, 128] * 5), np.array([0.1, 0.2, 0.1, 0.4] * 5)
    index = np.repeat(np.arange(10), 2)
    found = throughput(images, seconds, index, seed=1)
    assert found.value == pytest.approx(640 / 0.8)
    order = np.random.default_rng(0).permutation(20)
    assert throughput(images[order], seconds[order], index[order], seed=1).low == pytest.approx(found.low)
    halved = throughput(np.repeat(images, 2) / 2, np.repeat(seconds, 2) / 2, np.repeat(index, 2), seed=1)
    assert halved.high == pytest.approx(found.high)


def test_throughput_is_deterministic() -> None:
    """The same samples and seed give the same interval."""
    seconds = np.random.default_rng(4).uniform(0.01, 0.03, 50)
    once, again = (throughput(np.full(50, 3), seconds, np.arange(50), seed=9) for _ in range(2))
    assert once == again


def test_throughput_without_enough_rounds_has_no_interval() -> None:
    """Five rounds give a number but no ends; six give ends."""
    images, seconds = np.arange(1, 7), np.linspace(0.1, 0.2, 6)
    five = throughput(images[:5], seconds[:5], np.arange(5), seed=1)
    assert (five.low, five.high) == (None, None)
    assert throughput(images, seconds, np.arange(MIN_ROUNDS), seed=1).low is not None


def test_throughput_of_a_steady_server_is_sharp() -> None:
    """Without any variation the interval is the value."""
    found = throughput(np.full(30, 7), np.full(30, 0.02), np.arange(30), seed=1)
    assert found.low == pytest.approx(350)
    assert found.high == pytest.approx(350)


def test_throughput_of_many_rounds() -> None:
    """Beyond a thousand rounds neighbours are taken together; the interval stays that of independent rounds."""
    rng = np.random.default_rng(5)
    images = 10 + rng.standard_normal(6000)
    found = throughput(images, np.full(6000, 1.0), np.arange(6000), seed=1)
    assert found.high is not None
    assert 0.7 < (found.high - found.value) / (1.96 / np.sqrt(6000)) < 1.4


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(1e-4, 1.0)), min_size=6, max_size=30))
@settings(max_examples=50, deadline=None)
def test_throughput_never_stumbles(slices: list[tuple[int, float]]) -> None:
    """Whatever was measured, there is an interval and it holds its value, without a warning."""
    images, seconds = (np.array(column) for column in zip(*slices, strict=True))
    found = throughput(images, seconds, np.arange(len(slices)), seed=1)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low <= found.value <= found.high < np.inf


@pytest.mark.parametrize(
    ("images", "seconds", "message"),
    [
        ([1, 2], [0.1], "equal lengths, seen 2, 1 and 2"),
        ([0, 3], [0.1, 0.1], "above 0"),
        ([1, 1], [0.1, 0.0], "above 0"),
        ([], [], "above 0"),
    ],
)
def test_throughput_refuses(images: list[int], seconds: list[float], message: str) -> None:
    """Arrays that do not fit together and slices without an answer are refused."""
    with pytest.raises(ValueError, match=message):
        throughput(np.array(images), np.array(seconds), np.arange(len(images)), seed=1)


def test_throughput_halves() -> None:
    """A server that loses a tenth half-way is seen; one that does not is not."""
    noise = 1 + 0.01 * np.random.default_rng(6).standard_normal(60)
    seconds, index = np.full(60, 0.02), np.arange(60)
    lost = throughput_halves(noise * np.where(index < 30, 1000, 900), seconds, index, seed=1)
    assert lost.value == pytest.approx(0.9, abs=0.01)
    assert lost.excludes(1.0)
    assert not throughput_halves(noise, seconds, index, seed=1).excludes(1.0)
    assert throughput_halves(noise[:11], seconds[:11], index[:11], seed=1).low is None
    with pytest.raises(ValueError, match="at least 2 rounds"):
        throughput_halves(noise[:1], seconds[:1], index[:1], seed=1)


# --- the additive model ----------------------------------------------------------------------------------------------


def campaign(
    seed: int, true: list[float], rounds: int, *, time: float = 3.0, noise: float = 1.0, drifts: float = 0.1
) -> Slices:
    """A shuffled campaign of cells with these log latencies, on a host whose drift lasts `time` rounds."""
    rng = np.random.default_rng(seed)
    cell = np.concatenate([rng.permutation(len(true)) for _ in range(rounds)])
    host = drifts * drift(rng, len(cell), time * len(true))[0]
    latency = np.array(true)[cell] + host + noise * np.log1p(stalls(rng, cell.shape))
    return Slices(cell, np.arange(len(cell)), np.repeat(np.arange(rounds), len(true)), latency)


def centred(true: list[float]) -> Floats:
    """Relative to their mean, as effects are."""
    return np.asarray(np.array(true) - np.mean(true))


def least_absolute_deviations(slices: Slices, cells: int, linprog: Any) -> float:
    """The least possible sum of |r| over all pairs, by linear programming."""
    rows, targets = pairs_of(slices, cells)
    n = len(targets)
    # variables: effects (free), and each residual's positive and negative part
    result = linprog(
        np.concatenate([np.zeros(cells), np.ones(2 * n)]),
        A_eq=np.hstack([rows, np.eye(n), -np.eye(n)]),
        b_eq=targets,
        bounds=[(None, None)] * cells + [(0, None)] * (2 * n),
    )
    return float(result.fun)


def pairs_of(slices: Slices, cells: int) -> tuple[Floats, Floats]:
    """The pairs as one may write them down naively: rows [pairs, cells] of -1 and 1, and differences [pairs]."""
    rows, targets = [], []
    for one in range(len(slices.cell)):
        for other in range(len(slices.cell)):
            if 0 < slices.position[other] - slices.position[one] <= 4 and slices.cell[one] != slices.cell[other]:
                row = np.zeros(cells)
                row[slices.cell[other]], row[slices.cell[one]] = 1.0, -1.0
                rows.append(row)
                targets.append(slices.log_latency[other] - slices.log_latency[one])
    return np.array(rows), np.array(targets)


@pytest.mark.parametrize("seed", range(6))
def test_fit_is_the_l1_optimum(seed: int) -> None:
    """On small random campaigns, some slices missing, the fit's sum of |r| is that of the linear programme."""
    linprog = pytest.importorskip("scipy.optimize").linprog
    whole = campaign(seed, [0.0, 0.4, -0.3, 1.0, 0.1][: 2 + seed % 4], rounds=12)
    slices = whole.part(np.random.default_rng(seed).random(len(whole.cell)) < 0.9)
    cells = 2 + seed % 4
    rows, targets = pairs_of(slices, cells)
    best = least_absolute_deviations(slices, cells, linprog)
    assert np.abs(rows @ fit_effects(slices, cells, smoothing=1e-4) - targets).sum() <= best * (1 + 1e-4)
    assert np.abs(rows @ fit_effects(slices, cells) - targets).sum() <= best * 1.02


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_fit_without_noise_is_exact(true: list[float], seed: int) -> None:
    """Without noise and drift the effects are the truth, however far apart the cells are."""
    found = fit_effects(campaign(seed, true, rounds=8, noise=0.0, drifts=0.0), len(true))
    assert found == pytest.approx(centred(true), abs=1e-6)


def test_fit_cancels_the_drift() -> None:
    """Eight equal cells on a host that drifts by a tenth: within 2 % of each other, where plain means are not."""
    slices = campaign(1, [0.0] * 8, rounds=150)
    assert np.abs(fit_effects(slices, 8)).max() < 0.01
    plain = [slices.log_latency[slices.cell == cell].mean() for cell in range(8)]
    assert np.ptp(fit_effects(slices, 8)) < np.ptp(plain)


def test_fit_knows_no_order_of_arrays() -> None:
    """Positions say the order, not the place in the arrays."""
    slices = campaign(2, [0.0, 0.2, 0.5], rounds=20)
    shuffled = slices.part(np.ones(60, dtype=np.bool_))
    order = np.random.default_rng(0).permutation(60)
    shuffled = Slices(slices.cell[order], slices.position[order], slices.round_index[order], slices.log_latency[order])
    assert fit_effects(shuffled, 3) == pytest.approx(fit_effects(slices, 3))


def test_unconnected_cells_are_unknown() -> None:
    """A cell that was never measured, and one whose slices have no neighbour of the others, are NaN; the rest is fitted."""
    slices = campaign(3, [0.0, 0.3, 0.0], rounds=30)
    alone = slices.cell == 2
    position = np.where(alone, slices.position + 10_000, slices.position)
    apart = Slices(slices.cell, position, slices.round_index, slices.log_latency)
    found = bootstrap_effects(apart, 4, seed=1)
    assert found.value[1] - found.value[0] == pytest.approx(0.3, abs=0.03)
    assert np.isnan(found.value[2:]).all()
    assert found.known.tolist() == [True, True, False, False]
    assert ratios(found, 0)[2:] == [None, None]
    assert ranks(found, [True] * 4) == [1, 2, None, None]


def test_cells_with_missing_rounds() -> None:
    """A cell that failed after ten rounds and one that is present each fourth round are compared as far as they go."""
    true = [0.0, 0.1, 0.2, 0.3]
    slices = campaign(4, true, rounds=80)
    failed = (slices.cell == 2) & (slices.round_index >= 10)
    audit = (slices.cell == 3) & (slices.round_index % 4 != 0)
    found = bootstrap_effects(slices.part(~failed & ~audit), 4, seed=1)
    speed = ratios(found, 0)
    assert found.known.all()
    for cell, ratio in enumerate(speed):
        assert ratio is not None
        assert not ratio.excludes(float(np.exp(-true[cell])))
    widths = [ratio.high / ratio.low for ratio in speed if ratio is not None and ratio.low and ratio.high]
    assert widths[1] < widths[3] < widths[2]


@pytest.mark.parametrize("rounds", [1, MIN_ROUNDS - 1])
def test_too_few_rounds_give_no_interval(rounds: int) -> None:
    """Fewer than six rounds: the ratio is there, its interval and the ranks are not."""
    found = bootstrap_effects(campaign(5, [0.0, 0.5], rounds=rounds), 2, seed=1)
    ratio = ratios(found, 0)[1]
    assert ratio is not None
    assert (ratio.low, ratio.high) == (None, None)
    assert ranks(found, [True, True]) == [None, None]
    assert not pairwise_faster(found).any()


def test_empty_and_lonely_campaigns() -> None:
    """Nothing measured, or one cell alone: nothing is known, and nothing breaks."""
    nothing = campaign(6, [0.0], rounds=1).part(np.zeros(1, dtype=np.bool_))
    assert np.isnan(bootstrap_effects(nothing, 2, seed=1).value).all()
    assert effect_halves(nothing, 2, seed=1) == [None, None]
    lonely = bootstrap_effects(campaign(6, [0.0], rounds=20), 1, seed=1)
    assert np.isnan(lonely.value).all()
    assert ranks(lonely, [True]) == [None]


def test_bootstrap_is_deterministic() -> None:
    """The same campaign and seed give the same replicates."""
    slices = campaign(7, [0.0, 0.1, 0.2], rounds=20)
    once, again = (bootstrap_effects(slices, 3, seed=3, replicates=50).replicates for _ in range(2))
    assert np.array_equal(once, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": np.array([0, 1, 2])}, "outside the campaign: expected 0 to 1, seen 0 to 2"),
        ({"position": np.array([0, 0, 1])}, "same position"),
        ({"log_latency": np.array([0.0, np.nan, 0.0])}, "finite"),
        ({"round_index": np.array([0, 0])}, "equal lengths"),
    ],
)
def test_slices_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    """What cannot be a campaign is refused with what is wrong."""
    plain: dict[str, Any] = {
        "cell": np.array([0, 1, 0]),
        "position": np.arange(3),
        "round_index": np.zeros(3, dtype=np.int64),
        "log_latency": np.zeros(3),
    }
    with pytest.raises(ValueError, match=message):
        fit_effects(Slices(**{**plain, **change}), 2)


# --- comparisons -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rounds", "time"), [(60, 2.0), (60, 10.0)])
def test_ratio_interval_covers(rounds: int, time: float) -> None:
    """The same server under three names, 100 campaigns: of the 300 intervals 93 to 97.5 % hold 1."""
    held = []
    for seed in range(100):
        slices = campaign(seed, [0.0] * 3, rounds=rounds, time=time)
        effects = bootstrap_effects(slices, 3, seed=seed, replicates=200)
        pairs = ratios(effects, 0)[1], ratios(effects, 0)[2], ratios(effects, 1)[2]
        held += [pair is not None and pair.low is not None and not pair.excludes(1.0) for pair in pairs]
    assert 0.93 <= np.mean(held) <= 0.975


def test_rare_long_slices_are_compared_fairly() -> None:
    """A paused server's slices are ten times as long and as rare: the host moves on in them, and no ratio is off for it.

    Four equal cells, 30 campaigns of 150 rounds; the drift lasts two long slices.
    """
    errors, held, judged = [], [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        order = [(n, cell) for n in range(150) for cell in rng.permutation(4) if cell or n % 10 == 0]
        starts = np.cumsum([0, *(10 if cell == 0 else 1 for _, cell in order)])
        host = 0.1 * drift(rng, int(starts[-1]), 20.0)[0]
        latency = np.array([np.median(host[start:end]) for start, end in itertools.pairwise(starts)])
        latency += np.log1p(stalls(rng, latency.shape))
        index, cells = np.array(order).T
        slices = Slices(cells, np.arange(len(order)), index, latency)
        ratio = ratios(bootstrap_effects(slices, 4, seed=seed, replicates=100), 1)[0]
        half = effect_halves(slices, 4, seed=seed, replicates=100, level=0.99)[0]
        assert ratio is not None
        assert half is not None
        errors.append(np.log(ratio.value))
        held.append(not ratio.excludes(1.0))
        judged.append(half.low is not None and half.excludes(1.0))
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors)) + 0.003
    assert np.mean(held) >= 0.9
    assert np.mean(judged) <= 0.05


def test_five_percent_slower_is_found() -> None:
    """A copy that is truly 5 % slower is found in each of 20 campaigns of 150 rounds, and its ratio is right."""
    true = [0.0, float(np.log(1.05))]
    found = [ratios(bootstrap_effects(campaign(seed, true, rounds=150), 2, seed=seed), 0)[1] for seed in range(20)]
    assert all(ratio is not None and ratio.excludes(1.0) and ratio.value < 1 for ratio in found)
    assert np.mean([ratio.value for ratio in found if ratio is not None]) == pytest.approx(1 / 1.05, rel=0.003)


def known(value: list[float], error: float) -> Effects:
    """Effects with independent normal errors."""
    noise = np.random.default_rng(8).standard_normal((400, len(value)))
    return Effects(np.array(value), np.array(value) + error * noise)


def test_ratios_are_of_speeds() -> None:
    """A cell with twice the latency has half the speed; the reference is 1 exactly."""
    found = ratios(known([0.0, float(np.log(2))], 0.001), 0)
    assert found[0] == Interval(1.0, 1.0, 1.0)
    assert found[1] is not None
    assert found[1].value == pytest.approx(0.5)


def test_between_starts_widens() -> None:
    """What two starts of the same server differ by is added as a second, independent error."""
    effects = known([0.0, 0.01], 0.001)
    alone, besides = ratios(effects, 0)[1], ratios(effects, 0, between_starts=0.02)[1]
    assert alone is not None
    assert besides is not None
    assert alone.excludes(1.0)
    assert not besides.excludes(1.0)
    assert besides.high is not None
    assert np.log(besides.high / besides.value) == pytest.approx(np.hypot(np.log(1.02), 0.00277), rel=0.01)
    assert ranks(effects, [True, True]) == [1, 2]
    assert ranks(effects, [True, True], between_starts=0.02) == [1, 1]


def test_ranks_share_ties() -> None:
    """Cells that cannot be told apart share a rank, and the next rank counts all that are faster."""
    effects = known([0.0, 0.0005, 0.3, 0.3005, 0.9], 0.01)
    assert ranks(effects, [True] * 5) == [1, 1, 3, 3, 5]


def test_ranks_count_only_the_eligible() -> None:
    """An instrument that is faster than all takes no rank away, and has none."""
    effects = known([-2.0, 0.0, 0.3], 0.01)
    assert ranks(effects, [False, True, True]) == [None, 1, 2]


def test_pairwise_faster_is_a_strict_order() -> None:
    """Nobody is faster than itself, and no two are faster than each other."""
    faster = pairwise_faster(known([0.0, 0.02, 0.3], 0.01))
    assert not (faster & faster.T).any()
    assert faster[0, 2]
    assert faster[1, 2]
    assert not faster[0, 1]


def test_a_cell_that_changes_is_named() -> None:
    """One of five cells loses a tenth half-way: its halves disagree, those of the others do not."""
    slices = campaign(9, [0.0, 0.1, 0.2, 0.3, 0.4], rounds=150)
    slower = (slices.cell == 2) & (slices.round_index >= 75)
    latency = slices.log_latency + np.where(slower, np.log(1 / 0.9), 0.0)
    changed = Slices(slices.cell, slices.position, slices.round_index, latency)
    before, after = (effect_halves(each, 5, seed=1, level=0.99) for each in (slices, changed))
    assert [half is not None and half.excludes(1.0) for half in before] == [False] * 5
    assert [half is not None and half.excludes(1.0) for half in after] == [False, False, True, False, False]
    assert after[2] is not None
    assert after[2].value == pytest.approx(0.9, abs=0.03)


def test_a_cell_without_a_second_half() -> None:
    """A cell that failed in the first half cannot disagree with itself; the others still can."""
    slices = campaign(10, [0.0, 0.1, 0.2], rounds=40)
    found = effect_halves(slices.part((slices.cell != 1) | (slices.round_index < 15)), 3, seed=1)
    assert found[1] is None
    assert found[0] is not None
    assert found[0].low is not None


def test_the_mean_of_two_starts_is_known_better_than_one() -> None:
    """Of two pairs of starts the ratio of the means; what starts differ by is halved in variance."""
    value = np.log([1.0, 1.0, 1.1, 1.2])
    effects = Effects(value, np.tile(value, (50, 1)))
    single = group_ratio(effects, [0], [2], between_starts=0.03)
    both = group_ratio(effects, [0, 1], [2, 3], between_starts=0.03)
    assert single is not None
    assert both is not None
    assert single == ratios(effects, 2, between_starts=0.03)[0]
    assert both.value == pytest.approx(math.sqrt(1.1 * 1.2))
    assert single.high is not None
    assert both.high is not None
    assert math.log(single.high / single.value) == pytest.approx(math.log(1.03))
    assert math.log(both.high / both.value) == pytest.approx(math.log(1.03) / math.sqrt(2))
    unknown = Effects(np.array([0.0, np.nan]), np.zeros((50, 2)))
    assert group_ratio(unknown, [0], [1]) is None
