"""What each backend asks of its owner: lines, dependencies, size, time to start; measured where 2018 only judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.sections.section import PAGE, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.numbers import MISSING, number, size
from reports.tables.table import text_table

NOTE = (
    "Lines are counted in the backend's folder without blanks and remarks; shared ones stand in modules that it uses with "
    "others here, and that an owner would have to write or copy. Starting is from the command to the first right answer."
)
_TITLE = "What each backend asks of its owner"
_COLUMNS = (
    Column("backend", "Backend", "Who.", numeric=False),
    Column("code", "Lines of code", "In its own folder."),
    Column("shared", "Shared lines", "Of code that it shares with other backends here."),
    Column("configuration", "Lines of configuration", "backend.toml, requirements, Dockerfile and what else is no code."),
    Column("packages", "Packages", "Installed for it, those that it asks for included."),
    Column("size", "Size", "Of its image or its environment."),
    Column("start", "Start s", "From the command to the first right answer."),
)


def section(stored: StoredRun) -> Section:
    """A row for each backend whose lines were counted, in the order of the run; nothing where none were."""
    rows = [_texts(name, facts) for name, facts in stored.run.backends.items() if "lines_of_code" in facts]
    blocks = (Text(NOTE, "intro", on=PAGE), Tabular(text_table(_TITLE, _COLUMNS, rows))) if rows else ()
    return Section("footprint", _TITLE, blocks, link="What it asks of you")


def _texts(name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    shared = facts.get("shared_lines")
    packages = facts.get("packages")
    return (
        one_line(name),
        _count(facts.get("lines_of_code")),
        _count(sum(each for each in shared.values() if isinstance(each, int))) if isinstance(shared, Mapping) else MISSING,
        _count(facts.get("lines_of_configuration")),
        _count(len(packages)) if isinstance(packages, Mapping | list) else MISSING,
        _size(facts.get("size_bytes")),
        number(facts.get("start_s")) if isinstance(facts.get("start_s"), int | float) else MISSING,
    )


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else MISSING


def _size(value: object) -> str:
    return size(value) if isinstance(value, int | float) else MISSING
