"""Resumes an earlier run: whether its results may be taken over, what is missing, and what holds for both runs together.

Cells of different campaigns were not measured side by side, so no rank is claimed between them. A ratio holds all the same,
as its base is measured again beside the missing cells, and so are the ceilings and the reference they are compared with.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis.cell_record import Outcome
from bench.analysis.cell_result import CellResult
from bench.analysis.verdicts import INTERRUPTED
from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.errors import BadInput
from bench.contract.records import EarlierRun, Record, Run, Samples
from bench.contract.rows import StartRow, StudyRow
from bench.contract.scenarios import Scenario
from bench.contract.system import Role
from bench.experiments import experiment_of
from bench.machine.run_differences import difference, differences

_INSTALLED = ("image", "image_digest", "versions", "hashes")
_EARLIER = "Of an earlier run: "

RatioTo = Callable[[Sequence[Cell]], Cell | None]


@dataclass(frozen=True, slots=True)
class _Kept:
    record: Record
    samples: Samples


class Resume:
    """What is taken over from an earlier run; nothing if none is given. Call `check` first: it may not be resumable here."""

    def __init__(self, earlier: EarlierRun | None = None) -> None:
        self._earlier = earlier
        self._kept = _kept(earlier) if earlier is not None else {}
        self._scenarios: list[str] = []  # one sentence on each scenario that two campaigns share

    @property
    def is_empty(self) -> bool:
        """Whether no earlier run is resumed."""
        return self._earlier is None

    def check_kind(self, *, smoke: bool, gated: bool) -> None:
        """Raise BadInput if an earlier run is given but this kind of session cannot resume one."""
        if self._earlier is not None and smoke:
            raise BadInput(
                f"--resume {self._earlier.place}: expected a session that measures, seen --benchmark-disable; drop one"
            )
        if self._earlier is not None and gated:
            raise BadInput(
                f"--resume {self._earlier.place}: expected no --gate: a cell and its baseline must be measured side by side; "
                "run the gate anew, without --resume"
            )

    def check(self, now: Run, free: Collection[str] = ()) -> None:
        """Raise BadInput, naming what differs, unless the earlier run had the machine, code, model, data and options of `now`.

        `free` are the keys of `Run.options` that may differ.
        """
        if self._earlier is None:
            return
        differing = differences(self._earlier.run, now, free)
        if differing:
            raise BadInput(
                f"--resume {self._earlier.place}: expected a run of this machine, code, model, dataset, engine and options; "
                f"what differs:\n  " + "\n  ".join(differing) + "\n"
                f"make it the same again (that run was: {self._earlier.run.command}), or measure anew without --resume"
            )

    def has(self, cell: Cell) -> bool:
        """Whether the cell is taken over."""
        return cell.id in self._kept

    @property
    def records(self) -> list[tuple[Record, Samples]]:
        """All cells that are taken over, including those not selected now."""
        return [(kept.record, kept.samples) for kept in self._kept.values()]

    @property
    def facts(self) -> Mapping[str, BackendFacts]:
        """The earlier run's facts about its backends, by name."""
        return {} if self._earlier is None else self._earlier.run.backends

    @property
    def disagreements(self) -> list[Disagreement]:
        """The disagreements of the cells that are taken over."""
        return [] if self._earlier is None else [each for each in self._earlier.run.disagreements if each.cell in self._kept]

    @property
    def study(self) -> list[StudyRow]:
        """The replay's rows of each scenario without any problem; only whole scenarios, as their systems ran together."""
        rows = () if self._earlier is None else self._earlier.run.study
        troubled = {row.scenario for row in rows if row.problem}
        return [row for row in rows if row.scenario not in troubled]

    @property
    def startup(self) -> list[StartRow]:
        """The starts of each backend of which no start had a problem."""
        rows = () if self._earlier is None else self._earlier.run.startup
        troubled = {row.backend for row in rows if row.problem}
        return [row for row in rows if row.backend not in troubled]

    def with_study(self, rows: Sequence[StudyRow]) -> tuple[StudyRow, ...]:
        """The replay's rows of this session after those taken over for scenarios that it did not measure."""
        measured = {row.scenario for row in rows}
        return (*(row for row in self.study if row.scenario not in measured), *rows)

    def to_measure(self, cells: Sequence[Cell]) -> list[Cell]:
        """The missing ones of `cells`, and of the others the yardsticks that must be measured again beside those."""
        missing = [cell for cell in cells if not self.has(cell)]
        return [cell for cell in cells if not self.has(cell) or any(self._is_yardstick(cell, other) for other in missing)]

    def ratio_to(self, otherwise: RatioTo) -> RatioTo:
        """Picks the base of both campaigns' ratios: that of the cells taken over, or what `otherwise` picks if that is gone."""

        def base(measured: Sequence[Cell]) -> Cell | None:
            bases = (cell for cell in measured if cell.endpoint.id in self._bases(cell.scenario))
            return next(bases, None) or otherwise(measured)

        return base

    def results(self, scenario: Scenario) -> dict[str, CellResult]:
        """The scenario's cells that are taken over, by id, as if they had just been measured."""
        return {
            name: CellResult(kept.record, kept.samples.duration_s.tolist(), kept.samples)
            for name, kept in self._kept.items()
            if kept.record.scenario == scenario.name
        }

    def beside(self, outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[tuple[Record, Samples]]]:
        """The new outcomes, and the resumed records of the same scenarios to be recorded anew; both unranked.

        Scenarios in which only one of the two campaigns compared servers keep their ranks, and none of their records returns.
        A yardstick's new outcome is not replaced by its resumed record.
        """
        told: list[tuple[Record, Samples]] = []
        merged = list(outcomes)
        for scenario in dict.fromkeys(each.record.scenario for each in outcomes):
            places = [n for n, each in enumerate(merged) if each.record.scenario == scenario]
            beside, again = self._beside_in(scenario, [merged[n] for n in places])
            told += again
            for n, outcome in zip(places, beside, strict=True):
                merged[n] = outcome
        return merged, told

    def _beside_in(self, scenario: str, outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[tuple[Record, Samples]]]:
        fresh = [each.record for each in outcomes if each.record.id not in self._kept and _compared(each.record)]
        old = [name for name, kept in self._kept.items() if kept.record.scenario == scenario and _compared(kept.record)]
        if not fresh or not old:
            return list(outcomes), []
        self._scenarios.append(_of_two(scenario, fresh, len(old), [self._then_and_now(each.record) for each in outcomes]))
        for name in old:
            self._kept[name] = replace(self._kept[name], record=_unranked(self._kept[name].record))
        told = [(self._kept[name].record, self._kept[name].samples) for name in old]
        return [replace(each, record=_unranked(each.record)) for each in outcomes], told

    def warnings(self, now: Sequence[str], facts: Mapping[str, BackendFacts]) -> list[str]:
        """The warnings about what was taken over, then `now`, this session's own; `facts` are those of its backends."""
        if self._earlier is None:
            return list(now)
        run = self._earlier.run
        head = f"{len(self._kept)} cells{self._replayed()} were taken over from run {run.id} of {run.started_utc} (--resume)."
        earlier = [warning.removeprefix(_EARLIER) for warning in run.warnings if warning not in now]
        changed = [line for name, known in facts.items() for line in self._changed(name, known)]
        return [head, *self._scenarios, *changed, *(f"{_EARLIER}{warning}" for warning in dict.fromkeys(earlier)), *now]

    def _changed(self, name: str, facts: BackendFacts) -> list[str]:
        """Warns if the installation is not the one the resumed cells had: only the start shows that, too late to refuse."""
        if not any(kept.record.backend == name for kept in self._kept.values()):
            return []
        then, now = self.facts.get(name, BackendFacts()).as_dict(), facts.as_dict()
        lines = [difference(what, then[what], now[what]) for what in _INSTALLED if what in then and what in now]
        differing = "; ".join(filter(None, lines))
        words = "its cells taken over were measured with another installation than those of this session"
        return [f"{name}: {words} ({differing}). Measure it anew."] if differing else []

    def told(self, cells: Sequence[Cell]) -> list[str]:
        """Lines for the terminal, before anything is measured: what is taken over, and what will be measured."""
        if self._earlier is None:
            return []
        todo = self.to_measure(cells)
        missing = [cell.id for cell in todo if not self.has(cell)]
        again = [cell.id for cell in todo if self.has(cell)]
        names = ", ".join(self._kept) or "none"
        lines = [f"resume: {len(self._kept)} cells{self._replayed()} taken over from {self._earlier.place}: {names}"]
        lines.append(f"resume: {len(missing)} cells missing: {', '.join(missing) or 'none'}")
        if again:
            lines.append(f"resume: measured again as yardsticks, their records stay: {', '.join(again)}")
        absent = self.facts.keys() - {name for cell in cells for name in (cell.backend.name, cell.server)}
        if absent:
            lines.append(f"resume: backends of that run that are not selected now: {', '.join(sorted(absent))}")
        return lines

    def _replayed(self) -> str:
        scenarios = ", ".join(dict.fromkeys(row.scenario for row in self.study))
        return f" and the replay of 2018 ({scenarios})" if scenarios else ""

    def _is_yardstick(self, cell: Cell, missing: Cell) -> bool:
        if cell.scenario != missing.scenario or missing.backend.role is not Role.SERVER:
            return False
        if not experiment_of(cell.scenario).timed:
            return False  # there is no speed to compare
        ceiling = cell.backend.role is Role.CEILING and cell.endpoint.protocol == missing.endpoint.protocol
        return ceiling or cell.backend.role is Role.REFERENCE or cell.endpoint.id in self._bases(cell.scenario)

    def _bases(self, scenario: Scenario) -> Collection[str]:
        return {str(kept.record.ratio_to) for kept in self._kept.values() if kept.record.scenario == scenario.name}

    def _then_and_now(self, record: Record) -> str:
        kept = self._kept.get(record.id)
        if kept is None or not kept.record.images_per_s or not record.images_per_s:
            return ""
        then, now = kept.record.images_per_s, record.images_per_s
        return f"{record.backend}-{record.endpoint} {then:,.0f} images/s then, {now:,.0f} now ({100 * (now / then - 1):+.1f} %)"


def _kept(earlier: EarlierRun) -> dict[str, _Kept]:
    """The cells that were measured to their end and whose durations are stored, by id; no twins."""
    kept = {}
    for record in earlier.records:
        samples = earlier.samples.get(record.id)
        ended = record.verdict.measured and INTERRUPTED not in record.reason
        if ended and samples is not None and len(samples.duration_s) and record.role != Role.TWIN:
            kept[record.id] = _Kept(replace(record, taken_from=record.taken_from or earlier.run.id), samples)
    return kept


def _compared(record: Record) -> bool:
    return record.role == Role.SERVER and record.images_per_s is not None


def _unranked(record: Record) -> Record:
    return replace(record, rank=None, leader=None, leader_ratio=None, leader_ratio_low=None, leader_ratio_high=None)


def _of_two(scenario: str, fresh: Sequence[Record], old: int, yardsticks: Sequence[str]) -> str:
    names = ", ".join(f"{record.backend}-{record.endpoint}" for record in fresh)
    both = "; ".join(filter(None, yardsticks))
    return (
        f"{scenario}: {names} were not measured side by side with the {old} cells taken over: no rank is claimed in this "
        "scenario; ratios hold where their base was measured both times" + (f" ({both})." if both else ".")
    )
