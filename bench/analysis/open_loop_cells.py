"""From the lanes of an open loop, and of the search for a limit, to records. Nothing is timed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.analysis.cell_record import (
    CellRun,
    Outcome,
    blank_record,
    disagreements,
    evidence_of,
    per_image,
    verification_of,
    with_answers,
    with_latencies,
)
from bench.analysis.verdicts import decide
from bench.contract.records import Record, Samples
from bench.load.closed_loop import Slice
from bench.load.lane import Lane
from bench.load.load_patterns import LONGEST_PROBE_S, SloSearch, saturated
from bench.load.open_loop import LATE_S
from bench.statistics import latency_percentile, min_samples
from bench.verification.payloads import PayloadPress


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What was offered in all windows together, and what came of it; see `Slice` for the words."""

    duration_s: npt.NDArray[np.float64]
    seconds: float
    scheduled: int
    exchanges: int
    peak_per_s: float | None

    @classmethod
    def of_lane(cls, lane: Lane) -> _Stretch:
        """All windows of a lane."""
        booked = [each for each in lane.booked if each.peak_per_s is not None]
        return cls(
            np.asarray(lane.duration_s, dtype=np.float64),
            sum(each.seconds for each in booked),
            sum(each.scheduled for each in booked),
            sum(each.exchanges for each in booked),
            _mean([each.peak_per_s for each in booked]),
        )

    @classmethod
    def of_probes(cls, probes: Sequence[Slice]) -> _Stretch:
        """The probes of one load."""
        return cls(
            np.concatenate([np.empty(0), *(np.asarray(probe.duration_s, dtype=np.float64) for probe in probes)]),
            sum(probe.seconds for probe in probes),
            sum(probe.scheduled for probe in probes),
            sum(probe.exchanges for probe in probes),
            _mean([probe.peak_per_s for probe in probes]),
        )

    @property
    def carried(self) -> float | None:
        """The part that was answered in time, where the server fell behind; else None."""
        if not self.scheduled or not saturated(self.scheduled, len(self.duration_s), self.exchanges):
            return None
        return min(len(self.duration_s), self.exchanges) / self.scheduled


def outcome_on_schedule(run: CellRun, press: PayloadPress, *, interrupted: bool) -> Outcome:
    """The outcome of an open loop, or of a search: figures of the highest load that held its limit."""
    lane, scenario = run.measure, run.cell.scenario
    verification = verification_of(run, press)
    search = lane.drive if isinstance(lane.drive, SloSearch) else None
    everything = _Stretch.of_lane(lane)
    shown = everything if search is None else _Stretch.of_probes(search.search.held)
    lag_s = np.asarray(lane.lag_s, dtype=np.float64)
    late = int(np.count_nonzero(lag_s > LATE_S))
    evidence = replace(
        evidence_of(lane.duration_s, run.lanes, verification),
        scheduled=everything.scheduled,
        late_sends=late,
        lag_s=_within_s(lag_s),
        latency_s=_noticeable_s(shown, search),
        carried=shown.carried if search is None else None,
        undecided=_undecided(search) if search is not None else "",
        interrupted=interrupted,
    )
    verdict, reason = decide(evidence)
    record = blank_record(run.cell, engine=lane.system.engine, verdict=verdict, reason=reason, again=run.again)
    record = replace(
        with_answers(record, run, verification, press),
        offered_per_s=shown.scheduled / shown.seconds if shown.seconds else None,
        peak_per_s=shown.peak_per_s,
        late_sends=late,
        lag_p99_s=latency_percentile(lag_s, 0.99),
        exchanges=len(shown.duration_s),
        rounds=len(lane.booked),
        measured_s=shown.seconds,
        server_cpu_s_per_image=per_image(lane, scenario.batch_size, lambda booked: booked.cpu_s),
        server_peak_memory_bytes=lane.system.peak_memory_bytes(),
        energy_j_per_image=per_image(lane, scenario.batch_size, lambda booked: booked.energy_j),
    )
    if len(shown.duration_s):
        record = replace(record, images_per_s=shown.exchanges * scenario.batch_size / shown.seconds)
    if 0 < len(shown.duration_s) == shown.scheduled:  # percentiles of those alone that were answered would leave out the worst
        record = with_latencies(record, shown.duration_s)
    if search is not None and search.done and not lane.retired:
        record = _with_bracket(record, search, shown)
    return Outcome(record, _samples(lane, shown), disagreements(run, verification, press))


def _within_s(lag_s: npt.NDArray[np.float64]) -> float | None:
    """What 99 of 100 requests left within, behind their schedule; where they are too few to tell, what all did."""
    known = latency_percentile(lag_s, 0.99)
    return known if known is not None or not len(lag_s) else float(lag_s.max())


def _noticeable_s(shown: _Stretch, search: SloSearch | None) -> float | None:
    """The latency that a client's delay is held against: the limit, or the tail; where there is none, half of all requests'."""
    if search is not None:
        return search.slo_s
    tail_s = latency_percentile(shown.duration_s, 0.99)
    return tail_s if tail_s is not None else latency_percentile(shown.duration_s, 0.5)


def _with_bracket(record: Record, search: SloSearch, held: _Stretch) -> Record:
    """What the search found: 0 where no load held the limit; the interval is where the highest one lies."""
    found = search.search
    if not found.held and found.undecided is not None:
        return record
    if not found.held:
        return replace(record, images_per_s=0.0, images_per_s_low=0.0)
    good = int(np.count_nonzero(held.duration_s <= search.slo_s)) * record.batch_size
    rate = record.images_per_s or 0.0
    return replace(
        record,
        load=found.low,
        images_per_s_low=rate,
        images_per_s_high=rate * found.high / found.low if found.high is not None else None,
        goodput_per_s=good / held.seconds,
    )


def _undecided(drive: SloSearch) -> str:
    """Why a search found nothing although it may be there; empty where it found something, or came to its end."""
    search = drive.search
    if search.undecided is None or search.held:
        return ""
    return (
        f"at {search.undecided:.0%} of its peak fewer requests came in the longest probe of {LONGEST_PROBE_S:g} s than the "
        f"{min_samples(0.99)} that support a 99th percentile: too slow for this search to tell whether the limit holds"
    )


def _samples(lane: Lane, shown: _Stretch) -> Samples:
    """The durations behind the figures; of a search that found nothing, those of all probes."""
    if len(shown.duration_s) in (0, len(lane.duration_s)):
        return Samples(np.asarray(lane.duration_s, dtype=np.float64), np.asarray(lane.round_index, dtype=np.int64))
    return Samples(shown.duration_s, np.zeros(len(shown.duration_s), dtype=np.int64))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
