"""Checkpoints of a running campaign, reported now and then between its rounds: a session that is killed loses little.

They must be cheap, so answers are not verified and cells not compared: the cells are recorded as if the session had been
interrupted. Nothing is timed here but the checkpoints themselves.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from bench.analysis.cell_measurement import CellRun, unverified_measurement
from bench.analysis.cell_record import Findings, Latencies, Speed, record_of
from bench.analysis.verdicts import Evidence, decide
from bench.contract.records import Record, Samples
from bench.experiments import experiment_of
from bench.load.scheduler import Progress

EVERY_S = 30.0
_SHARE = 0.02  # of the campaign's time that checkpoints may take, at most
_UNVERIFIED = "it was killed, so its answers were not verified and its cells not compared"

Cells = Sequence[tuple[Record, Samples]]


class Checkpoints:
    """Receives a campaign's progress, passes it to `further`, and gives `tell` the cells so far every `EVERY_S` seconds."""

    def __init__(self, runs: Sequence[CellRun], tell: Callable[[Cells], None], further: Callable[[Progress], None]) -> None:
        self._runs = runs
        self._tell = tell
        self._further = further
        self._due_at = perf_counter() + EVERY_S

    def __call__(self, progress: Progress) -> None:
        """Pass the progress on and make a checkpoint if one is due; the campaign calls it between two rounds."""
        self._further(progress)
        start = perf_counter()
        if progress.step == "measure" and start >= self._due_at and not progress.done:
            self._tell([cell for run in self._runs if (cell := as_it_stands(run)) is not None])
            now = perf_counter()
            self._due_at = now + max(EVERY_S, (now - start) / _SHARE)


def as_it_stands(run: CellRun) -> tuple[Record, Samples] | None:
    """A cell's record and samples in case the session is killed now; None if nothing was timed yet and no lane retired."""
    if not run.measure.results.duration_s and not any(lane.state.retired for lane in run.lanes):
        return None
    measurement = unverified_measurement(run)
    measure, experiment = measurement.measure, experiment_of(run.cell.scenario)
    verdict, reason = decide(Evidence(measurement.exchanges, interrupted=True))
    images_per_s = experiment.rate_so_far(measurement)
    findings = Findings(
        verdict=verdict,
        reason=f"{reason}; {_UNVERIFIED}",
        exchanges=len(measure.duration_s),
        rounds=len(measure.slices),
        measured_s=measure.measured_s,
        speed=Speed(images_per_s) if images_per_s is not None else None,
        latencies=Latencies.of(measure.duration_s, histogram=experiment.histogram) if len(measure.duration_s) else None,
    )
    return record_of(measurement, findings), measure.samples
