"""The replay clock hands durations over to the last bit."""

from hypothesis import given
from hypothesis import strategies as st

from bench.session.benchmark_bridge import ReplayClock


@given(st.lists(st.floats(min_value=1e-9, max_value=1e6), min_size=1, max_size=50))
def test_differences_of_looks_are_the_durations(durations: list[float]) -> None:
    """As pytest-benchmark looks at it: before and after each call, whatever was accumulated before."""
    clock = ReplayClock()
    clock.load(durations)
    seen = []
    for _ in durations:
        start = clock.now()
        clock.advance()
        seen.append(clock.now() - start)
    assert seen == durations
