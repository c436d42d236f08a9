"""One target under hypothesis for a while: bytes near to its seeds, and when something breaks, the smallest that does."""

import time
import traceback
from datetime import timedelta

from hypothesis import HealthCheck, Verbosity, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import near
from tests.fuzz.targets import Target

EXAMPLES = 500
ATTEMPT_S = 10.0


def fuzz(target: Target, seconds: float, first_seed: int) -> tuple[int, list[str]]:
    """Rounds of EXAMPLES, each with its own seed, until the time is over: how many inputs, and what broke."""
    tried = 0
    give_up_at = time.perf_counter() + seconds
    for number in range(first_seed, first_seed + 1_000_000):

        @seed(number)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=timedelta(seconds=ATTEMPT_S),
            verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def attempt(data: st.DataObject) -> None:
            nonlocal tried
            tried += 1
            target.attempt(data.draw(near(target.seeds)))

        try:
            attempt()
        except Exception:
            return tried, [f"hypothesis, seed {number}:\n{traceback.format_exc()}"]
        if time.perf_counter() > give_up_at:
            break
    return tried, []
