"""From the lanes of a finished campaign to records: intervals, ratios, ranks, verdicts. Nothing is timed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.cell_record import (
    CellRun,
    FloatArray64,
    Outcome,
    blank_record,
    disagreements,
    evidence_of,
    per_image,
    samples_of,
    verification_of,
    with_answers,
    with_latencies,
)
from bench.analysis.gate import Believed, gate_row, noise_floor
from bench.analysis.verdicts import decide
from bench.contract.cells import Cell
from bench.contract.gate_rows import GateRow
from bench.contract.records import Record, Verdict
from bench.contract.system import Role
from bench.contract.tensors import IntArray
from bench.load.lane import Lane
from bench.statistics import (
    BETWEEN_STARTS,
    Effects,
    Interval,
    Slices,
    bootstrap_effects,
    effect_halves,
    group_ratio,
    ranks,
    ratios,
    throughput,
    throughput_halves,
)
from bench.verification.payloads import PayloadPress
from bench.verification.verify import Verification

_HALVES_LEVEL = 0.99  # dozens of cells are judged: at 95 % one healthy cell in twenty would be called unstable


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
            same_sample_medians=_medians(run),
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
    """By id, the cells that have twins in the baseline; see `bench.analysis.gate`."""
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


def _medians(run: CellRun) -> float | None:
    """How many times as long the median answer takes on images never seen as on one that is repeated."""
    if run.same is None or run.fresh is None or not run.same.duration_s or not run.fresh.duration_s:
        return None
    return float(np.median(run.fresh.duration_s) / np.median(run.same.duration_s))


def _foreign_wait(runs: Sequence[CellRun]) -> float:
    """Seconds waited for each second of CPU by null, whose one thread can only wait for work that is not its own."""
    alone = [run for run in runs if run.cell.backend.role is Role.CEILING and run.cell.scenario.concurrency == 1]
    booked = [b for run in alone for b in run.measure.booked]
    cpu_s = sum(b.cpu_s or 0.0 for b in booked)
    return sum(b.wait_s or 0.0 for b in booked) / cpu_s if cpu_s else 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a cell is held against, beside its own answers; see `Evidence` and `Record` for the words."""

    ceiling_fraction: float | None
    same_sample_speedup: Interval | None
    same_sample_medians: float | None
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
        same_sample_medians=held.same_sample_medians,
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


def _sums(lane: Lane, batch_size: int) -> tuple[FloatArray64, FloatArray64, IntArray]:
    """Images, seconds and round of each slice of the lane."""
    return (
        np.array([booked.exchanges * batch_size for booked in lane.booked], dtype=np.float64),
        np.array([booked.seconds for booked in lane.booked], dtype=np.float64),
        np.array([booked.round_index for booked in lane.booked], dtype=np.int64),
    )


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
        eligible[place[id(run.measure)]] = run.cell.backend.role is Role.SERVER and record.verdict.ranked
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
