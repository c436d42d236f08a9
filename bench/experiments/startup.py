"""How long does a server take to start? The start for this run, or several fresh starts while the others are up and idle.

The fleet times the start for this run, `start_timing` each fresh one. For fresh starts, all that is done only once is done
already (image built, environment made, model exported), and the backend runs, so that its files are in the page cache: this is
the start of a further replica, not of the first one on a new machine. The backends take turns, round after round, so that a
slow minute of the machine does not hit one backend alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bench.contract.console import MEASURING, Stopwatch
from bench.contract.errors import BackendFailed, BadInput
from bench.contract.options import whole_number
from bench.contract.rows import StartRow
from bench.contract.system import Absence, Backend, Fleet
from bench.experiments.start_timing import Start
from bench.machine.host import pinned
from bench.machine.idle_cpu import IdleWatch
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe

MOST_STARTS = 100
OWN = "own"
"""Value of --starts: no fresh starts, only those of the servers for this run."""
_TRIES = 3  # of a start, if another program took its port


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What the session wants measured, and where results go as they come.

    `starts` is the number of fresh starts of each backend; None: only the start that the run needs anyway.
    """

    backends: Sequence[Backend]
    starts: int | None
    client_cpu: int
    strict: bool
    smoke: bool
    say: Callable[[str], None]
    emit: Callable[[Sequence[StartRow]], None]
    taken: Sequence[StartRow] = ()  # from the run that is resumed
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True, slots=True)
class StartResult:
    """All starts of one backend; `absence` says why there are none."""

    backend: str
    rows: Sequence[StartRow]
    absence: Absence | None = None
    strict: bool = False

    @property
    def duration_s(self) -> list[float]:
        """Seconds to the first right answer, one for each start that reached it."""
        return [row.first_answer_s for row in self.rows if row.first_answer_s is not None]

    @property
    def problem(self) -> str:
        """The first problem of any start; empty if there was none."""
        return next((row.problem for row in self.rows if row.problem), "")

    def require_measured(self) -> None:
        """End the running test if nothing can be replayed: skip if the backend is unavailable and not `strict`, else fail."""
        if self.absence is not None and not self.absence.failed and not self.strict:
            pytest.skip(f"{self.backend} was not started: {self.absence.reason}")
        if not self.duration_s:
            why = self.problem if self.absence is None else self.absence.reason
            pytest.fail(f"{self.backend} did not start: {why}", pytrace=False)

    def require_right(self) -> None:
        """Fail the running test if one of the starts had a problem."""
        if self.problem:
            pytest.fail(f"{self.backend} did not start well every time: {self.problem}", pytrace=False)

    def extra_info(self) -> dict[str, object]:
        """What pytest-benchmark's JSON holds besides the durations."""
        return {"starts": [row.as_dict() for row in self.rows]}


class StartUps:
    """The session's starts; `result` measures those of all selected backends on first use."""

    def __init__(self, plan: StartPlan, fleet: Fleet, factory: PayloadFactory, idle: IdleWatch | None = None) -> None:
        self._plan = plan
        self._fleet = fleet
        self._factory = factory
        self._idle = idle or IdleWatch(plan.say)
        self._probe = Probe(factory, (1,))
        starts = Counter(row.backend for row in plan.taken)
        self._rows = [row for row in plan.taken if starts[row.backend] >= (plan.starts or 1)]
        self._done = False

    def result(self, backend: Backend) -> StartResult:
        """The starts of a backend."""
        if not self._done:
            self._done = True
            taken = {row.backend for row in self._rows}
            self._run([each for each in self._plan.backends if each.name not in taken])
        rows = [row for row in self._rows if row.backend == backend.name]
        return StartResult(backend.name, rows, self._absence(backend), self._plan.strict)

    def _absence(self, backend: Backend) -> Absence | None:
        """Why the backend is not started: no endpoint supports the model, or it is unavailable; None if it is started."""
        refusals = [self._factory.refusal(endpoint) for endpoint in backend.endpoints]
        return Absence(refusals[0]) if all(refusals) else self._fleet.absent.get(backend.name)

    def _run(self, backends: Sequence[Backend]) -> None:
        if not backends:
            return
        names = [each.name for each in backends]
        absences = {each.name: self._absence(each) for each in backends}
        self._fleet.start([name for name in names if absences[name] is None], self._probe)
        absences = {each.name: self._absence(each) for each in backends}
        if not self._plan.smoke:
            self._idle.look(self._fleet.running)
        for name, absence in absences.items():
            if absence is not None:
                self._keep(StartRow(name, self._fleet.engine, 1, problem=absence.reason))
        left = [name for name in names if absences[name] is None]
        if self._plan.starts is None:
            for name in left:
                first_answer_s = self._fleet.running[name].facts.start_s
                self._keep(StartRow(name, self._fleet.engine, 0, first_answer_s=first_answer_s))
            return
        with self._plan.stopwatch.phase(MEASURING), pinned(self._plan.client_cpu):
            for repeat in range(1, self._plan.starts + 1):
                for name in list(left):
                    row = self._start(name, repeat)
                    self._keep(row)
                    if row.first_answer_s is None:  # each further start would cost the whole time-out again
                        left.remove(name)
                self._plan.say(f"start-up: {repeat} of {self._plan.starts} starts of {len(left)} backends")

    def _keep(self, row: StartRow) -> None:
        self._rows.append(row)
        self._plan.emit(tuple(self._rows))

    def _start(self, name: str, repeat: int) -> StartRow:
        blank = row = StartRow(name, self._fleet.engine, repeat)
        try:
            for _ in range(_TRIES):
                with self._fleet.another(name) as instance:
                    start = Start(instance, self._factory, self._probe, blank)
                    start.run(until_warm=not self._plan.smoke)
                    again = start.row.first_answer_s is None and instance.lost_its_port()
                    start.stop()
                    row = start.row
                if not again:
                    break
        except BackendFailed as error:  # the start could not even be ordered
            row = replace(blank, problem=str(error))
        return row


def starts_of(text: str | None) -> int | None:
    """`3` -> 3, `own` -> None; raises BadInput."""
    if text == OWN:
        return None
    starts = whole_number(text or "", 0, MOST_STARTS)
    if starts is None:
        raise BadInput(
            f"--starts {str(text)[:200]}: expected {OWN} (as this run needs them), or how often each backend is started beside "
            f"the running one, from 0 to {MOST_STARTS}"
        )
    return starts
