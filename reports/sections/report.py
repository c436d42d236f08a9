"""The content of a report, before any markup: the Markdown, HTML and terminal renderers show the same Report."""

from collections.abc import Callable, Mapping

from bench.contract.system import Role
from reports.sections import (
    answer,
    caveats,
    footprint,
    gate,
    glossary,
    problems,
    published_2018,
    replay_2018,
    rerun,
    setup,
    soak,
    startup,
    variants,
)
from reports.sections.cells import accuracy, attached, cost, latency, request_parts, speed, steadiness
from reports.sections.load import glance, replicas, scaling, under_load
from reports.sections.section import Report, Section
from reports.store.store import StoredRun
from reports.tables.clean_text import cut, one_line
from reports.tables.facts import sets_of

SECTIONS: tuple[Callable[[StoredRun], Section], ...] = (
    answer.section,
    caveats.section,
    gate.section,
    speed.section,
    attached.section,
    under_load.section,
    scaling.section,
    replicas.section,
    latency.section,
    request_parts.section,
    steadiness.section,
    problems.section,
    accuracy.section,
    glance.section,
    variants.section,
    startup.section,
    cost.section,
    soak.section,
    footprint.section,
    published_2018.section,
    replay_2018.section,
    glossary.section,
    setup.section,
    rerun.section,
)
"""Every section in the order of the report; a new one is a line here and its file."""
_OF_ALL = frozenset({answer.section, problems.section, rerun.section})
"""Sections that also mention the backends that could not be measured here; the others get the run without them."""


def build_report(stored: StoredRun) -> Report:
    """The report of a run, complete or not."""
    run = stored.run
    return Report(
        title="Serving benchmark",
        lead=_lead(stored),
        banner=_banner(run.dataset),
        run_id=one_line(run.id),
        sets={name: sets_of(facts) for name, facts in run.backends.items()},
        sections=tuple(section(stored if section in _OF_ALL else stored.present()) for section in SECTIONS),
    )


def _lead(stored: StoredRun) -> str:
    run = stored.run
    servers = {record.backend for record in stored.records if record.role == Role.SERVER}
    cells = sum(record.role == Role.SERVER for record in stored.records)
    where = run.environment.get("cpu")
    parts = [
        f"{len(servers)} backend{'' if len(servers) == 1 else 's'} in {cells} cell{'' if cells == 1 else 's'}",
        f"engine {run.engine}",
        *([str(where)] if where else []),
        *([str(run.dataset["name"])] if run.dataset.get("name") else []),
        run.started_utc.replace("T", " ")[:16] + " UTC",
    ]
    return " · ".join(cut(part, 80) for part in parts)


def _banner(dataset: Mapping[str, object]) -> str:
    if not dataset.get("synthetic"):
        return ""
    return (
        f"Synthetic data: these images are {one_line(str(dataset.get('name', 'a stand-in')))}, not EMNIST. "
        "Speeds hold; the accuracy says nothing about EMNIST."
    )
