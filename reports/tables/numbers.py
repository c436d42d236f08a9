"""Formats numbers: the only place that converts units and rounds, so that all reports show the same."""

import math

MISSING = "–"


def number(value: float | None, digits: int = 3, half_width: float | None = None) -> str:
    """`digits` significant digits, all of the integer part; up to two more if the interval's half width supports them."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    decimals = digits - 1 - exponent
    if half_width:
        decimals = max(decimals, min(decimals + 2, math.ceil(-math.log10(half_width / 2))))
    return f"{value:,.{max(0, decimals)}f}"


def milliseconds(seconds: float | None) -> str:
    """The duration of an exchange, in ms."""
    return number(None if seconds is None else seconds * 1e3)


def seconds(value: float | None) -> str:
    """A time that a person waits, in s: three significant digits, but none below a millisecond."""
    return number(value) if value is None or value >= 0.1 else f"{value:.3f}"


def kilobytes(size_bytes: int | None) -> str:
    """The size of a body, in kB (1000 bytes)."""
    return number(None if size_bytes is None else size_bytes / 1e3)


def percent(share: float | None) -> str:
    """A share in per cent with two decimals; only a share of 1 shows as 100 %."""
    if share is None:
        return MISSING
    shown = round(100 * share, 2)
    return f"{min(shown, 99.99) if share < 1 else shown:.2f} %"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """`1,234 ± 1.2 %`: the larger side of the interval, relative."""
    if value is None or low is None or high is None or value <= 0:
        return number(value)
    half_width = max(high - value, value - low, 0.0)
    return f"{number(value, half_width=half_width)} ± {number(100 * half_width / value, digits=2)} %"


def ratio(value: float | None, low: float | None, high: float | None) -> str:
    """`0.71 [0.69, 0.73]`."""
    if value is None:
        return MISSING
    decimals = _ratio_decimals(value, low, high)
    text = f"{value:.{decimals}f}"
    return text if low is None or high is None else f"{text} [{low:.{decimals}f}, {high:.{decimals}f}]"


def times(value: float, low: float | None = None, high: float | None = None) -> str:
    """`1.40 times (1.35 to 1.45)`; without an interval it is `about 1.40 times`."""
    decimals = _ratio_decimals(value, low, high)
    if low is None or high is None:
        return f"about {value:.{decimals}f} times"
    return f"{value:.{decimals}f} times ({low:.{decimals}f} to {high:.{decimals}f})"


def _ratio_decimals(*values: float | None) -> int:
    """Decimals for three significant digits of the smallest, 1 to 4; more if a value other than 1 would look like 1."""
    numbers = [value for value in values if value is not None]
    smallest = min(abs(value) for value in numbers)
    decimals = min(4, max(1, 2 - math.floor(math.log10(smallest)))) if smallest else 2
    while decimals < 4 and any(value != 1 and f"{value:.{decimals}f}" == f"{1:.{decimals}f}" for value in numbers):
        decimals += 1
    return decimals


def size(size_bytes: float) -> str:
    """`16.5 GB`: in the unit that keeps the number short; powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{number(size_bytes)} {unit}"
        size_bytes /= 1000
    return f"{number(size_bytes)} GB"
