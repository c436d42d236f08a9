"""Divides the load among agents: clients, connections, and schedules (thinning a Poisson process gives Poisson processes)."""

import numpy as np

from bench.load.open_loop import Schedule


def divided(whole: int, parts: int) -> list[int]:
    """Divide `whole` into `parts` integers that differ by at most one, the larger ones first: 8 in 3 is 3, 3, 2."""
    least, more = divmod(whole, parts)
    return [least + (part < more) for part in range(parts)]


def thinned(plan: Schedule, parts: int, rng: np.random.Generator) -> list[Schedule]:
    """Split a schedule into `parts`: each request is drawn for one of them, independently; together they are the schedule."""
    whose = rng.integers(parts, size=len(plan.due_s))
    return [Schedule(plan.due_s[whose == part], plan.lead_in_s, plan.window_s) for part in range(parts)]
