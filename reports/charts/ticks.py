"""The axes of charts: bounds, and ticks at round values between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis that all panels share: its bounds, and its ticks (`marks`) with their labels."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    logarithmic: bool = True


def log_axis(values: Sequence[float], unit: str, most: int, room: float = 1.18) -> Axis:
    """A logarithmic axis around these values with about `most` ticks, which ends at `room` times the highest value."""
    low, high = min(values), max(values)
    # One value, or several that are nearly equal, need a wider axis.
    low, high = (low * 0.85, high * room) if high > 1.2 * low else (low * 0.7, high * 1.4)
    return Axis(low, high, tuple((tick, f"{tick:,g}{unit}") for tick in log_ticks(low, high, most)))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between the bounds: from the finest series that gives at most `most` of them, else from the coarsest."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ladders = ([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1])
    for ladder in ladders:
        ticks = [factor * 10.0**power for power in powers for factor in ladder if low <= factor * 10.0**power <= high]
        if len(ticks) <= most:
            break
    return ticks
