"""Does anything leak? Runs campaign after campaign over the same servers, and reads what suite and servers hold after each.

Run by `tox -e soak -- --soak 3600`, or `pytest bench/soak.py --soak 3600`. A lap measures all selected backends once like an
ordinary run (accuracy, throughput, several clients), with fresh lanes and connections; after it, the resource usage of the
suite and of each server is read. It is a pytest file because the backends are fixtures; its name keeps it out of the ordinary
collection.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from time import perf_counter

import pytest

from bench.agents.crew import Crew
from bench.contract.confusion import Disagreement
from bench.contract.console import Console
from bench.contract.records import Record, Samples
from bench.contract.resource_usage import ResourceUsage, own_resource_usage
from bench.contract.rows import SoakRow, by_holder, readings
from bench.contract.system import Fleet
from bench.experiments import experiments
from bench.experiments.scenario_runner import Campaigns, Listener, Plan
from bench.machine.idle_cpu import IdleWatch
from bench.session.options import MeasuringOptions
from bench.session.selection import again, cells_of
from bench.session.state import SESSION, Session, emit_beside, emit_record
from bench.statistics.leak_check import ALLOWED, LEAST_LAPS, growths
from bench.verification.payloads import PayloadFactory

SUITE = "servebench"


class _Lap(Listener):
    """The results of one lap, kept until its end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.records: dict[str, tuple[Record, Samples | None]] = {}
        self.differing: list[Disagreement] = []
        self._say = say

    def say(self, text: str) -> None:
        """Show the line, as for any campaign."""
        self._say(text)

    def record(self, record: Record, samples: Samples | None) -> None:
        """Keep a finished cell."""
        self.records[record.id] = (record, samples)

    def disagreements(self, found: Sequence[Disagreement]) -> None:
        """Keep a cell's disagreements."""
        self.differing.extend(found)

    def exchanges(self, backend: str | None = None) -> int:
        """The number of timed exchanges of one backend, or of all."""
        return sum(record.exchanges for record, _ in self.records.values() if backend in (None, record.backend))

    def problem(self, backend: str | None = None) -> str:
        """The first cell of one backend, or of all, that failed or answered wrongly, with its reason; empty if none did."""
        wrong = [
            record for record, _ in self.records.values() if record.verdict.fails_test and backend in (None, record.backend)
        ]
        return f"{wrong[0].id}: {wrong[0].verdict}: {wrong[0].reason}" if wrong else ""


class Soak:
    """Runs laps over a fleet until the time is over; `rows` are the readings after each, `last` is the last lap."""

    def __init__(self, plan: Plan, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch) -> None:
        self._plan = plan
        self._fleet = fleet
        self._factory = factory
        self._idle = idle
        self.rows: list[SoakRow] = []
        self.last = _Lap(plan.listener.say)

    def run(self, seconds: float, keep: Callable[[Sequence[SoakRow]], None]) -> None:
        """Run laps for `seconds`, one at least; `keep` gets all rows after each."""
        start_s = perf_counter()
        for lap in count(1):
            self.last = self._measured()
            self.rows += self._read(lap, perf_counter() - start_s)
            keep(tuple(self.rows))
            self._plan.listener.say(f"soak: lap {lap}, {perf_counter() - start_s:,.0f} of {seconds:,.0f} s; {self._words()}")
            if perf_counter() - start_s >= seconds:
                break

    def _measured(self) -> _Lap:
        lap = _Lap(self._plan.listener.say)
        plan = replace(self._plan, listener=lap)
        campaigns = Campaigns(plan, self._fleet, self._factory, self._idle)
        for cell in plan.cells:
            campaigns.result(cell)
        return lap

    def _read(self, lap: int, at_s: float) -> list[SoakRow]:
        """One row for the suite, then one for each running server whose usage is readable and not part of the suite's."""
        for system in self._fleet.running.values():
            system.usage()  # reads again, which closes the files of threads that have ended
        own = own_resource_usage()
        rows = [self._row(lap, at_s, SUITE, own, None, self._fleet.owned_count())]
        for name, system in self._fleet.running.items():
            held = system.resource_usage()
            if held is not None:
                rows.append(self._row(lap, at_s, name, held, name, None))
        return rows

    def _row(
        self, lap: int, at_s: float, holder: str, held: ResourceUsage, backend: str | None, belongings: int | None
    ) -> SoakRow:
        return SoakRow(
            lap=lap,
            at_s=at_s,
            holder=holder,
            memory_bytes=held.memory_bytes,
            files=held.files,
            processes=held.processes,
            threads=held.threads,
            belongings=belongings,
            exchanges=self.last.exchanges(backend),
            problem=self.last.problem(backend),
        )

    def _words(self) -> str:
        own = next(row for row in reversed(self.rows) if row.holder == SUITE)
        return f"the suite holds {(own.memory_bytes or 0) / 1e6:.0f} MB in {own.files} files; {own.exchanges:,} exchanges"

    def problems(self) -> list[str]:
        """What failed or was answered wrongly in which lap, and what grew."""
        problems = [f"lap {row.lap}: {row.problem}" for row in self.rows if row.problem and row.holder == SUITE]
        for holder, rows in by_holder(self.rows).items():
            problems += [
                f"{holder}: {growth.quantity} grew from {growth.early:,.0f} to {growth.late:,.0f} within "
                f"{growth.span_s:,.0f} s; expected at most {growth.allowed:,.0f} more"
                for growth in growths(*readings(rows, ALLOWED)).values()
                if not growth.is_flat
            ]
        return problems


def _plan(config: pytest.Config, crew: Crew | None) -> Plan:
    session, console = config.stash[SESSION], Console(config)
    asked = [scenario for each in experiments().values() if each.soaked for scenario in session.scenarios[each.kind]]
    return Plan(
        cells=[cell for scenario in asked for cell in cells_of(config, scenario)],
        settings=MeasuringOptions.of(config).settings,
        client_cpu=session.client_cpu,
        client_priority=MeasuringOptions.of(config).client_priority,
        ratio_to=session.ratio_to,
        again=lambda cell: again(config, cell),
        listener=_Lap(console.line),  # each lap has its own
        strict=True,
        may_load=MeasuringOptions.of(config).may_load,
        crew=crew,
    )


def test_soak(pytestconfig: pytest.Config, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch, crew: Crew | None) -> None:
    """Neither memory nor files, processes or threads grow, and every lap is measured and right."""
    session: Session = pytestconfig.stash[SESSION]
    seconds = MeasuringOptions.of(pytestconfig).soak

    def keep(rows: Sequence[SoakRow]) -> None:
        session.soak = tuple(rows)
        emit_beside(pytestconfig, fleet, factory, idle)

    soak = Soak(_plan(pytestconfig, crew), fleet, factory, idle)
    try:
        soak.run(seconds, keep)
    finally:  # also on Ctrl-C: the report shows the cells of the last lap
        session.disagreements.extend(soak.last.differing)
        for record, samples in soak.last.records.values():
            emit_record(pytestconfig, record, samples)
        keep(soak.rows)
    laps = len(by_holder(soak.rows)[SUITE])
    if laps < LEAST_LAPS:
        why = f"{laps} laps in {seconds:,.0f} s: {LEAST_LAPS} are needed to tell what grows; give --soak more"
        pytest.fail(why, pytrace=False)
    if problems := soak.problems():
        pytest.fail("\n".join(problems), pytrace=False)
