"""One cell's record from its own lanes: what it answered, what that took and cost. It knows no other cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.analysis.verdicts import Evidence, decide
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.gate_rows import GateRow
from bench.contract.records import Record, Samples, Verdict
from bench.contract.scenarios import Kind
from bench.contract.system import Role
from bench.contract.tensors import FloatArray, IntArray
from bench.contract.wire import Answer
from bench.load.lane import Booked, Lane
from bench.statistics import latency_percentile, outliers
from bench.statistics.histogram import encode_latencies
from bench.verification.misclassified import disagreements_of
from bench.verification.payloads import PayloadBook, PayloadPress
from bench.verification.probe import canned_answer
from bench.verification.verify import Verification, counted

FloatArray64 = npt.NDArray[np.float64]


@dataclass(slots=True)
class CellRun:
    """One cell with the lanes that measured it and the payloads that they sent."""

    cell: Cell
    book: PayloadBook
    measure: Lane
    same: Lane | None = None
    fresh: Lane | None = None
    again: str = ""

    @property
    def lanes(self) -> list[Lane]:
        """All lanes of this cell."""
        return [lane for lane in (self.measure, self.same, self.fresh) if lane is not None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record, the raw samples behind it, the images that were answered with another class, and what the gate says."""

    record: Record
    samples: Samples
    disagreements: tuple[Disagreement, ...] = ()
    gate: GateRow | None = None


def pass_outcome(run: CellRun, press: PayloadPress) -> Outcome:
    """The outcome of one pass over the payloads: accuracy and agreement; its times stand alone and say nothing of speed."""
    lane = run.measure
    verification = verification_of(run, press)
    verdict, reason = decide(evidence_of(lane.warm_up_s, run.lanes, verification))
    record = blank_record(run.cell, engine=lane.system.engine, verdict=verdict, reason=reason, again=run.again)
    record = replace(with_answers(record, run, verification, press), exchanges=len(lane.warm_up_s))
    rounds = np.zeros(len(lane.warm_up_s), dtype=np.int64)
    samples = Samples(duration_s=np.array(lane.warm_up_s, dtype=np.float64), round_index=rounds)
    return Outcome(record, samples, disagreements(run, verification, press))


def blank_record(cell: Cell, *, engine: str | None, verdict: Verdict, reason: str, again: str) -> Record:
    """A record that names the cell and its verdict, and claims nothing else."""
    return Record(
        backend=cell.backend.name,
        endpoint=cell.endpoint.name,
        protocol=cell.endpoint.protocol,
        runtime=cell.backend.runtime,
        role=str(cell.backend.role),
        scenario=cell.scenario.name,
        batch_size=cell.scenario.batch_size,
        engine=engine,
        verdict=verdict,
        reason=reason,
        kind=cell.scenario.kind,
        concurrency=cell.scenario.concurrency,
        arrival=cell.scenario.arrival,
        load=cell.scenario.load,
        slo_s=cell.scenario.slo_s,
        again=again,
    )


def verification_of(run: CellRun, press: PayloadPress) -> Verification:
    """Every answer of every lane of this cell against the reference; null's against what it was told to say."""
    images = len(press.dataset)
    if run.cell.backend.role is Role.CEILING:
        return _verify_canned(run, images)
    parts = []
    for lane in run.lanes:
        answers = [Answer(index, body) for index, body in lane.answers]
        expected: Sequence[FloatArray] = run.book.expected
        if lane is run.fresh:
            expected = press.fresh_expected(list(lane.feed.payloads))
        parts.append(press.verifier(run.book.codec, lane.feed.payloads, expected).verify(answers, images))
    main = parts[0]
    diffs = [part.max_abs_diff for part in parts if part.max_abs_diff is not None]
    return replace(
        main,
        answers=sum(part.answers for part in parts),
        wrong=sum(part.wrong for part in parts),
        first_wrong=next((part.first_wrong for part in parts if part.first_wrong), ""),
        max_abs_diff=max(diffs) if diffs else None,
        differing=counted(found for part in parts[: -1 if run.fresh is not None else None] for found in part.differing),
    )


def _verify_canned(run: CellRun, images: int) -> Verification:
    told = canned_answer(run.book)
    wrong = sum(body != told for _, body in run.measure.answers)
    return Verification(
        answers=len(run.measure.answers),
        wrong=wrong,
        first_wrong="an answer of null is not the one that it was given" if wrong else "",
        agreement=None,
        max_abs_diff=None,
        predicted=np.full(images, -1, dtype=np.int64),
        decode_s=None,
    )


def evidence_of(duration_s: Sequence[float], lanes: Sequence[Lane], verification: Verification) -> Evidence:
    """Errors and wrong answers of all lanes of a cell; what else it is held against is added by who knows it."""
    errors = [error for lane in lanes for error in lane.errors]
    return Evidence(
        exchanges=len(duration_s),
        errors=len(errors),
        first_error=f"{type(errors[0]).__name__}: {errors[0]}" if errors else "",
        retired=next((lane.retired for lane in lanes if lane.retired), ""),
        answers=verification.answers,
        wrong=verification.wrong,
        first_wrong=verification.first_wrong,
    )


def with_answers(record: Record, run: CellRun, verification: Verification, press: PayloadPress) -> Record:
    """What the answers were worth, and what encoding, decoding and connecting took."""
    lane = run.measure
    return replace(
        record,
        errors=sum(len(each.errors) for each in run.lanes),
        reconnects=sum(each.reconnects for each in run.lanes),
        answers_verified=verification.answers,
        agreement=verification.agreement,
        max_abs_diff=_finite(verification.max_abs_diff),
        accuracy=accuracy_of(verification.predicted, press.dataset.labels),
        encode_s=run.book.encode_s,
        decode_s=verification.decode_s,
        request_bytes=round(float(np.mean([len(payload.body) for payload in run.book.payloads]))),
        answer_bytes=len(lane.answers[0][1]) if lane.answers else None,
        first_exchange_s=lane.warm_up_s[0] if lane.warm_up_s else None,
    )


def accuracy_of(predicted: IntArray, labels: IntArray | None) -> float | None:
    """Top-1 accuracy over all images; None unless every image was answered and has a label."""
    if labels is None or (predicted < 0).any():
        return None
    return float((predicted == labels).mean())


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def with_latencies(record: Record, durations: FloatArray64) -> Record:
    """What `durations` [n] in seconds, at least one, say of the latency; of cells under load also as a histogram."""
    return replace(
        record,
        latency_hdr=encode_latencies(durations) if record.kind is not Kind.THROUGHPUT else None,
        outliers=outliers(durations),
        latency_mean_s=float(durations.mean()),
        latency_p50_s=latency_percentile(durations, 0.5),
        latency_p90_s=latency_percentile(durations, 0.9),
        latency_p95_s=latency_percentile(durations, 0.95),
        latency_p99_s=latency_percentile(durations, 0.99),
        latency_p999_s=latency_percentile(durations, 0.999),
    )


def per_image(lane: Lane, batch_size: int, spent: Callable[[Booked], float | None]) -> float | None:
    """What the lane's slices spent on one image, of those in which that is known."""
    known = [(amount, booked.answered) for booked in lane.booked if (amount := spent(booked)) is not None]
    images = sum(answered for _, answered in known) * batch_size
    return sum(amount for amount, _ in known) / images if images else None


def samples_of(run: CellRun) -> Samples:
    """The raw durations of the measuring lane."""
    return Samples(
        duration_s=np.array(run.measure.duration_s, dtype=np.float64),
        round_index=np.array(run.measure.round_index, dtype=np.int64),
    )


def disagreements(run: CellRun, verification: Verification, press: PayloadPress) -> tuple[Disagreement, ...]:
    """The images that were answered with another class than the reference's."""
    return disagreements_of(run.cell.id, verification.differing, press.dataset.labels, press.dataset.class_names)
