"""Turns the lane of an open loop, or of a search for the highest rate under a limit, into the cell's outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.cell_measurement import CellMeasurement, CellRun, measurement_of
from bench.analysis.cell_record import Costs, Findings, Latencies, Outcome, ScheduleFigures, Speed, record_of
from bench.analysis.verdicts import Evidence, ScheduleEvidence, decide
from bench.contract.records import Samples
from bench.contract.tensors import FloatArray64
from bench.load.closed_loop import Slice
from bench.load.lane_results import SliceResult
from bench.load.open_loop import LATE_S
from bench.load.scheduled_load import LONGEST_PROBE_S, saturated
from bench.load.slo_search import SearchResult
from bench.statistics import latency_percentile, min_samples
from bench.verification.payloads import PayloadFactory


@dataclass(frozen=True, slots=True)
class _Offered:
    """The load offered in several windows together, and its answers; see `Slice` for the fields."""

    duration_s: FloatArray64
    seconds: float
    scheduled: int
    exchanges: int
    peak_per_s: float | None

    @classmethod
    def of(cls, duration_s: FloatArray64, windows: Sequence[Slice | SliceResult]) -> _Offered:
        """The sums over `windows`; `duration_s` are the durations of all their requests."""
        return cls(
            duration_s,
            sum(window.seconds for window in windows),
            sum(window.scheduled for window in windows),
            sum(window.exchanges for window in windows),
            _mean([window.peak_per_s for window in windows]),
        )

    @classmethod
    def of_probes(cls, probes: Sequence[Slice]) -> _Offered:
        """The same for the probes of one load."""
        return cls.of(np.concatenate([np.empty(0), *(np.asarray(probe.duration_s) for probe in probes)]), probes)

    @property
    def answered_fraction(self) -> float | None:
        """The fraction of requests that was answered in time, if the server fell behind; else None."""
        if not self.scheduled or not saturated(self.scheduled, len(self.duration_s), self.exchanges):
            return None
        return min(len(self.duration_s), self.exchanges) / self.scheduled


def outcome_on_schedule(run: CellRun, factory: PayloadFactory, *, interrupted: bool) -> Outcome:
    """The outcome of an open loop, or of a search, whose figures are those of the highest load that held the limit."""
    measurement = measurement_of(run, factory)
    measure, search, scenario = measurement.measure, measurement.search, run.cell.scenario
    windows = [result for result in measure.slices if result.peak_per_s is not None]
    everything = _Offered.of(measure.duration_s, windows)
    shown = everything if search is None else _Offered.of_probes(search.held)
    late_sends = int(np.count_nonzero(measure.lag_s > LATE_S))
    evidence = Evidence(
        measurement.exchanges,
        interrupted=interrupted,
        clocks=measure.clocks,
        schedule=ScheduleEvidence(
            windows=len(windows),
            late_windows=sum(window.late for window in windows),
            repeated=measure.repeated,
            answered_fraction=shown.answered_fraction if search is None else None,
            undecided=_undecided(search) if search is not None else "",
            behind=", ".join(dict.fromkeys(window.behind for window in windows if window.behind)),
        ),
    )
    verdict, reason = decide(evidence)
    # A search's load and goodput, and the bracket of its speed, are those of the highest load that held the limit.
    ended = search if search is not None and search.ended and not run.measure.state.retired else None
    bracket = ended if ended is not None and ended.held else None
    good_images = int(np.count_nonzero(shown.duration_s <= (scenario.slo_s or 0.0))) * scenario.batch_size
    complete = 0 < len(shown.duration_s) == shown.scheduled  # those of the answered requests alone leave out the worst
    findings = Findings(
        verdict=verdict,
        reason=reason,
        exchanges=len(shown.duration_s),
        rounds=len(measure.slices),
        measured_s=shown.seconds,
        speed=_speed(shown, scenario.batch_size, ended),
        latencies=Latencies.of(shown.duration_s, histogram=True) if complete else None,
        costs=Costs.of(measurement),
        schedule=ScheduleFigures(
            peak_per_s=shown.peak_per_s,
            offered_per_s=shown.scheduled / shown.seconds if shown.seconds else None,
            late_sends=late_sends,
            windows_repeated=measure.repeated,
            lag_p99_s=latency_percentile(measure.lag_s, 0.99),
            load=bracket.low if bracket is not None else None,
            goodput_per_s=good_images / shown.seconds if bracket is not None else None,
        ),
    )
    disagreements = measurement.answers.disagreements if measurement.answers is not None else ()
    return Outcome(record_of(measurement, findings), _samples(measurement, shown), disagreements)


def _speed(shown: _Offered, batch_size: int, ended: SearchResult | None) -> Speed | None:
    """Images per second; for a search that has ended, with the bracket in which the highest load lies.

    0 if no load held the limit; None if nothing was timed, or none held it and a probe could not tell.
    """
    if ended is not None and not ended.held:
        return Speed(0.0, low=0.0) if ended.undecided is None else None
    if not len(shown.duration_s):
        return None
    rate = shown.exchanges * batch_size / shown.seconds
    if ended is None:
        return Speed(rate)
    return Speed(rate, low=rate, high=rate * ended.high / ended.low if ended.high is not None else None)


def _undecided(search: SearchResult) -> str:
    """Why a search has no result although there may be one; empty if a load held the limit, or no probe was undecided."""
    if search.undecided is None or search.held:
        return ""
    return (
        f"at {search.undecided:.0%} of its peak fewer requests came in the longest probe of {LONGEST_PROBE_S:g} s than the "
        f"{min_samples(0.99)} that support a 99th percentile: too slow for this search to tell whether the limit holds"
    )


def _samples(measurement: CellMeasurement, shown: _Offered) -> Samples:
    """The durations behind the figures; for a search without a result, those of all probes."""
    measure = measurement.measure
    if len(shown.duration_s) in (0, len(measure.duration_s)):
        return measure.samples
    return Samples(shown.duration_s, np.zeros(len(shown.duration_s), dtype=np.int64))


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
