"""Runs each scenario once for all selected cells: starts the backends, builds the lanes, measures, hands out results."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome, blank_record, pass_outcome
from bench.analysis.compared_cells import records_of
from bench.analysis.open_loop_cells import outcome_on_schedule
from bench.analysis.standings import RatioTo
from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.gate_rows import GateOutcome, GateRow
from bench.contract.interrupts import held_back
from bench.contract.records import Record, Samples, Verdict
from bench.contract.scenarios import ACCURACY, Kind, Scenario
from bench.contract.system import Dataset, Fleet, Model, Role
from bench.experiments.cell_result import CellResult
from bench.experiments.checkpoint import Cells, Checkpoints
from bench.experiments.lane_builder import UNDER_LOAD, LaneMaker, settings_of
from bench.experiments.resume import Resume
from bench.load.scheduler import Campaign, Progress, Settings
from bench.machine.host import pinned
from bench.machine.idle_cpu import IdleWatch
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe


@dataclass(frozen=True, slots=True)
class Plan:
    """What the session asked for, and where results go as they come."""

    cells: Sequence[Cell]
    settings: Settings
    client_cpu: int
    ratio_to: RatioTo
    strict: bool
    smoke: bool
    again: Callable[[Cell], str]
    progress: Callable[[str], Callable[[Progress], None]]
    say: Callable[[str], None]
    emit_run: Callable[[Mapping[str, BackendFacts]], None]
    emit: Callable[[Record, Samples | None], None]
    emit_disagreements: Callable[[Sequence[Disagreement]], None]
    emit_gate: Callable[[Sequence[GateRow]], None]
    emit_underway: Callable[[Cells], None] = lambda _: None
    gate: float | None = None  # the regression that is allowed
    resume: Resume = field(default_factory=Resume)


class Campaigns:
    """The session's campaigns; `result` runs a cell's scenario on first use, for all its selected cells at once."""

    def __init__(self, plan: Plan, fleet: Fleet, dataset: Dataset, model: Model, idle: IdleWatch | None = None) -> None:
        self._plan = plan
        self._fleet = fleet
        self._factory = PayloadFactory(dataset, model.predictor)
        self._results: dict[str, CellResult] = {}
        self._idle = idle or IdleWatch(plan.say)

    def result(self, cell: Cell) -> CellResult:
        """The cell's result, measured now if its scenario was not yet."""
        if cell.id not in self._results:
            self._run(cell.scenario)
            for each in {each.scenario for each in self._plan.cells if _together(each.scenario, cell.scenario)}:
                self._results.update(self._plan.resume.results(each))
        return self._results[cell.id]

    def _run(self, scenario: Scenario) -> None:
        asked = self._plan.resume.to_measure(self._plan.cells)
        cells = [cell for cell in asked if _together(cell.scenario, scenario)]
        if not cells:
            return
        sizes = sorted({cell.scenario.batch_size for cell in asked})
        self._fleet.start([cell.backend.name for cell in asked], Probe(self._factory, sizes))
        if not self._plan.smoke:
            self._idle.look(self._fleet.running)
        self._emit_run()
        for cell in cells:
            if cell.backend.name in self._fleet.absent:
                self._book_absent(cell)
        present = [cell for cell in cells if cell.backend.name in self._fleet.running]
        settings = settings_of(scenario.kind, self._plan.settings)
        maker = LaneMaker(settings, self._fleet, self._factory, self._idle, audits=not self._plan.smoke)
        runs = [maker.run_of(cell, self._plan.again(cell)) for cell in present]
        if not runs:
            return
        with pinned(self._plan.client_cpu):
            if self._plan.smoke:
                self._smoke(runs)
            elif scenario == ACCURACY:
                self._accuracy(runs)
            else:
                self._measure(scenario, settings, runs)

    def _emit_run(self) -> None:
        self._plan.emit_run(self._idle.facts_of(self._fleet.running))

    def _book_absent(self, cell: Cell) -> None:
        absence = self._fleet.absent[cell.backend.name]
        verdict = Verdict.FAILED if absence.failed else Verdict.NOT_MEASURED
        again = self._plan.again(cell)
        record = blank_record(cell, engine=None, verdict=verdict, reason=absence.reason, again=again)
        self._book(cell, record, None, ())

    def _book(
        self, cell: Cell, record: Record, samples: Samples | None, duration_s: Sequence[float], gate: GateRow | None = None
    ) -> None:
        if self._plan.resume.has(cell):
            return  # a yardstick: its record stands already
        if gate is None and self._gated(cell):
            why = "the baseline has no such cell, or it could not be started"
            absent = cell.backend.name in self._fleet.absent
            gate = GateRow(cell.id, self._plan.gate or 0.0, GateOutcome.CANNOT_TELL, record.reason if absent else why)
        self._results[cell.id] = CellResult(record, duration_s, samples, strict=self._plan.strict, gate=gate)
        if not self._plan.smoke:
            self._plan.emit(record, samples)

    def _gated(self, cell: Cell) -> bool:
        timed = cell.scenario.kind is Kind.THROUGHPUT and not self._plan.smoke
        return self._plan.gate is not None and timed and cell.backend.role is Role.SERVER

    @property
    def gate_rows(self) -> list[GateRow]:
        """What the gate says of the cells measured so far."""
        return [result.gate for result in self._results.values() if result.gate is not None]

    def _smoke(self, runs: Sequence[CellRun]) -> None:
        Campaign([run.measure for run in runs], self._plan.settings, _silent).pass_once(exchanges=1)
        for run in runs:
            self._book_pass(run)

    def _accuracy(self, runs: Sequence[CellRun]) -> None:
        lanes = [run.measure for run in runs]
        random.Random(self._plan.settings.seed).shuffle(lanes)  # noqa: S311 - an order, not a secret
        Campaign(lanes, self._plan.settings, self._plan.progress(ACCURACY.name)).pass_once()
        for run in runs:
            self._book_pass(run)
        self._emit_run()  # where they disagreed is known now

    def _book_pass(self, run: CellRun) -> None:
        outcome = pass_outcome(run, self._factory)
        self._book(run.cell, outcome.record, outcome.samples, outcome.samples.duration_s.tolist())
        self._plan.emit_disagreements(outcome.disagreements)

    def _measure(self, scenario: Scenario, settings: Settings, runs: Sequence[CellRun]) -> None:
        name = scenario.kind if scenario.kind in UNDER_LOAD else scenario.name
        lanes = [lane for run in runs for lane in run.lanes]
        own = [run for run in runs if not self._plan.resume.has(run.cell)]
        campaign = Campaign(lanes, settings, Checkpoints(own, self._plan.emit_underway, self._plan.progress(name)))
        interrupted = True
        try:
            campaign.run()
            interrupted = False
        finally:
            # Also on Ctrl-C: what was measured until then is kept, and says that it was cut short. Nobody's failure is lost.
            if not interrupted or any(lane.results.duration_s for lane in lanes):
                with held_back() as held:
                    self._book_measured(runs, interrupted)
                    self._emit_run()  # what the paused ones used meanwhile is known now
                    self._plan.emit_underway(())
                held.release()
        self._plan.say(
            f"{name}: {campaign.rounds} rounds, {len(lanes)} lanes, {campaign.wall_s:.1f} s, "
            f"{campaign.exchange_share():.0%} of it inside timed exchanges"
        )

    def _book_measured(self, runs: Sequence[CellRun], interrupted: bool) -> None:
        outcomes, told = self._plan.resume.beside(self._outcomes(runs, interrupted))
        for record, samples in told:
            self._plan.emit(record, samples)
        for run, outcome in zip(runs, outcomes, strict=True):
            self._book(run.cell, outcome.record, outcome.samples, outcome.samples.duration_s.tolist(), outcome.gate)
            if not self._plan.resume.has(run.cell):
                self._plan.emit_disagreements(outcome.disagreements)
        self._plan.emit_gate(self.gate_rows)

    def _outcomes(self, runs: Sequence[CellRun], interrupted: bool) -> list[Outcome]:
        cpus = len(self._fleet.server_cpus)
        if runs[0].cell.scenario.kind in (Kind.OPEN_LOOP, Kind.SLO):
            return [
                outcome_on_schedule(run, self._factory, interrupted=interrupted and not run.measure.state.finished)
                for run in runs
            ]
        return records_of(
            runs,
            self._factory,
            ratio_to=self._plan.resume.ratio_to(self._plan.ratio_to),
            server_cpus=cpus,
            seed=self._plan.settings.seed,
            interrupted=interrupted,
            gate=self._plan.gate,
        )


def _together(one: Scenario, other: Scenario) -> bool:
    """Whether both belong into one campaign."""
    return one == other or (one.kind is other.kind and one.kind in UNDER_LOAD)


def _silent(progress: Progress) -> None:
    """A campaign without a line to show."""
