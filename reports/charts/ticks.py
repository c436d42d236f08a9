"""What an axis shows: its bounds, and round values between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """What all panels share: its bounds, and its marks with their texts."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]
    logarithmic: bool = True


def log_axis(values: Sequence[float], unit: str, most: int, room: float = 1.18) -> Axis:
    """An axis around these values, with at most so many marks, and `room` times as far as the highest."""
    low, high = min(values), max(values)
    # One value, or several that are equal, need some axis too.
    low, high = (low * 0.85, high * room) if high > 1.2 * low else (low * 0.7, high * 1.4)
    return Axis(low, high, tuple((tick, f"{tick:,g}{unit}") for tick in log_ticks(low, high, most)))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between the bounds: as many as have room, from the finest ladder that keeps to it."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ladders = ([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1])
    for ladder in ladders:
        ticks = [factor * 10.0**power for power in powers for factor in ladder if low <= factor * 10.0**power <= high]
        if len(ticks) <= most:
            break
    return ticks
