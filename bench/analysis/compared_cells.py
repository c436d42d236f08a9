"""Turns the lanes of a closed loop's campaign into outcomes: each cell measured, judged, compared and recorded."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from bench.analysis.cell_measurement import CellMeasurement, CellRun, measurement_of
from bench.analysis.cell_record import Costs, Findings, Latencies, Outcome, Speed, Standing, outcome_of, record_of
from bench.analysis.gate import gate_rows
from bench.analysis.lane_speeds import LaneSpeeds, slice_sums
from bench.analysis.standings import JudgedCell, standings
from bench.analysis.verdicts import Evidence, decide
from bench.contract.cells import Cell
from bench.contract.system import Role
from bench.statistics import BETWEEN_STARTS, Interval, throughput
from bench.verification.payloads import PayloadFactory


def records_of(
    runs: Sequence[CellRun],
    factory: PayloadFactory,
    *,
    ratio_to: Callable[[Sequence[Cell]], Cell | None],
    server_cpus: int,
    seed: int,
    interrupted: bool = False,
    gate: float | None = None,
    histogram: bool = False,
    shared_cpus: Collection[int] = (),
) -> list[Outcome]:
    """One outcome per run, in the same order; `gate` is the allowed regression as a fraction, None without a gate.

    With `histogram` the records keep the latencies as a histogram, which can be merged and drawn. `shared_cpus` are the
    client's CPUs if a server that has one of them too is to be judged for it; else empty.
    """
    measurements = [measurement_of(run, factory) for run in runs]
    speeds = LaneSpeeds.of([lane for measurement in measurements for lane in measurement.lanes], seed=seed)
    foreign_wait = _foreign_wait(measurements)
    cells = []
    for run, measurement in zip(runs, measurements, strict=True):
        ceiling = _ceiling_of(measurement, measurements)
        evidence = Evidence(
            measurement.exchanges,
            interrupted=interrupted and not measurement.finished,
            same_sample_speedup=_same_sample_speedup(measurement, speeds),
            same_sample_medians=_same_sample_medians(measurement),
            ceiling_fraction=_fraction(measurement, ceiling, speeds) if ceiling is not None else None,
            client_share=measurement.measure.client_share if measurement.cell.is_far else None,
            halves_ratio=speeds.halves(measurement.measure),
            runnable_threads=_runnable_threads(measurement, foreign_wait),
            clients=measurement.cell.scenario.concurrency,
            server_cpus=len(run.measure.system.facts.server_cpus or ()) or server_cpus,
            shared_cpu=next((cpu for cpu in run.measure.system.facts.cpus_here or () if cpu in shared_cpus), None),
            throttled=sum(result.throttled for result in measurement.measure.slices),
            clocks=measurement.measure.clocks,
        )
        verdict, reason = decide(evidence)
        cells.append(JudgedCell(measurement, evidence, verdict, reason, _speed(measurement, seed)))
    standing_of: dict[str, Standing] = {}
    for alike in _by_scenario(cells):
        for cell, standing in zip(alike, standings(alike, speeds, ratio_to), strict=True):
            standing_of[cell.measurement.cell.id] = standing
    worth = [_cpu_efficiency(measurement, measurements, speeds) for measurement in measurements]
    findings = [
        _findings(cell, standing_of[cell.measurement.cell.id], each, histogram=histogram)
        for cell, each in zip(cells, worth, strict=True)
    ]
    records = [record_of(measurement, each) for measurement, each in zip(measurements, findings, strict=True)]
    rows = gate_rows(measurements, records, speeds, gate) if gate is not None else {}
    return [outcome_of(each, record, rows.get(record.id)) for each, record in zip(measurements, records, strict=True)]


def _by_scenario(cells: Sequence[JudgedCell]) -> list[list[JudgedCell]]:
    """The cells grouped by scenario: only those of one scenario are compared with each other."""
    by_name: dict[str, list[JudgedCell]] = {}
    for cell in cells:
        by_name.setdefault(cell.measurement.cell.scenario.name, []).append(cell)
    return list(by_name.values())


def _findings(cell: JudgedCell, standing: Standing, cpu_efficiency: Interval | None, *, histogram: bool) -> Findings:
    measurement, measure = cell.measurement, cell.measurement.measure
    timed = len(measure.duration_s) > 0
    return Findings(
        verdict=cell.verdict,
        reason=cell.reason,
        evidence=cell.evidence,
        exchanges=len(measure.duration_s),
        rounds=len(measure.slices) if timed else 0,
        measured_s=measure.measured_s if timed else 0.0,
        speed=cell.speed,
        latencies=Latencies.of(measure.duration_s, histogram=histogram) if timed else None,
        costs=Costs.of(measurement, measure.threads),
        standing=standing,
        cpu_efficiency=cpu_efficiency,
    )


def _speed(measurement: CellMeasurement, seed: int) -> Speed | None:
    if not len(measurement.measure.duration_s):
        return None
    rate = throughput(*slice_sums(measurement.measure.slices, measurement.cell.scenario.batch_size), seed=seed)
    return Speed(rate.value, rate.low, rate.high)


def _cpu_efficiency(measurement: CellMeasurement, others: Sequence[CellMeasurement], speeds: LaneSpeeds) -> Interval | None:
    """Its speed per CPU over that of the same endpoint on the fewest CPUs; None if its scenario sets no number of CPUs."""
    cell, cpus = measurement.cell, measurement.cell.scenario.own_cpus
    if cpus is None or cell.backend.role is not Role.SERVER or not measurement.measure.slices:
        return None
    alike = [
        (other.cell.scenario.own_cpus or 0, other)
        for other in others
        if other.cell.endpoint == cell.endpoint
        and other.cell.scenario.kind == cell.scenario.kind
        and other.cell.scenario.batch_size == cell.scenario.batch_size
        and other.measure.slices
    ]
    fewest, base = min(alike, key=lambda pair: pair[0])
    ratio = speeds.ratio([measurement.measure], [base.measure], between_starts=BETWEEN_STARTS)
    return ratio.times(fewest / cpus) if ratio is not None else None


def _ceiling_of(measurement: CellMeasurement, others: Sequence[CellMeasurement]) -> CellMeasurement | None:
    """Null's cell of the same protocol and scenario; None if the cell is not a server's, is far, or null was not measured."""
    cell = measurement.cell
    if cell.backend.role is not Role.SERVER or cell.is_far:
        return None
    return next(
        (
            other
            for other in others
            if other.cell.backend.role is Role.CEILING
            and other.cell.endpoint.protocol == cell.endpoint.protocol
            and other.cell.scenario == cell.scenario
            and other.measure.slices
        ),
        None,
    )


def _fraction(measurement: CellMeasurement, ceiling: CellMeasurement, speeds: LaneSpeeds) -> float | None:
    ratio = speeds.ratio([measurement.measure], [ceiling.measure])
    return ratio.value if ratio is not None else None


def _same_sample_speedup(measurement: CellMeasurement, speeds: LaneSpeeds) -> Interval | None:
    if measurement.same is None or measurement.fresh is None:
        return None
    return speeds.ratio([measurement.same], [measurement.fresh])


def _same_sample_medians(measurement: CellMeasurement) -> float | None:
    """The median duration on images never seen over that on one repeated image; None if either was not measured."""
    same, fresh = measurement.same, measurement.fresh
    if same is None or fresh is None or not len(same.duration_s) or not len(fresh.duration_s):
        return None
    return float(np.median(fresh.duration_s) / np.median(same.duration_s))


def _foreign_wait(measurements: Sequence[CellMeasurement]) -> float:
    """Seconds that null waited for a CPU per second of CPU; null has one thread, so it only waits for foreign work."""
    alone = [each for each in measurements if each.cell.backend.role is Role.CEILING and each.cell.scenario.concurrency == 1]
    slices = [result for each in alone for result in each.measure.slices]
    cpu_s = sum(result.cpu_s or 0.0 for result in slices)
    return sum(result.wait_s or 0.0 for result in slices) / cpu_s if cpu_s else 0.0


def _runnable_threads(measurement: CellMeasurement, foreign_wait: float) -> float | None:
    """The mean number of the server's threads that were running or runnable, over the time in which it was sent requests."""
    readable = [result for result in measurement.measure.slices if result.cpu_s is not None and result.wait_s is not None]
    asked_s = sum(result.seconds * result.answered / result.exchanges for result in readable)
    if not asked_s:
        return None
    cpu_s = sum(result.cpu_s or 0.0 for result in readable)
    wait_s = sum(result.wait_s or 0.0 for result in readable)
    return (cpu_s + max(0.0, wait_s - foreign_wait * cpu_s)) / asked_s
