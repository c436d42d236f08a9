"""Repeats the study of 2018 as it was measured, then with its flaws removed one after the other.

The study's loop ran past the end of its data and went on with empty batches; here the images wrap around. It never checked
its answers; here each is verified outside the clock. Its servers had answered requests before, as they have here (readiness
probe).
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.contract.cells import Cell
from bench.contract.console import MEASURING, Stopwatch
from bench.contract.errors import BackendFailed, ExchangeError
from bench.contract.rows import StudyRow, StudyStep
from bench.contract.scenarios import Scenario
from bench.contract.system import Fleet, SystemUnderTest
from bench.contract.tensors import IntArray
from bench.contract.wire import Answer, Codec
from bench.load.closed_loop import Slice, run_slice
from bench.load.lane import Goals, Lane, Part
from bench.load.load_patterns import OneClient
from bench.load.payload_sources import CyclingPayloads
from bench.load.scheduler import Campaign, Progress, Settings
from bench.machine.host import pinned
from bench.machine.idle_cpu import IdleWatch, awake
from bench.statistics import throughput
from bench.transports.clients_2018 import GraphPipeClient, JsonClient, client_of_2018, fits_2018
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory, PayloadSet
from bench.verification.probe import Probe

SYSTEMS = "systems-of-2018"
"""The set whose backends are replayed, each at its first endpoint with a protocol that the study used."""

PROTOCOLS = ("v1-json", "graphpipe")
TIME_SHARE, LEAST_S = 1 / 6, 0.25  # of a cell's measuring time, for each step; but at least five bootstrap blocks
_ROUND_S = 0.05  # length of a bootstrap block where there are no rounds


@dataclass(frozen=True, slots=True)
class StudyCell:
    """One system of the study in one scenario, measured with one set of flaws."""

    cell: Cell
    step: StudyStep

    @property
    def id(self) -> str:
        """`<backend>-<endpoint>-<scenario>-<step>`."""
        return f"{self.cell.id}-{self.step}"


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A row of the replay's table, and the durations behind it."""

    row: StudyRow
    duration_s: Sequence[float]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What the session wants measured, and where results go as they come."""

    cells: Sequence[StudyCell]
    settings: Settings
    client_cpu: int
    smoke: bool
    say: Callable[[str], None]
    emit: Callable[[Sequence[StudyRow]], None]
    taken: Sequence[StudyRow] = ()  # from the run that is resumed
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    @property
    def step_s(self) -> float:
        """Seconds of measuring for each step of each system."""
        return max(TIME_SHARE * self.settings.max_time_s, min(LEAST_S, self.settings.max_time_s))


class StudyReplay:
    """The session's replay of 2018; `result` measures a scenario on first use, for all its systems and steps."""

    def __init__(self, plan: StudyPlan, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch | None = None) -> None:
        self._plan = plan
        self._fleet = fleet
        self._factory = factory
        self._idle = idle or IdleWatch(plan.say)
        taken = {f"{row.backend}-{row.endpoint}-{row.scenario}-{row.step}": row for row in plan.taken}
        self._results = {study.id: StudyResult(taken[study.id], ()) for study in plan.cells if study.id in taken}
        replayed = {row.scenario for row in plan.taken}
        self._done = {study.cell.scenario for study in plan.cells if study.cell.scenario.name in replayed}

    def result(self, wanted: StudyCell) -> StudyResult | None:
        """The result of a study cell, measured now if its scenario was not yet; None if its system does not run here."""
        if wanted.cell.scenario not in self._done:
            self._done.add(wanted.cell.scenario)
            self._run(wanted.cell.scenario)
        return self._results.get(wanted.id)

    def why_absent(self, backend: str) -> str:
        """Why a system was not measured."""
        if not fits_2018(self._factory.model.signature):
            known = "the clients of 2018 know one float32 array and scores"
            return f"not offered by this model: {known}, not {self._factory.model.signature}"
        absence = self._fleet.absent.get(backend)
        return absence.reason if absence is not None else "the run that is resumed did not replay it"

    def _run(self, scenario: Scenario) -> None:
        if not fits_2018(self._factory.model.signature):
            return
        sizes = sorted({study.cell.scenario.batch_size for study in self._plan.cells})
        self._fleet.start([study.cell.backend.name for study in self._plan.cells], Probe(self._factory, sizes))
        if not self._plan.smoke:
            self._idle.look(self._fleet.running)
        chosen = [study for study in self._plan.cells if study.cell.scenario == scenario]
        chosen = [study for study in chosen if study.cell.backend.name in self._fleet.running]
        with self._plan.stopwatch.phase(MEASURING), pinned(self._plan.client_cpu), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from the stock client, which dates from 2018
            for step in StudyStep:  # step by step, in each of them one system after the other in fixed order, as in 2018
                of_step = [study for study in chosen if study.step is step]
                if step is StudyStep.INTERLEAVED and not self._plan.smoke:
                    self._interleaved(of_step)
                else:
                    for study in of_step:
                        self._alone(study)
        self._plan.emit([result.row for result in self._results.values()])
        if chosen:
            self._plan.say(f"replay of 2018, {scenario.name}: {len({study.cell.endpoint.id for study in chosen})} systems")

    def _alone(self, study: StudyCell) -> None:
        """Measure one system for its whole time in one piece, as in 2018; its answers are verified afterwards."""
        system, lane, transport = self._lane(study)
        most = 1 if self._plan.smoke else None
        seconds = self._plan.step_s
        try:
            with awake(lane.paused_server):
                transport.connect()
                if study.step is StudyStep.WARMED_UP and most is None:
                    self._keep(lane, run_slice(transport, lane.source.requests(0), slice_s=seconds / 4, warm_up_request=False))
                    lane.results.duration_s.clear()
                self._keep(
                    lane, run_slice(transport, lane.source.requests(0), slice_s=seconds, warm_up_request=False, most=most)
                )
        except ExchangeError as error:
            lane.results.errors.append(error)
        except BackendFailed as error:
            lane.retire_uncontrolled(error)
        finally:
            transport.close()
        rounds = (np.cumsum(lane.results.duration_s) / _ROUND_S).astype(np.int64)
        self._book(study, system, lane, transport, rounds)

    @staticmethod
    def _keep(lane: Lane, done: Slice) -> None:
        lane.keep_answers(done.answers)
        lane.results.duration_s.extend(done.duration_s)
        if done.error is not None:
            lane.results.errors.append(done.error)

    def _interleaved(self, studies: Sequence[StudyCell]) -> None:
        """Measure all systems side by side in short slices, the suite's own method."""
        lanes = {study.id: self._lane(study) for study in studies}
        if not lanes:
            return
        settings = Settings(max_time_s=self._plan.step_s, seed=self._plan.settings.seed)
        Campaign([lane for _, lane, _ in lanes.values()], settings, _silent).run()
        for study in studies:
            system, lane, transport = lanes[study.id]
            self._book(study, system, lane, transport, np.asarray(lane.results.round_index, dtype=np.int64))

    def _lane(self, study: StudyCell) -> tuple[SystemUnderTest, Lane, Any]:
        system = self._fleet.running[study.cell.backend.name]
        endpoint = system.endpoints[study.cell.endpoint.name]
        payload_set, model = self._payload_set_of(study), self._factory.model
        transport: Any
        if study.step in (StudyStep.AS_IN_2018, StudyStep.KEPT_CONNECTION):
            images = next(iter(self._factory.dataset.inputs.values()))
            transport = client_of_2018(endpoint, model, images, kept=study.step is StudyStep.KEPT_CONNECTION)
        else:
            transport = open_transport(system, endpoint, model)
        source = CyclingPayloads(payload_set.payloads, transport.prepare)
        goals = Goals(self._plan.step_s)
        paused_server = self._idle.paused_server(study.cell.backend.name)
        lane = Lane(Part.MEASURE, system, OneClient(transport), source, goals, paused_server=paused_server)
        return system, lane, transport

    def _payload_set_of(self, study: StudyCell) -> PayloadSet:
        return self._factory.payload_set(study.cell.endpoint, study.cell.scenario.batch_size)

    def _book(self, study: StudyCell, system: SystemUnderTest, lane: Lane, transport: object, rounds: IntArray) -> None:
        cell, payload_set = study.cell, self._payload_set_of(study)
        answers = [Answer(index, body) for index, body in lane.results.answers]
        decoder = _decoder(transport, payload_set.codec)
        checked = self._factory.verifier(decoder, payload_set.payloads, payload_set.expected).verify(answers)
        speed = None
        if lane.results.duration_s:
            images = np.full(len(lane.results.duration_s), cell.scenario.batch_size)
            speed = throughput(images, np.asarray(lane.results.duration_s), rounds, seed=self._plan.settings.seed)
        errors = f"{len(lane.results.errors)} errors, the first: {lane.results.errors[0]}" if lane.results.errors else ""
        problem = errors or lane.state.retired or checked.first_wrong
        self._results[study.id] = StudyResult(
            StudyRow(
                backend=cell.backend.name,
                endpoint=cell.endpoint.name,
                protocol=cell.endpoint.protocol,
                scenario=cell.scenario.name,
                batch_size=cell.scenario.batch_size,
                engine=system.engine,
                step=study.step,
                client=_client_name(transport),
                images_per_s=speed.value if speed and not problem else None,
                images_per_s_low=speed.low if speed and not problem else None,
                images_per_s_high=speed.high if speed and not problem else None,
                exchanges=len(lane.results.duration_s),
                agreement=checked.agreement,
                problem=problem,
            ),
            lane.results.duration_s,
        )


def replayed_cells(cells: Sequence[Cell]) -> list[StudyCell]:
    """All steps of each backend in the set of 2018, per scenario, at its first endpoint with a protocol of 2018."""
    chosen: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        if SYSTEMS in cell.backend.sets and cell.endpoint.protocol in PROTOCOLS:
            chosen.setdefault((cell.backend.name, cell.scenario.name), cell)
    return [StudyCell(cell, step) for cell in chosen.values() for step in StudyStep]


def _decoder(transport: object, default: Codec) -> Codec:
    return transport.decoder if isinstance(transport, GraphPipeClient) else default


def _client_name(transport: object) -> str:
    return transport.name if isinstance(transport, JsonClient | GraphPipeClient) else "own transport"


def _silent(progress: Progress) -> None:
    """Show no progress."""
