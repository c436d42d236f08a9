"""What a reader should know of containers that are not shut in, or that are reached another way than usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records import NETWORK, WAY_OUT
from reports.text import cut, listed, one_line

_LONGEST_WHY = 300


def isolation_sentences(backends: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """From the facts of a run's backends; none where all containers were shut in and reached on their own network."""
    open_to: dict[str, list[str]] = {}
    for name, facts in backends.items():
        if isinstance(facts.get(WAY_OUT), str):
            open_to.setdefault(cut(one_line(facts[WAY_OUT]), _LONGEST_WHY), []).append(one_line(name))
    sentences = [f"Not shut in, for it could reach {where}: {listed(names)}." for where, names in open_to.items()]
    published = [one_line(name) for name, facts in backends.items() if facts.get(NETWORK) == "published"]
    if published:
        sentences.append(
            "Reached over ports that the engine publishes, for its networks are not on this machine: "
            f"{listed(published)}. A proxy of the engine may stand between, and its time is in theirs."
        )
    return tuple(sentences)
