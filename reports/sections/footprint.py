"""What each backend demands of its owner: lines, dependencies, size, time to start; measured, not judged as in 2018."""

from bench.contract.backend_facts import BackendFacts
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
    """A row for each backend whose lines were counted, in the order of the run; empty if none were."""
    rows = [_texts(name, facts) for name, facts in stored.run.backends.items() if facts.lines_of_code is not None]
    blocks = (Text(NOTE, "intro", on=PAGE), Tabular(text_table(_TITLE, _COLUMNS, rows))) if rows else ()
    return Section("footprint", _TITLE, blocks, finding="Lines, packages, size, time to start.")


def _texts(name: str, facts: BackendFacts) -> tuple[str, ...]:
    return (
        one_line(name),
        _count(facts.lines_of_code),
        _count(sum(facts.shared_lines.values()) if facts.shared_lines is not None else None),
        _count(facts.lines_of_configuration),
        _count(len(facts.versions) if facts.versions is not None else None),
        size(facts.size_bytes) if facts.size_bytes is not None else MISSING,
        number(facts.start_s) if facts.start_s is not None else MISSING,
    )


def _count(value: int | None) -> str:
    return f"{value:,}" if value is not None else MISSING
