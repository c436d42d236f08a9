"""The state of one pytest session, and how it is passed to the reports."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.agents.crew import Crew
from bench.agents.ray_place import ray_facts
from bench.analysis.standings import RatioTo
from bench.contract.backend_facts import BackendFacts
from bench.contract.cluster.connection import Cluster
from bench.contract.confusion import Confusion, Disagreement
from bench.contract.options import value_of, written_options
from bench.contract.records import Record, Run, Samples
from bench.contract.rows import GateRow, SoakRow, StartRow, StudyRow
from bench.contract.scenarios import Scenario
from bench.contract.system import Backend, Fleet, Truth
from bench.contract.tensors import TensorSpec
from bench.experiments.resume import Resume
from bench.machine.environment import environment, warnings_about
from bench.machine.idle_cpu import IdleWatch
from bench.session.options import MeasuringOptions
from bench.verification.misclassified import confusion_of
from bench.verification.payloads import PayloadFactory


@dataclass(slots=True)
class Session:
    """The measuring side's state of a session, kept from its start on."""

    smoke: bool
    client_cpu: int
    run_id: str
    started_utc: str
    backends: Sequence[Backend] = ()
    interrupted: ExitStack = field(default_factory=ExitStack)  # holds signals back after the first one
    ratio_to: RatioTo = field(default_factory=lambda: RatioTo(None))
    study: tuple[StudyRow, ...] = ()
    startup: tuple[StartRow, ...] = ()
    soak: tuple[SoakRow, ...] = ()
    facts: dict[str, BackendFacts] = field(default_factory=dict)
    confusion: Confusion | None = None
    disagreements: list[Disagreement] = field(default_factory=list)
    # read once, at the start: later this process is pinned, and itself loads the machine
    machine: Mapping[str, Any] | None = None
    gate: float | None = None
    gate_rows: Sequence[GateRow] = ()
    scenarios: Mapping[str, Sequence[Scenario]] = field(default_factory=dict)  # by the experiment's kind
    resume: Resume = field(default_factory=Resume)
    crew: Crew | None = None  # the load agents, once something is measured
    null_by_agents: dict[int, float] = field(default_factory=dict)  # null's requests/s, by agents, of --agents auto
    cluster: Cluster | None = None  # the Ray cluster that they run on, if any
    others_failed: pytest.ExitCode | None = None  # the exit code if another plugin failed at the end


SESSION = pytest.StashKey[Session]()


def emit_beside(config: pytest.Config, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch) -> None:
    """Send the run to the reports, with what was measured besides the cells; no-op in a smoke run."""
    if not config.stash[SESSION].smoke:
        emit_run(config, fleet, factory, idle.facts_of(fleet.running))


def emit_run(config: pytest.Config, fleet: Fleet, factory: PayloadFactory, facts: Mapping[str, BackendFacts]) -> None:
    """Send the run to the reports; called again when more is known about the backends, with the new `facts`."""
    session = config.stash[SESSION]
    for backend in session.backends:  # also those that are unavailable
        session.facts[backend.name] = declared_facts(backend).merged(session.facts.get(backend.name, BackendFacts()))
    for name, newer in facts.items():
        session.facts[name] = session.facts.get(name, BackendFacts()).merged(newer)
    config.hook.pytest_servebench_run(config=config, run=run_of(config, fleet, factory))


def declared_facts(backend: Backend) -> BackendFacts:
    """The facts from its backend.toml."""
    return BackendFacts(
        summary=backend.summary,
        sets=tuple(sorted(backend.sets)),
        variant_of=backend.variant_of or None,
        differs=(backend.differs or None) if backend.variant_of else None,
    )


def run_of(config: pytest.Config, fleet: Fleet, factory: PayloadFactory) -> Run:
    """The run, with all that is known about it so far."""
    session, dataset, model = config.stash[SESSION], factory.dataset, factory.model
    if session.confusion is None and dataset.labels is not None and model.truth is Truth.MODEL:
        session.confusion = confusion_of(dataset, factory.scores())
    if session.machine is None:
        session.machine = environment(session.client_cpu, MeasuringOptions.of(config).client_priority, fleet.server_cpus)
    machine, crew = session.machine, session.crew
    about = [*warnings_about(machine), *(crew.warnings() if crew is not None else ())]
    warnings = session.resume.warnings(about, session.facts)
    if dataset.synthetic:
        warnings.append(f"The images are a synthetic stand-in ({dataset.source}): accuracy says nothing about EMNIST.")
    machine = {
        **machine,
        **({} if crew is None else {"agents": crew.facts()}),
        **(
            {"null_requests_per_s_by_agents": {str(key): rate for key, rate in session.null_by_agents.items()}}
            if session.null_by_agents
            else {}
        ),
        **({} if session.cluster is None else {"ray": ray_facts(session.cluster, crew)}),
    }
    return Run(
        id=session.run_id,
        started_utc=session.started_utc,
        command=shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        engine=fleet.engine,
        environment=machine,
        dataset={
            "name": dataset.name,
            "n": len(dataset),
            "sha256": dataset.sha256,
            "synthetic": dataset.synthetic,
            "labelled": dataset.labels is not None,
            "own": value_of(config, "inputs") is not None,
        },
        model={
            "name": model.name,
            "sha256": model.sha256,
            "inputs": [_described(spec) for spec in model.signature.inputs],
            "outputs": [_described(spec) for spec in model.signature.outputs],
            "classes": model.signature.classes,
            "batch": model.signature.batch,
            "tolerance": {name: each.allowed for name, each in factory.tolerances.items()},
        },
        options={**written_options(config), "slice_s": MeasuringOptions.of(config).settings.slice_s},
        backends=dict(session.facts),
        warnings=tuple(warnings),
        study=session.study,
        startup=session.startup,
        soak=session.soak,
        confusion=session.confusion,
        disagreements=tuple(session.disagreements),
        gate=tuple(session.gate_rows),
    )


def _described(spec: TensorSpec) -> dict[str, object]:
    """An input or output as in results.json: a free length, and the number of items, is -1."""
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape), "batched": spec.batched}


def emit_record(config: pytest.Config, record: Record, samples: Samples | None) -> None:
    """Send a finished cell to the reports."""
    config.hook.pytest_servebench_record(config=config, record=record, samples=samples)
