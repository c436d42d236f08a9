"""Latencies as texts: what comes back, what other tools read and merge, and what a curve may show."""

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics import latency_percentile, min_samples
from bench.statistics.bootstrap import Floats
from bench.statistics.histogram import decode, encode_latencies, percentile_curve
from bench.statistics.percentiles import highest_percentile

SLACK_S = 0.5e-6  # values are whole microseconds


def some_latencies(n: int, seed: int = 1) -> Floats:
    """From 0.1 ms to some seconds, a long tail."""
    return 1e-3 * np.random.default_rng(seed).lognormal(0.0, 1.2, n)


@given(st.lists(st.floats(1e-6, 120.0), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_every_duration_comes_back_within_a_tenth_of_a_percent(durations: list[float]) -> None:
    """Or within half a microsecond, and never shorter than that."""
    latencies = decode(encode_latencies(np.array(durations)))
    assert latencies.n == len(durations)
    found = np.repeat(latencies.upper_s, latencies.counts)
    for seen, expected in zip(found, sorted(durations), strict=True):
        assert expected - 1.01 * SLACK_S <= seen <= expected * 1.001 + 1.01 * SLACK_S


def test_text_is_what_other_tools_read() -> None:
    """Microseconds, base64 of the V2 format."""
    text = encode_latencies(np.array([0.001, 0.0025, 0.0025]))
    read = HdrHistogram.decode(text)
    assert read.get_total_count() == 3
    assert read.get_value_at_percentile(100) in range(2500, 2503)
    assert text.startswith("HIST")


def test_what_the_library_merges_is_the_same_as_encoding_all() -> None:
    """Byte for byte."""
    parts = [some_latencies(n, seed=n) for n in (1, 500, 20)]
    merged = HdrHistogram.decode(encode_latencies(parts[0]))
    for part in parts[1:]:
        merged.decode_and_add(encode_latencies(part))
    assert merged.encode().decode() == encode_latencies(np.concatenate(parts))


def test_what_is_out_of_range_counts_at_its_ends() -> None:
    """Nothing is dropped."""
    durations = np.array([0.0, 1e-7, 0.002, 120.0, 121.0, 4000.0])
    latencies = decode(encode_latencies(durations))
    assert latencies.n == 6
    assert latencies.counts.tolist() == [2, 1, 3]
    assert latencies.upper_s[0] == 1e-6
    assert latencies.upper_s[-1] == pytest.approx(120.0, rel=1e-3)


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(wrong: float) -> None:
    """A negative latency is a mistake of the clock's reader, and an endless one was not measured."""
    with pytest.raises(ValueError, match="a latency is a finite number"):
        encode_latencies(np.array([0.1, wrong]))


def damaged() -> list[str]:
    """No base64, other base64, a text that ends early, one that was altered."""
    text = encode_latencies(some_latencies(50))
    return ["", "x", "é", "aGVsbG8=", "aGVsbG8gd29ybGQsIGhlbGxvIHdvcmxk", text[:-12], text.replace("H", "I", 1)]


@pytest.mark.parametrize("text", damaged())
def test_damaged_text_is_a_value_error(text: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ValueError, match="expected an HdrHistogram"):
        decode(text)


@pytest.mark.parametrize("n", [1, 7, 459, 662, 4603, 20_000])
def test_percentiles_are_those_of_the_tables(n: int) -> None:
    """None where n is too small; a p99 is the one that n supports, within the resolution."""
    durations = some_latencies(n)
    latencies = decode(encode_latencies(durations))
    for percentile in (0.9, 0.95, 0.99, 0.999):
        expected = latency_percentile(durations, percentile)
        found = latencies.percentile_s(percentile)
        assert found == (expected if expected is None else pytest.approx(expected, rel=1.1e-3, abs=1e-6))
    if n > 100:
        assert latencies.percentile_s(0.5) == pytest.approx(latency_percentile(durations, 0.5), rel=0.05)


@pytest.mark.parametrize("n", [1, 6, 7, 300, 459, 4603, 100_000])
def test_a_curve_ends_where_n_ends(n: int) -> None:
    """From the median to the highest percentile that n supports, rising all the way."""
    percentiles, seconds = percentile_curve(encode_latencies(some_latencies(n)))
    highest = highest_percentile(n)
    assert highest is not None
    if highest < 0.5:
        assert len(percentiles) == len(seconds) == 0
        return
    assert percentiles[0] == 0.5
    assert percentiles[-1] == highest
    assert min_samples(highest) <= n < min_samples(min(highest + (1 - highest) / 50, 1 - 1e-12))
    assert np.all(np.diff(percentiles) > 0)
    assert np.all(np.diff(seconds) >= 0)
    assert seconds[-1] == pytest.approx(some_latencies(n).max(), rel=1.1e-3, abs=1e-6)


def test_no_duration_has_no_curve() -> None:
    """Nor a highest percentile."""
    assert [len(part) for part in percentile_curve(encode_latencies(np.empty(0)))] == [0, 0]
    assert highest_percentile(0) is None
