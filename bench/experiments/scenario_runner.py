"""Runs each scenario once for all selected cells: starts the backends, builds the lanes, measures, returns the results."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.agents.crew import Crew
from bench.analysis.cell_measurement import CellRun
from bench.analysis.cell_record import Outcome, blank_record, pass_outcome
from bench.analysis.cell_result import CellResult
from bench.analysis.standings import RatioTo
from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.console import MEASURING, Stopwatch
from bench.contract.interrupts import held_back
from bench.contract.records import Record, Samples, Verdict
from bench.contract.rows import GateOutcome, GateRow
from bench.contract.scenarios import Scenario
from bench.contract.system import Fleet, Role, cpus_beside_client
from bench.experiments import experiment_of
from bench.experiments.checkpoint import Cells, Checkpoints
from bench.experiments.experiment import Ended, Experiment
from bench.experiments.lane_builder import LaneBuilder, shared_settings
from bench.experiments.resume import Resume
from bench.load.scheduler import Campaign, Progress, Settings
from bench.machine.host import pinned
from bench.machine.idle_cpu import IdleWatch
from bench.machine.priority import Priority, undisturbed
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe


class Listener:
    """Is called with the results of a session's campaigns as they come; this base does nothing, subclasses override.

    Nothing is called inside a slice. Each item is reported once; only of `facts`, `gate_rows` and `underway` does the newest
    call replace those before it.
    """

    def say(self, text: str) -> None:
        """Show a line of text to the user."""

    def progress(self, name: str) -> Callable[[Progress], None]:  # noqa: ARG002 - for subclasses
        """A function that is called with the progress of the campaign `name` now and then, between two slices."""
        return _silent

    def facts(self, of_backends: Mapping[str, BackendFacts]) -> None:
        """The facts about the backends that run, by name; called when they are up, and when more is known."""

    def record(self, record: Record, samples: Samples | None) -> None:
        """A cell is finished; `samples` is None if it was not measured."""

    def disagreements(self, found: Sequence[Disagreement]) -> None:
        """The images for which a finished cell's class differs from the reference's."""

    def gate_rows(self, rows: Sequence[GateRow]) -> None:
        """The gate's rows of all cells that were measured so far."""

    def underway(self, cells: Cells) -> None:
        """The running campaign's cells so far, in case the session is killed; none at the campaign's end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a session wants measured: `cells` are all it may measure, including those that others are compared with.

    `settings` are the times of a cell with its full measuring time; `ratio_to` picks the base cell of the ratios. With `smoke`
    each cell gets one exchange and nothing is recorded; with `strict` a cell that could not be measured fails its test.
    `may_load` are the hosts other than this machine that may get more than one request at once.
    `again` returns the command that measures a cell again. `gate` is the allowed regression as a fraction; None: no gate.
    """

    cells: Sequence[Cell]
    settings: Settings
    client_cpu: int
    client_priority: Priority
    ratio_to: RatioTo
    again: Callable[[Cell], str]
    listener: Listener = field(default_factory=Listener)
    strict: bool = False
    smoke: bool = False
    gate: float | None = None
    resume: Resume = field(default_factory=Resume)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    may_load: Collection[str] = ()
    crew: Crew | None = None  # the load agents; None: this process sends


class Campaigns:
    """The session's campaigns; `result` runs a cell's scenario on first use, for all its selected cells at once."""

    def __init__(self, plan: Plan, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch | None = None) -> None:
        self._plan = plan
        self._fleet = fleet
        self._factory = factory
        self._results: dict[str, CellResult] = {}
        self._idle = idle or IdleWatch(plan.listener.say)

    def result(self, cell: Cell) -> CellResult:
        """The cell's result; measures its scenario now if that was not done."""
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
        asked, cells = list(map(self._fitted, asked)), list(map(self._fitted, cells))
        sizes = sorted({cell.scenario.batch_size for cell in asked})
        self._fleet.start([cell.server for cell in asked if not self._refusal(cell)], Probe(self._factory, sizes))
        if not self._plan.smoke:
            self._idle.look(self._fleet.running)
        self._tell_facts()
        plan, experiment = self._plan, experiment_of(scenario)
        spared = {cell.id for cell in cells if experiment.loads and cell.is_far and cell.endpoint.host not in plan.may_load}
        for cell in cells:
            refusal = self._refusal(cell)
            if refusal:
                self._book_blank(cell, Verdict.NOT_MEASURED, refusal)
            elif cell.server in self._fleet.absent:
                absence = self._fleet.absent[cell.server]
                self._book_blank(cell, Verdict.FAILED if absence.failed else Verdict.NOT_MEASURED, absence.reason)
            elif cell.id in spared:
                host = cell.endpoint.host
                why = f"{host} is not this machine, and others may need it: load on it needs --may-load {host}"
                self._book_blank(cell, Verdict.NOT_MEASURED, why)
        here = [cell for cell in cells if cell.server in self._fleet.running and cell.id not in spared]
        settings = shared_settings(plan.crew if experiment.loads else None, experiment.settings(plan.settings))
        builder = LaneBuilder(settings, self._fleet, self._factory, self._idle, plan.crew, plan.client_cpu, smoke=plan.smoke)
        runs = [experiment.run_of(cell, builder, plan.again(cell)) for cell in here if not self._refusal(cell)]
        if not runs:
            return
        with pinned(plan.client_cpu):
            if plan.smoke:
                self._smoke(runs)
            elif not experiment.timed:
                self._pass_once(experiment, scenario, runs)
            else:
                self._measure(experiment, scenario, settings, runs)

    def _tell_facts(self) -> None:
        self._plan.listener.facts(self._idle.facts_of(self._fleet.running))

    def _fitted(self, cell: Cell) -> Cell:
        """The cell with its scenario adapted to the run's model."""
        return replace(cell, scenario=experiment_of(cell.scenario).fitted(cell.scenario, self._factory))

    def _refusal(self, cell: Cell) -> str:
        return self._factory.refusal(cell.endpoint, cell.scenario.batch_size) or experiment_of(cell.scenario).refusal(cell)

    def _book_blank(self, cell: Cell, verdict: Verdict, reason: str) -> None:
        record = blank_record(cell, engine=None, verdict=verdict, reason=reason, again=self._plan.again(cell))
        self._book(cell, record, None, ())

    def _book(
        self, cell: Cell, record: Record, samples: Samples | None, duration_s: Sequence[float], gate: GateRow | None = None
    ) -> None:
        if self._plan.resume.has(cell):
            return  # a yardstick measured again: its record is taken over
        if gate is None and self._gated(cell):
            why = "the baseline has no such cell, or it could not be started"
            absent = cell.server in self._fleet.absent
            gate = GateRow(cell.id, self._plan.gate or 0.0, GateOutcome.CANNOT_TELL, record.reason if absent else why)
        self._results[cell.id] = CellResult(record, duration_s, samples, strict=self._plan.strict, gate=gate)
        if not self._plan.smoke:
            self._plan.listener.record(record, samples)

    def _gated(self, cell: Cell) -> bool:
        judged = experiment_of(cell.scenario).gated and not self._plan.smoke
        return self._plan.gate is not None and judged and cell.backend.role is Role.SERVER

    @property
    def gate_rows(self) -> list[GateRow]:
        """The gate's rows of the cells measured so far."""
        return [result.gate for result in self._results.values() if result.gate is not None]

    def _smoke(self, runs: Sequence[CellRun]) -> None:
        Campaign([run.measure for run in runs], self._plan.settings, _silent).pass_once(exchanges=1)
        self._book_all(runs, [pass_outcome(run, self._factory) for run in runs])

    def _pass_once(self, experiment: Experiment, scenario: Scenario, runs: Sequence[CellRun]) -> None:
        lanes = [run.measure for run in runs]
        random.Random(self._plan.settings.seed).shuffle(lanes)  # noqa: S311 - an order, not a secret
        with self._plan.stopwatch.phase(MEASURING):
            Campaign(lanes, self._plan.settings, self._plan.listener.progress(scenario.name)).pass_once()
        self._book_all(runs, experiment.outcomes(runs, self._ended(interrupted=False)))
        self._tell_facts()  # their disagreements are known now

    def _book_all(self, runs: Sequence[CellRun], outcomes: Sequence[Outcome]) -> None:
        for run, outcome in zip(runs, outcomes, strict=True):
            self._book(run.cell, outcome.record, outcome.samples, outcome.samples.duration_s.tolist(), outcome.gate)
            if not self._plan.resume.has(run.cell):
                self._plan.listener.disagreements(outcome.disagreements)

    def _measure(self, experiment: Experiment, scenario: Scenario, settings: Settings, runs: Sequence[CellRun]) -> None:
        listener = self._plan.listener
        name = experiment.kind if experiment.together else scenario.name
        lanes = [lane for run in runs for lane in run.lanes]
        own = [run for run in runs if not self._plan.resume.has(run.cell)]
        campaign = Campaign(lanes, settings, Checkpoints(own, listener.underway, listener.progress(name)))
        cpus = {cpu for lane in lanes for cpu in cpus_beside_client(lane.system, self._fleet)}
        priority = self._plan.client_priority.beside(self._plan.client_cpu, sorted(cpus))
        interrupted = True
        try:
            with self._plan.stopwatch.phase(MEASURING), undisturbed(self._plan.client_cpu, priority):
                campaign.run()
            interrupted = False
        finally:
            # Also on Ctrl-C: what was measured until then is kept, marked as interrupted. No cell's failure is lost.
            if not interrupted or any(lane.results.duration_s for lane in lanes):
                with held_back() as held:
                    self._book_measured(experiment, runs, interrupted)
                    self._tell_facts()  # what the paused servers used meanwhile is known now
                    listener.underway(())
                held.release()
        spent = f"{campaign.wall_s:.1f} s, {campaign.exchange_share():.0%} of it inside timed exchanges"
        listener.say(f"{name}: {campaign.rounds} rounds, {len(lanes)} lanes, {spent}")

    def _book_measured(self, experiment: Experiment, runs: Sequence[CellRun], interrupted: bool) -> None:
        resume = self._plan.resume
        outcomes, told = resume.beside(experiment.outcomes(runs, self._ended(interrupted=interrupted)))
        for record, samples in told:
            self._plan.listener.record(record, samples)
        self._book_all(runs, outcomes)
        self._plan.listener.gate_rows(self.gate_rows)

    def _ended(self, *, interrupted: bool) -> Ended:
        return Ended(
            self._factory,
            ratio_to=self._plan.resume.ratio_to(self._plan.ratio_to),
            server_cpus=len(self._fleet.server_cpus),
            client_cpus=(self._plan.client_cpu,) if self._plan.crew is None else self._plan.crew.cpus,
            seed=self._plan.settings.seed,
            interrupted=interrupted,
            gate=self._plan.gate,
        )


def _together(one: Scenario, other: Scenario) -> bool:
    """Whether both scenarios belong in one campaign."""
    return one == other or (one.kind == other.kind and experiment_of(one).together)


def _silent(progress: Progress) -> None:
    """Show no progress."""
