"""All that a report says, in words and texts, before any markup: Markdown, HTML and terminal show the same View."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.contract.records import Record
from bench.contract.scenarios import ACCURACY
from bench.contract.system import Role
from reports.sections import answer
from reports.sections.caveats import idle_sentences, isolation_sentences
from reports.sections.confusion import MistakesSection, mistakes_section
from reports.sections.cost import cost_grid
from reports.sections.footprint import upkeep_grid
from reports.sections.gate import GateSection, gate_section
from reports.sections.problems import Trouble, troubles_of
from reports.sections.published_2018 import then_and_now
from reports.sections.replay_2018 import StudySection, study_section
from reports.sections.soak import SoakSection, soak_section
from reports.sections.startup import StartSection, start_section
from reports.sections.under_load import LoadSection, load_section
from reports.sections.variants import VariantsSection, variants_section
from reports.store.store import StoredRun
from reports.tables.clean_text import cut, one_line
from reports.tables.facts import pairs
from reports.tables.tables import Grid, Table, method_table, number, of_one_client, scenario_table, scenarios_of

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class View:
    """One report."""

    title: str
    lead: str
    banner: str
    answers: tuple[str, ...]
    by_group: tuple[str, ...]
    unranked: str
    speed: tuple[Table, ...]
    load: LoadSection
    accuracy: Table | None
    accuracy_note: str
    method: tuple[Table, ...]
    troubles: tuple[Trouble, ...]
    then_and_now: Grid
    study: StudySection
    gate: GateSection
    mistakes: MistakesSection
    variants: VariantsSection
    startup: StartSection
    soak: SoakSection
    cost: Grid
    upkeep: Grid
    sets: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]
    idle: tuple[str, ...]
    facts: tuple[tuple[str, Pairs], ...]
    backends: tuple[tuple[str, Pairs], ...]
    again: Pairs
    command: str
    run_id: str


def build_view(stored: StoredRun) -> View:
    """The report of a run, or of what there is of it."""
    run, records = stored.run, stored.records
    scenarios = scenarios_of(records)
    load = load_section(records)
    idle = idle_sentences(run.backends)
    isolation = isolation_sentences(run.backends)
    facts = (("Environment", run.environment), ("Options", run.options), ("Dataset", run.dataset), ("Model", run.model))
    return View(
        title="Serving benchmark",
        lead=_lead(stored),
        banner=_banner(run.dataset),
        answers=(*(answer.answers(records) if scenarios or not load.answers else ()), *load.answers),
        by_group=(*answer.by_protocol(records), *answer.by_runtime(records), *load.details),
        unranked=answer.unranked(records),
        speed=tuple(scenario_table(name, records) for name in scenarios if name != ACCURACY.name),
        load=load,
        accuracy=scenario_table(ACCURACY.name, records) if ACCURACY.name in scenarios else None,
        accuracy_note=_accuracy_note(records, run.dataset),
        method=(*(method_table(name, records) for name in scenarios), *load.method),
        troubles=troubles_of(records),
        # what the study measured says nothing of another model's speed
        then_and_now=Grid((), ()) if run.dataset.get("own") else then_and_now(records, run.started_utc[:4]),
        study=study_section(run.study),
        gate=gate_section(run.gate),
        mistakes=mistakes_section(run.confusion, run.disagreements, labelled=run.dataset.get("labelled") is not False),
        variants=variants_section(run.backends, records),
        startup=start_section(run.startup, run.backends),
        soak=soak_section(run.soak),
        cost=cost_grid(records),
        upkeep=upkeep_grid(run.backends),
        sets={name: tuple(map(one_line, facts.sets or ())) for name, facts in run.backends.items()},
        warnings=tuple(one_line(warning) for warning in (*stored.notes, *run.warnings, *isolation, *idle)),
        idle=idle,
        facts=tuple((name, pairs(values)) for name, values in facts if values),
        backends=tuple((one_line(name), pairs(facts.as_dict())) for name, facts in run.backends.items()),
        again=[(one_line(record.id), one_line(record.again)) for record in of_one_client(records) if record.again],
        command=one_line(run.command),
        run_id=one_line(run.id),
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


def _accuracy_note(records: Sequence[Record], dataset: Mapping[str, object]) -> str:
    shown = [r.accuracy for r in records if r.scenario == ACCURACY.name and r.role == Role.SERVER and r.accuracy is not None]
    images = dataset.get("n")
    if not shown or not isinstance(images, int) or images < 1:
        return ""
    half_width = 1.96 * math.sqrt(max(shown) * (1 - max(shown)) / images)
    return (
        f"Of {images:,} images an accuracy is known to ± {number(100 * half_width, 2)} points: it describes the model. "
        "Whether a server is right shows in the agreement, image by image."
    )
