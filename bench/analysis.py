"""From the lanes of a finished campaign to records: intervals, ratios, ranks, verdicts. Nothing is timed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.cells import Cell
from bench.confusion import Disagreement
from bench.contract import Answer, FloatArray, IntArray, Role
from bench.gate import Believed, GateRow, gate_row, noise_floor
from bench.load.lanes import Booked, Lane
from bench.mistakes import disagreements_of
from bench.payloads import PayloadBook, PayloadPress
from bench.probe import canned_answer
from bench.records import Record, Samples, Verdict
from bench.scenarios import Kind
from bench.statistics import (
    BETWEEN_STARTS,
    Effects,
    Interval,
    Slices,
    bootstrap_effects,
    effect_halves,
    group_ratio,
    latency_percentile,
    outliers,
    ranks,
    ratios,
    throughput,
    throughput_halves,
)
from bench.statistics.histogram import encode_latencies
from bench.verdicts import Evidence, decide
from bench.verify import Verification, counted

_RANKED = (Verdict.VALID, Verdict.UNSTABLE, Verdict.OVERSUBSCRIBED)
_HALVES_LEVEL = 0.99  # dozens of cells are judged: at 95 % one healthy cell in twenty would be called unstable


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


def records_of(
    runs: Sequence[CellRun],
    press: PayloadPress,
    *,
    ratio_to: Callable[[Sequence[Cell]], Cell | None],
    server_cpus: int,
    seed: int,
    interrupted: bool = False,
    gate: float | None = None,
) -> list[Outcome]:
    """One outcome a run, in the same order; `gate` is the regression that is allowed, None where nothing is gated."""
    lanes = [lane for run in runs for lane in run.lanes]
    place = {id(lane): index for index, lane in enumerate(lanes)}
    slices = slices_of(lanes)
    effects = bootstrap_effects(slices, len(lanes), seed=seed)
    halves = _halves(lanes, slices, seed)
    foreign_wait = _foreign_wait(runs)
    verified = [verification_of(run, press) for run in runs]
    records = []
    for run, verification in zip(runs, verified, strict=True):
        index = place[id(run.measure)]
        ceiling = next((place[id(other.measure)] for other in runs if _is_ceiling_of(other, run)), None)
        fraction = ratios(effects, ceiling)[index] if ceiling is not None else None
        same_over_fresh = ratios(effects, place[id(run.fresh)])[place[id(run.same)]] if run.same and run.fresh else None
        held = Held(
            ceiling_fraction=fraction.value if fraction else None,
            same_sample_speedup=same_over_fresh,
            halves_ratio=halves[index],
            runnable_threads=_runnable(run.measure, foreign_wait),
            server_cpus=server_cpus,
            interrupted=interrupted and not run.measure.finished,
        )
        records.append(_record(run, press, held, verification, seed))
    for places in _by_scenario(runs):
        these = [runs[n] for n in places]
        compared = _with_ratios(these, [records[n] for n in places], effects, place, ratio_to)
        for n, record in zip(places, _with_ranks(these, compared, effects, place), strict=True):
            records[n] = record
    rows = _gate_rows(runs, records, effects, place, gate) if gate is not None else {}
    return [
        Outcome(record, samples_of(run), disagreements(run, verification, press), rows.get(record.id))
        for run, record, verification in zip(runs, records, verified, strict=True)
    ]


def _by_scenario(runs: Sequence[CellRun]) -> list[list[int]]:
    """The places of the runs of each scenario: only those are held against each other."""
    places: dict[str, list[int]] = {}
    for n, run in enumerate(runs):
        places.setdefault(run.cell.scenario.name, []).append(n)
    return list(places.values())


def _gate_rows(
    runs: Sequence[CellRun], records: Sequence[Record], effects: Effects, place: dict[int, int], threshold: float
) -> dict[str, GateRow]:
    """By id, the cells that have twins in the baseline; see `bench.gate`."""
    starts: dict[tuple[str, str], tuple[list[int], list[int]]] = {}  # of this checkout, of the baseline
    for index, run in enumerate(runs):
        backend = run.cell.backend
        if backend.role in (Role.SERVER, Role.TWIN):
            sides = starts.setdefault((backend.twin_of or backend.name, run.cell.endpoint.name), ([], []))
            sides[backend.baseline].append(index)
    held = {key: sides for key, sides in starts.items() if sides[0] and sides[1]}
    at = [place[id(run.measure)] for run in runs]
    copies = {
        key: [group_ratio(effects, [at[side[1]]], [at[side[0]]]) for side in sides if len(side) > 1]
        for key, sides in held.items()
    }  # without what is added for two starts: this is where it is seen
    floor = noise_floor([copy for found in copies.values() for copy in found], BETWEEN_STARTS)
    rows = {}
    for key, (own, base) in held.items():
        change = group_ratio(effects, [at[n] for n in own], [at[n] for n in base], between_starts=floor)
        head, other = (_believed([records[n] for n in side]) for side in (own, base))
        cell = records[own[0]].id
        rows[cell] = gate_row(cell, threshold, change, copies[key], head, other)
    return rows


def _believed(starts: Sequence[Record]) -> Believed:
    said = {record.verdict: f"{record.verdict}: {record.reason}" for record in reversed(starts)}
    return Believed(
        trouble=said.get(Verdict.FAILED) or said.get(Verdict.WRONG_ANSWERS) or "",
        doubt=said.get(Verdict.CACHED, ""),
        bounded=Verdict.CLIENT_BOUND in said,
    )


def disagreements(run: CellRun, verification: Verification, press: PayloadPress) -> tuple[Disagreement, ...]:
    """The images that were answered with another class than the reference's."""
    return disagreements_of(run.cell.id, verification.differing, press.dataset.labels, press.dataset.class_names)


def _halves(lanes: Sequence[Lane], slices: Slices, seed: int) -> list[Interval | None]:
    """Each lane's second half over its first; with nothing to compare with, by its throughput."""
    if sum(bool(lane.booked) for lane in lanes) > 1:
        return effect_halves(slices, len(lanes), seed=seed, level=_HALVES_LEVEL)
    return [_throughput_halves(lane, seed) for lane in lanes]


def _throughput_halves(lane: Lane, seed: int) -> Interval | None:
    if len({booked.round_index for booked in lane.booked}) < 2:
        return None
    images, seconds, rounds = _sums(lane, batch_size=1)
    return throughput_halves(images, seconds, rounds, seed=seed, level=_HALVES_LEVEL)


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


def slices_of(lanes: Sequence[Lane]) -> Slices:
    """The books of all lanes as arrays, in the order in which the slices ran."""
    rows = sorted((booked.position, index, booked) for index, lane in enumerate(lanes) for booked in lane.booked)
    return Slices(
        cell=np.array([index for _, index, _ in rows], dtype=np.int64),
        position=np.array([position for position, _, _ in rows], dtype=np.int64),
        round_index=np.array([booked.round_index for _, _, booked in rows], dtype=np.int64),
        log_latency=np.log(np.array([booked.pace_s for _, _, booked in rows], dtype=np.float64)),
    )


def _is_ceiling_of(other: CellRun, run: CellRun) -> bool:
    alike = other.cell.endpoint.protocol == run.cell.endpoint.protocol and other.cell.scenario == run.cell.scenario
    roles = other.cell.backend.role, run.cell.backend.role
    return alike and bool(other.measure.booked) and roles == (Role.CEILING, Role.SERVER)


def _foreign_wait(runs: Sequence[CellRun]) -> float:
    """Seconds waited for each second of CPU by null, whose one thread can only wait for work that is not its own."""
    alone = [run for run in runs if run.cell.backend.role is Role.CEILING and run.cell.scenario.concurrency == 1]
    booked = [b for run in alone for b in run.measure.booked]
    cpu_s = sum(b.cpu_s or 0.0 for b in booked)
    return sum(b.wait_s or 0.0 for b in booked) / cpu_s if cpu_s else 0.0


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


def accuracy_of(predicted: IntArray, labels: IntArray | None) -> float | None:
    """Top-1 accuracy over all images; None unless every image was answered and has a label."""
    if labels is None or (predicted < 0).any():
        return None
    return float((predicted == labels).mean())


@dataclass(frozen=True, slots=True)
class Held:
    """What a cell is held against, beside its own answers; see `Evidence` and `Record` for the words."""

    ceiling_fraction: float | None
    same_sample_speedup: Interval | None
    halves_ratio: Interval | None
    runnable_threads: float | None
    server_cpus: int
    interrupted: bool


def _record(run: CellRun, press: PayloadPress, held: Held, verification: Verification, seed: int) -> Record:
    lane, cell = run.measure, run.cell
    evidence = replace(
        evidence_of(lane.duration_s, run.lanes, verification),
        ceiling_fraction=held.ceiling_fraction,
        same_sample_speedup=held.same_sample_speedup,
        halves_ratio=held.halves_ratio,
        # Several clients at once are meant to keep several threads busy; one client is not.
        runnable_threads=held.runnable_threads if cell.scenario.concurrency == 1 else None,
        server_cpus=held.server_cpus,
        throttled=sum(booked.throttled for booked in lane.booked),
        interrupted=held.interrupted,
    )
    verdict, reason = decide(evidence)
    record = blank_record(cell, engine=lane.system.engine, verdict=verdict, reason=reason, again=run.again)
    record = replace(
        with_answers(record, run, verification, press),
        ceiling_fraction=held.ceiling_fraction,
        same_sample_speedup=held.same_sample_speedup.value if held.same_sample_speedup else None,
        same_sample_speedup_low=held.same_sample_speedup.low if held.same_sample_speedup else None,
        server_threads=lane.threads,
        runnable_threads=held.runnable_threads,
        server_cpu_s_per_image=per_image(lane, cell.scenario.batch_size, lambda booked: booked.cpu_s),
        server_peak_memory_bytes=lane.system.peak_memory_bytes(),
        energy_j_per_image=per_image(lane, cell.scenario.batch_size, lambda booked: booked.energy_j),
    )
    return _with_figures(record, lane, cell.scenario.batch_size, seed) if lane.duration_s else record


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


def _with_figures(record: Record, lane: Lane, batch_size: int, seed: int) -> Record:
    durations = np.array(lane.duration_s)
    rate = throughput(*_sums(lane, batch_size), seed=seed)
    return replace(
        with_latencies(record, durations),
        images_per_s=rate.value,
        images_per_s_low=rate.low,
        images_per_s_high=rate.high,
        exchanges=len(durations),
        rounds=len(lane.booked),
        measured_s=lane.measured_s,
    )


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


def _sums(lane: Lane, batch_size: int) -> tuple[FloatArray64, FloatArray64, IntArray]:
    """Images, seconds and round of each slice of the lane."""
    return (
        np.array([booked.exchanges * batch_size for booked in lane.booked], dtype=np.float64),
        np.array([booked.seconds for booked in lane.booked], dtype=np.float64),
        np.array([booked.round_index for booked in lane.booked], dtype=np.int64),
    )


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


def per_image(lane: Lane, batch_size: int, spent: Callable[[Booked], float | None]) -> float | None:
    """What the lane's slices spent on one image, of those in which that is known."""
    known = [(amount, booked.answered) for booked in lane.booked if (amount := spent(booked)) is not None]
    images = sum(answered for _, answered in known) * batch_size
    return sum(amount for amount, _ in known) / images if images else None


def _runnable(lane: Lane, foreign_wait: float) -> float | None:
    """Threads of the server that wanted a CPU, on average over the time in which it was asked."""
    known = [booked for booked in lane.booked if booked.cpu_s is not None and booked.wait_s is not None]
    asked_s = sum(booked.seconds * booked.answered / booked.exchanges for booked in known)
    if not asked_s:
        return None
    cpu_s = sum(booked.cpu_s or 0.0 for booked in known)
    wait_s = sum(booked.wait_s or 0.0 for booked in known)
    return (cpu_s + max(0.0, wait_s - foreign_wait * cpu_s)) / asked_s


def _with_ratios(
    runs: Sequence[CellRun],
    records: Sequence[Record],
    effects: Effects,
    place: dict[int, int],
    ratio_to: Callable[[Sequence[Cell]], Cell | None],
) -> list[Record]:
    measured = [run.cell for run in runs if run.measure.booked]
    base = ratio_to(measured)
    if base is None:
        return list(records)
    base_index = next(place[id(run.measure)] for run in runs if run.cell is base)
    found = []
    speeds = ratios(effects, base_index, between_starts=BETWEEN_STARTS)
    for run, record in zip(runs, records, strict=True):
        ratio = speeds[place[id(run.measure)]] if run.measure.booked else None
        if ratio is not None:
            record = replace(record, ratio=ratio.value, ratio_low=ratio.low, ratio_high=ratio.high, ratio_to=base.endpoint.id)
        found.append(record)
    return found


def _with_ranks(runs: Sequence[CellRun], records: Sequence[Record], effects: Effects, place: dict[int, int]) -> list[Record]:
    eligible = [False] * len(place)
    for run, record in zip(runs, records, strict=True):
        eligible[place[id(run.measure)]] = run.cell.backend.role is Role.SERVER and record.verdict in _RANKED
    order = ranks(effects, eligible, between_starts=BETWEEN_STARTS)
    at = [place[id(run.measure)] for run in runs]
    return _with_leader([replace(record, rank=order[n]) for n, record in zip(at, records, strict=True)], effects, at)


def _with_leader(records: Sequence[Record], effects: Effects, at: Sequence[int]) -> list[Record]:
    """How many times as fast the fastest of the first rank is as each other ranked cell; `at` are their places in `effects`."""
    ranked = [(record.rank, -(record.images_per_s or 0.0), n) for n, record in enumerate(records) if record.rank is not None]
    if not ranked:
        return list(records)
    first = min(ranked)[2]
    found = []
    for n, record in enumerate(records):
        ratio = group_ratio(effects, [at[first]], [at[n]], between_starts=BETWEEN_STARTS) if n != first else None
        if record.rank is not None and ratio is not None:
            record = replace(
                record,
                leader=records[first].id,
                leader_ratio=ratio.value,
                leader_ratio_low=ratio.low,
                leader_ratio_high=ratio.high,
            )
        found.append(record)
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def samples_of(run: CellRun) -> Samples:
    """The raw durations of the measuring lane."""
    return Samples(
        duration_s=np.array(run.measure.duration_s, dtype=np.float64),
        round_index=np.array(run.measure.round_index, dtype=np.int64),
    )
