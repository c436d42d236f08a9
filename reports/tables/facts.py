"""Nested facts (environment, model, a backend's versions) as pairs of a name and a short text."""

from collections.abc import Mapping, Sequence

from bench.contract.backend_facts import BackendFacts
from reports.tables.clean_text import cut, one_line
from reports.tables.numbers import number, size

_LONGEST_LIST = 16
_LONGEST_TEXT = 400


def pairs(facts: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """`{"memory_bytes": 16e9, "packages": {"numpy": "2.4"}}` -> `("memory", "16 GB"), ("packages numpy", "2.4")`."""
    texts: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = one_line(f"{prefix} {key}")
        if isinstance(value, Mapping):
            texts.extend(pairs(value, name))
        else:
            texts.append((_label(name), _text(name, value)))
    return texts


def _label(name: str) -> str:
    return one_line(name.removesuffix("_bytes").removesuffix("_s").replace("_", " "))


def _text(name: str, value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if name.endswith("_bytes"):
            return size(value)
        shown = str(value) if isinstance(value, int) else number(value, 4)
        return f"{shown} s" if name.endswith("_s") else shown
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > _LONGEST_LIST or any(isinstance(item, Mapping | list | tuple) for item in value):
            return f"{len(value)} entries (in results.json)"
        return ", ".join(_text("", item) for item in value) or "none"
    return cut(str(value), _LONGEST_TEXT) or "none"


def sets_of(facts: BackendFacts) -> tuple[str, ...]:
    """The sets that a backend belongs to; empty if they were not recorded."""
    return tuple(map(one_line, facts.sets or ()))
