"""Holds values out of a JSON file against the dataclass that they are to become; knows no file."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

MOST = 2**63
_SHOWN = 60


def problem(kind: type[Any], values: object, place: str = "") -> str:
    """What keeps `values` from being a `kind`, a sentence that names the field; empty if nothing does.

    A field that is missing is no problem here where it has a default; one that `kind` does not know is.
    """
    if not isinstance(values, Mapping):
        return f"{place or kind.__name__}: expected an object, seen {_shown(values)}"
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = [str(name) for name in values if name not in fields]
    if unknown:
        return f"{place}{_shown(unknown[0])[1:-1]} is unknown; known: {', '.join(fields)}"
    hints = get_type_hints(kind)
    for name, field in fields.items():
        if name in values:
            found = _misfit(hints[name], values[name], f"{place}{name}")
        else:
            optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            found = "" if optional else f"{place}{name} is missing"
        if found:
            return found
    return ""


def _misfit(hint: Any, value: object, place: str) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        found = [_misfit(each, value, place) for each in inner]
        return "" if "" in found else found[0].replace(", seen", " or null, seen", 1)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return f"{place}: expected a list, seen {_shown(value)}"
        return next(filter(None, (_misfit(inner[0], each, f"{place}[{n}]") for n, each in enumerate(value))), "")
    if origin is not None:  # a mapping, of the kinds that are used here
        if not isinstance(value, Mapping):
            return f"{place}: expected an object, seen {_shown(value)}"
        return next(filter(None, (_misfit(inner[1], each, f"{place}.{key}") for key, each in value.items())), "")
    if dataclasses.is_dataclass(hint):
        return problem(hint, value, f"{place}.")  # type: ignore[arg-type]
    if hint is Any or _fits(hint, value):
        return ""
    expected = f"one of {', '.join(hint)}" if issubclass(hint, StrEnum) else _WORDS[hint]
    return f"{place}: expected {expected}, seen {_shown(value)}"


_WORDS = {str: "a text", int: "a whole number", float: "a finite number", bool: "true or false", type(None): "null"}


def _fits(hint: type[Any], value: object) -> bool:
    if hint in (int, float):
        number = isinstance(value, int | hint) and not isinstance(value, bool)
        return number and math.isfinite(value) and (hint is float or abs(value) < MOST)  # type: ignore[arg-type]
    if issubclass(hint, StrEnum):
        return isinstance(value, str) and value in list(hint)
    return isinstance(value, hint)


def _shown(value: object) -> str:
    text = repr(value)
    return ascii(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")[1:-1].replace("\\\\", "\\")
