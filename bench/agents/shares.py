"""Who sends what: a schedule thinned, clients and connections divided. Parts of a Poisson process are Poisson processes."""

import numpy as np

from bench.load.open_loop import Schedule


def divided(whole: int, parts: int) -> list[int]:
    """`whole` in so many whole parts that differ by at most one, the larger ones first: 8 in 3 is 3, 3, 2."""
    least, more = divmod(whole, parts)
    return [least + (part < more) for part in range(parts)]


def thinned(plan: Schedule, parts: int, rng: np.random.Generator) -> list[Schedule]:
    """Each request of a schedule in one of so many, drawn without regard to any other; together they are the schedule."""
    whose = rng.integers(parts, size=len(plan.due_s))
    return [Schedule(plan.due_s[whose == part], plan.lead_in_s, plan.window_s) for part in range(parts)]
