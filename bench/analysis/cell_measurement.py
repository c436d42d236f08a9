"""The measurements of one cell, taken from its lanes after the campaign. It knows no other cell, and judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.analysis.lane_measurement import LaneMeasurement
from bench.analysis.verdicts import Exchanges
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.system import Role
from bench.contract.tensors import IntArray, Tensors
from bench.contract.wire import Answer
from bench.load.lane import Lane
from bench.load.scheduled_load import SloSearch
from bench.load.slo_search import SearchResult
from bench.verification.judgements import Judgements, digest_of
from bench.verification.misclassified import disagreements_of
from bench.verification.payloads import PayloadFactory, PayloadSet
from bench.verification.probe import canned_answer
from bench.verification.top_class import counted
from bench.verification.verify import Verification


@dataclass(frozen=True, slots=True)
class CellRun:
    """One cell with the lanes that measure it, the payloads that they send, and the command that measures it again.

    `judgements` are those of its answers if these were judged by load agents, and only their digests are here; else None.
    """

    cell: Cell
    payload_set: PayloadSet
    measure: Lane
    same: Lane | None = None
    fresh: Lane | None = None
    rerun: str = ""
    judgements: Judgements | None = None

    @property
    def lanes(self) -> list[Lane]:
        """All lanes of this cell, the measuring one first."""
        return [lane for lane in (self.measure, self.same, self.fresh) if lane is not None]


@dataclass(frozen=True, slots=True)
class VerifiedAnswers:
    """The verification of the answers of all lanes of a cell, and the sizes and client-side costs of its requests.

    `accuracy` is top-1 over all images, None unless every image was answered and has a label. `encode_s` is the median time to
    encode one payload, `request_bytes` their mean size, `answer_bytes` the size of the first answer. `unverified` is as in
    `Exchanges`.
    """

    verification: Verification
    accuracy: float | None
    disagreements: tuple[Disagreement, ...]
    encode_s: float
    request_bytes: int
    answer_bytes: int | None
    unverified: str = ""


@dataclass(frozen=True, slots=True)
class CellMeasurement:
    """All that was measured of one cell; for a cell that was not measured, its name and the defaults.

    `engine` is None if the backend was never started. `measure` is the measuring lane's, `same` and `fresh` are the audit
    lanes', None without an audit. `exchanges` and `reconnects` count those of all lanes. `answers` is None if they were not
    verified. `search` is the state of a search for a limit, None without one. `finished`: the measuring lane reached its goals.
    """

    cell: Cell
    engine: str | None
    rerun: str
    measure: LaneMeasurement = field(default_factory=LaneMeasurement)
    same: LaneMeasurement | None = None
    fresh: LaneMeasurement | None = None
    exchanges: Exchanges = field(default_factory=Exchanges)
    reconnects: int = 0
    answers: VerifiedAnswers | None = None
    peak_memory_bytes: int | None = None
    search: SearchResult | None = None
    finished: bool = False

    @property
    def lanes(self) -> list[LaneMeasurement]:
        """The measurements of all lanes, the measuring lane's first."""
        return [lane for lane in (self.measure, self.same, self.fresh) if lane is not None]


def measurement_of(run: CellRun, factory: PayloadFactory, *, only_pass: bool = False) -> CellMeasurement:
    """What the lanes of a cell measured, with every answer verified; `only_pass`: by a single pass instead of a campaign."""
    verification = _verification_of(run, factory)
    unverified = factory.unverified if run.cell.backend.role is not Role.CEILING else ""
    if unverified:  # to agree with an answer that may be wrong means nothing
        verification = replace(verification, agreement=None, max_abs_diff=None)
    answers, payloads = run.measure.results.answers, run.payload_set.payloads
    dataset = factory.dataset
    verified = VerifiedAnswers(
        verification=verification,
        accuracy=_accuracy_of(verification.predicted, dataset.labels),
        disagreements=disagreements_of(run.cell.id, verification.differing, dataset.labels, dataset.class_names),
        encode_s=run.payload_set.encode_s,
        request_bytes=round(float(np.mean([len(payload.body) for payload in payloads]))),
        answer_bytes=_body_bytes(run, answers[0][1]) if answers else None,
        unverified=unverified,
    )
    return _measurement(run, verified, only_pass=only_pass)


def unverified_measurement(run: CellRun) -> CellMeasurement:
    """What the lanes of a cell measured so far, without verifying the answers."""
    return _measurement(run, None)


def _measurement(run: CellRun, answers: VerifiedAnswers | None, *, only_pass: bool = False) -> CellMeasurement:
    lane, pattern = run.measure, run.measure.pattern
    measure = LaneMeasurement.of(lane.results, only_pass=only_pass)
    redacted = lane.system.endpoints[run.cell.endpoint.name].access.redacted  # a server may echo the request's credentials
    return CellMeasurement(
        cell=run.cell,
        engine=lane.system.engine,
        rerun=run.rerun,
        measure=measure,
        same=LaneMeasurement.of(run.same.results) if run.same is not None else None,
        fresh=LaneMeasurement.of(run.fresh.results) if run.fresh is not None else None,
        exchanges=_exchanges_of(run.lanes, len(measure.duration_s), answers, redacted),
        reconnects=sum(each.results.reconnects for each in run.lanes),
        answers=answers,
        peak_memory_bytes=lane.system.peak_memory_bytes() if answers is not None else None,
        search=pattern.search.result if isinstance(pattern, SloSearch) else None,
        finished=lane.state.finished,
    )


def _exchanges_of(
    lanes: Sequence[Lane], timed: int, answers: VerifiedAnswers | None, redacted: Callable[[str], str]
) -> Exchanges:
    errors = [error for lane in lanes for error in lane.results.errors]
    return Exchanges(
        timed=timed,
        errors=len(errors),
        first_error=f"{type(errors[0]).__name__}: {errors[0]}" if errors else "",
        retired=next((lane.state.retired for lane in lanes if lane.state.retired), ""),
        answers=answers.verification.answers if answers is not None else 0,
        wrong=answers.verification.wrong if answers is not None else 0,
        first_wrong=redacted(answers.verification.first_wrong) if answers is not None else "",
        unverified=answers.unverified if answers is not None else "",
    )


def _verification_of(run: CellRun, factory: PayloadFactory) -> Verification:
    """Verify every answer of every lane of this cell against the reference; null's against its canned answer."""
    images = len(factory.dataset)
    if run.cell.backend.role is Role.CEILING:
        return _canned_verification(run, images)
    if run.judgements is not None:
        return run.judgements.verification(run.measure.results.answers, run.payload_set.payloads, images)
    parts = []
    for lane in run.lanes:
        answers = [Answer(index, body) for index, body in lane.results.answers]
        expected: Sequence[Tensors] = run.payload_set.expected
        if lane is run.fresh:
            expected = factory.fresh_expected(list(lane.source.payloads))
        parts.append(factory.verifier(run.payload_set.codec, lane.source.payloads, expected).verify(answers))
    diffs = [part.max_abs_diff for part in parts if part.max_abs_diff is not None]
    of_the_dataset = parts[: -1 if run.fresh is not None else None]  # fresh images are not in it
    return replace(
        parts[0],
        answers=sum(part.answers for part in parts),
        wrong=sum(part.wrong for part in parts),
        first_wrong=next((part.first_wrong for part in parts if part.first_wrong), ""),
        max_abs_diff=max(diffs) if diffs else None,
        differing=counted(differing for part in of_the_dataset for differing in part.differing),
    )


def _canned_verification(run: CellRun, images: int) -> Verification:
    canned, answers = canned_answer(run.payload_set), run.measure.results.answers
    expected = canned if run.judgements is None else digest_of(canned)
    wrong = sum(body != expected for _, body in answers)
    return Verification(
        answers=len(answers),
        wrong=wrong,
        first_wrong="an answer of null is not the one that it was given" if wrong else "",
        agreement=None,
        max_abs_diff=None,
        predicted=np.full(images, -1, dtype=np.int64),
        decode_s=None,
    )


def _body_bytes(run: CellRun, body: bytes) -> int:
    return len(body) if run.judgements is None else run.judgements.body_bytes[body]


def _accuracy_of(predicted: IntArray, labels: IntArray | None) -> float | None:
    if labels is None or (predicted < 0).any():
        return None
    return float((predicted == labels).mean())
