"""What a campaign under way has so far, told now and then between its slices: a session that is killed loses little of it.

Cheap, so without all that takes a look at every answer or at all cells together: those cells are recorded as if the session had
been interrupted, unverified and uncompared. Nothing is timed here but how long this itself takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from bench.analysis.cell_record import CellRun, blank_record, evidence_of, samples_of, with_latencies
from bench.analysis.verdicts import decide
from bench.contract.records import Record, Samples
from bench.contract.scenarios import Kind
from bench.load.scheduler import Progress
from bench.verification.verify import Verification

EVERY_S = 30.0
_SHARE = 0.02  # of the time, at most
_UNVERIFIED = "it was killed, so its answers were not verified and its cells not compared"
_NO_ANSWERS = Verification(0, 0, "", None, None, np.empty(0, dtype=np.int64), None)

Cells = Sequence[tuple[Record, Samples]]


class Checkpoints:
    """Hears of a campaign's progress, passes it on, and tells its cells as they stand every `EVERY_S` seconds."""

    def __init__(self, runs: Sequence[CellRun], tell: Callable[[Cells], None], further: Callable[[Progress], None]) -> None:
        self._runs = runs
        self._tell = tell
        self._further = further
        self._due_at = perf_counter() + EVERY_S

    def __call__(self, progress: Progress) -> None:
        """Called by the campaign between two rounds."""
        self._further(progress)
        start = perf_counter()
        if progress.step == "measure" and start >= self._due_at and not progress.done:
            self._tell([cell for run in self._runs if (cell := as_it_stands(run)) is not None])
            now = perf_counter()
            self._due_at = now + max(EVERY_S, (now - start) / _SHARE)


def as_it_stands(run: CellRun) -> tuple[Record, Samples] | None:
    """A cell's record should the session end here without a word; None where nothing is known of it yet."""
    lane, scenario = run.measure, run.cell.scenario
    if not lane.duration_s and not any(each.retired for each in run.lanes):
        return None
    verdict, reason = decide(replace(evidence_of(lane.duration_s, run.lanes, _NO_ANSWERS), interrupted=True))
    record = replace(
        blank_record(run.cell, engine=lane.system.engine, verdict=verdict, reason=f"{reason}; {_UNVERIFIED}", again=run.again),
        exchanges=len(lane.duration_s),
        errors=sum(len(each.errors) for each in run.lanes),
        reconnects=sum(each.reconnects for each in run.lanes),
        rounds=len(lane.booked),
        measured_s=lane.measured_s,
    )
    if lane.duration_s:
        record = with_latencies(record, np.array(lane.duration_s))
    if lane.measured_s and scenario.kind is not Kind.SLO:  # whose probes each have a rate of their own
        answered = sum(booked.exchanges for booked in lane.booked)
        record = replace(record, images_per_s=answered * scenario.batch_size / lane.measured_s)
    return record, samples_of(run)
