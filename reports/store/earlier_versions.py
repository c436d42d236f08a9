"""Completes cells of schema versions 1 to 3 from their scenario's name, which no other code may parse.

Since version 4 a cell has all facts of its scenario as fields: `kind`, `title`, `unit`, `rate_per_s`.
"""

import re
from collections.abc import Mapping
from typing import Any

_SINCE_4 = "title"
_UNITS = {"accuracy": "share of images"}
_KINDS = {"accuracy": "accuracy"}  # before version 3 there was nothing under load
_TITLES = (
    ("single", "Single images"),
    (r"batch(\d+)", "Batches of {}"),
    ("accuracy", "Accuracy"),
    ("c0*1", "1 client"),
    (r"c(\d+)", "{} clients"),
    (r"(poisson|constant)(\d+(?:p\d+)?)", "{} arrivals, {} % of its peak"),
    (r"(poisson|constant)-(\d+(?:p\d+)?)rps", "{} arrivals, {}/s"),
    (r"slo(\d+(?:p\d+)?)ms", "Highest rate with p99 under {} ms"),
)
_RATE = r"-(\d+(?:p\d+)?)rps$"


def as_of_today(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """A cell of any version with all fields of the current one; a cell of the current version unchanged."""
    if _SINCE_4 in cell:
        return cell
    name = cell["scenario"]
    kind = cell.get("kind") or _KINDS.get(name, "throughput")
    added = {"kind": kind, "title": title_of(name), "unit": _UNITS.get(kind, "images/s"), "rate_per_s": rate_of(name)}
    return {**cell, **added}


def title_of(name: str) -> str:
    """`poisson70` -> `Poisson arrivals, 70 % of its peak`; empty for a name that no version before 4 wrote."""
    for pattern, title in _TITLES:
        if match := re.fullmatch(pattern, name, re.ASCII):
            return title.format(*map(_part, match.groups()))
    return ""


def rate_of(name: str) -> float | None:
    """`constant-2p5rps` -> 2.5 requests/s; None if the name has no rate."""
    match = re.search(_RATE, name, re.ASCII)
    return _number(match[1]) if match else None


def _part(text: str) -> str:
    return f"{_number(text):g}" if text[0].isdigit() else text.capitalize()


def _number(text: str) -> float:
    """`2p5` -> 2.5: names contain no dots."""
    return float(text.replace("p", "."))
