"""Makes a cell's record from its measurement and findings: the only place where a `Record` is created."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bench.analysis.cell_measurement import CellMeasurement, CellRun, measurement_of
from bench.analysis.verdicts import Evidence, decide
from bench.contract.cells import Cell
from bench.contract.confusion import Disagreement
from bench.contract.records import Record, Samples, Verdict
from bench.contract.rows import GateRow
from bench.contract.tensors import FloatArray64
from bench.statistics import Interval, latency_percentile, outliers
from bench.statistics.histogram import encode_latencies
from bench.verification.payloads import PayloadFactory


@dataclass(frozen=True, slots=True)
class Speed:
    """Images answered per second, and the ends of its confidence interval, None if unknown."""

    images_per_s: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds of an exchange: mean, and percentiles, None if there are too few samples for them.

    `outliers` counts durations far above the others, `hdr` is the histogram as text, None if none is kept.
    """

    mean_s: float | None = None
    p50_s: float | None = None
    p90_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    p999_s: float | None = None
    outliers: int = 0
    hdr: str | None = None

    @classmethod
    def of(cls, duration_s: FloatArray64, *, histogram: bool) -> Latencies:
        """The latencies of `duration_s` [n], n >= 1; `hdr` is kept if `histogram`."""
        return cls(
            mean_s=float(duration_s.mean()),
            p50_s=latency_percentile(duration_s, 0.5),
            p90_s=latency_percentile(duration_s, 0.9),
            p95_s=latency_percentile(duration_s, 0.95),
            p99_s=latency_percentile(duration_s, 0.99),
            p999_s=latency_percentile(duration_s, 0.999),
            outliers=outliers(duration_s),
            hdr=encode_latencies(duration_s) if histogram else None,
        )


@dataclass(frozen=True, slots=True)
class Costs:
    """What the server used: CPU seconds and joules per image, peak memory in bytes, threads; None if unreadable."""

    cpu_s_per_image: float | None = None
    energy_j_per_image: float | None = None
    peak_memory_bytes: int | None = None
    threads: int | None = None

    @classmethod
    def of(cls, measurement: CellMeasurement, threads: int | None = None) -> Costs:
        """The costs in the measuring lane's slices."""
        batch_size, measure = measurement.cell.scenario.batch_size, measurement.measure
        return cls(
            cpu_s_per_image=measure.per_image(batch_size, lambda result: result.cpu_s),
            energy_j_per_image=measure.per_image(batch_size, lambda result: result.energy_j),
            peak_memory_bytes=measurement.peak_memory_bytes,
            threads=threads,
        )


@dataclass(frozen=True, slots=True)
class ScheduleFigures:
    """Figures of an open loop: requests a second at the peak and offered, and how late they were sent (p99, seconds).

    `late_sends` counts the requests sent late, `windows_repeated` the windows that were measured again.

    For a search for a limit also `load`, the highest fraction of the peak that held the limit, and `goodput_per_s`, the images
    per second answered within the limit at that load.
    """

    peak_per_s: float | None = None
    offered_per_s: float | None = None
    late_sends: int | None = None
    windows_repeated: int | None = None
    lag_p99_s: float | None = None
    load: float | None = None
    goodput_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a cell compares with the others of its scenario; see `Record` for the fields.

    `ratio` is its speed over that of `ratio_to`, `leader_ratio` that of `leader` over its own; None if not comparable.
    """

    ratio: Interval | None = None
    ratio_to: str | None = None
    rank: int | None = None
    leader: str | None = None
    leader_ratio: Interval | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """The conclusions from one cell's measurement: the verdict with its reasons, and the figures.

    The figures come from `exchanges` timed exchanges in `rounds` slices and `measured_s` seconds. `speed` and `latencies` are
    None if too little was measured, `evidence` if the record shows no figure of it. `cpu_efficiency` is as in `Record`.
    """

    verdict: Verdict
    reason: str
    evidence: Evidence | None = None
    exchanges: int = 0
    rounds: int = 0
    measured_s: float = 0.0
    speed: Speed | None = None
    latencies: Latencies | None = None
    costs: Costs = field(default_factory=Costs)
    schedule: ScheduleFigures = field(default_factory=ScheduleFigures)
    standing: Standing = field(default_factory=Standing)
    cpu_efficiency: Interval | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record, the raw samples behind it, the images answered with another class than the reference's, and the gate's row."""

    record: Record
    samples: Samples
    disagreements: tuple[Disagreement, ...] = ()
    gate: GateRow | None = None


def record_of(measurement: CellMeasurement, findings: Findings) -> Record:
    """The record of a cell; a field is None if it was not measured, or cannot be known."""
    cell, scenario, answers = measurement.cell, measurement.cell.scenario, measurement.answers
    verification = answers.verification if answers is not None else None
    max_abs_diff = verification.max_abs_diff if verification is not None else None
    evidence, standing, schedule, costs = findings.evidence, findings.standing, findings.schedule, findings.costs
    speed, latencies, efficiency = findings.speed, findings.latencies or Latencies(), findings.cpu_efficiency
    same_sample = evidence.same_sample_speedup if evidence is not None else None
    warm_up_s = measurement.measure.warm_up_s
    return Record(
        backend=cell.backend.name,
        endpoint=cell.endpoint.name,
        protocol=cell.endpoint.protocol,
        runtime=cell.backend.runtime,
        role=str(cell.backend.role),
        scenario=scenario.name,
        batch_size=scenario.batch_size,
        engine=measurement.engine,
        verdict=findings.verdict,
        reason=findings.reason,
        kind=scenario.kind,
        title=scenario.title,
        unit=scenario.unit,
        concurrency=scenario.concurrency,
        arrival=scenario.arrival,
        images_per_s=speed.images_per_s if speed is not None else None,
        images_per_s_low=speed.low if speed is not None else None,
        images_per_s_high=speed.high if speed is not None else None,
        ratio=standing.ratio.value if standing.ratio is not None else None,
        ratio_low=standing.ratio.low if standing.ratio is not None else None,
        ratio_high=standing.ratio.high if standing.ratio is not None else None,
        ratio_to=standing.ratio_to,
        rank=standing.rank,
        leader=standing.leader,
        leader_ratio=standing.leader_ratio.value if standing.leader_ratio is not None else None,
        leader_ratio_low=standing.leader_ratio.low if standing.leader_ratio is not None else None,
        leader_ratio_high=standing.leader_ratio.high if standing.leader_ratio is not None else None,
        exchanges=findings.exchanges,
        errors=measurement.exchanges.errors,
        reconnects=measurement.reconnects,
        outliers=latencies.outliers,
        rounds=findings.rounds,
        measured_s=findings.measured_s,
        latency_mean_s=latencies.mean_s,
        latency_p50_s=latencies.p50_s,
        latency_p90_s=latencies.p90_s,
        latency_p95_s=latencies.p95_s,
        latency_p99_s=latencies.p99_s,
        latency_p999_s=latencies.p999_s,
        latency_hdr=latencies.hdr,
        load=schedule.load if schedule.load is not None else scenario.load,
        rate_per_s=scenario.rate_per_s,
        peak_per_s=schedule.peak_per_s,
        offered_per_s=schedule.offered_per_s,
        late_sends=schedule.late_sends,
        windows_repeated=measurement.measure.repeated if measurement.measure.agents else schedule.windows_repeated,
        lag_p99_s=schedule.lag_p99_s,
        slo_s=scenario.slo_s,
        goodput_per_s=schedule.goodput_per_s,
        cpus=scenario.cpus,
        replicas=scenario.replicas,
        cpu_efficiency=efficiency.value if efficiency is not None else None,
        cpu_efficiency_low=efficiency.low if efficiency is not None else None,
        cpu_efficiency_high=efficiency.high if efficiency is not None else None,
        first_exchange_s=float(warm_up_s[0]) if answers is not None and len(warm_up_s) else None,
        accuracy=answers.accuracy if answers is not None else None,
        agreement=verification.agreement if verification is not None else None,
        max_abs_diff=max_abs_diff if max_abs_diff is not None and math.isfinite(max_abs_diff) else None,
        answers_verified=measurement.exchanges.answers,
        ceiling_fraction=evidence.ceiling_fraction if evidence is not None else None,
        client_share=measurement.measure.client_share,
        agents=measurement.measure.agents,
        clock_uncertainty_s=measurement.measure.clocks.error_s if measurement.measure.agents else None,
        same_sample_speedup=same_sample.value if same_sample is not None else None,
        same_sample_speedup_low=same_sample.low if same_sample is not None else None,
        encode_s=answers.encode_s if answers is not None else None,
        decode_s=verification.decode_s if verification is not None else None,
        request_bytes=answers.request_bytes if answers is not None else None,
        answer_bytes=answers.answer_bytes if answers is not None else None,
        server_cpu_s_per_image=costs.cpu_s_per_image,
        server_peak_memory_bytes=costs.peak_memory_bytes,
        energy_j_per_image=costs.energy_j_per_image,
        server_threads=costs.threads,
        runnable_threads=evidence.runnable_threads if evidence is not None else None,
        again=measurement.rerun,
    )


def outcome_of(measurement: CellMeasurement, record: Record, gate: GateRow | None = None) -> Outcome:
    """The outcome with the measuring lane's samples."""
    disagreements = measurement.answers.disagreements if measurement.answers is not None else ()
    return Outcome(record, measurement.measure.samples, disagreements, gate)


def blank_record(cell: Cell, *, engine: str | None, verdict: Verdict, reason: str, again: str) -> Record:
    """The record of a cell that was not measured."""
    return record_of(CellMeasurement(cell, engine, again), Findings(verdict, reason))


def pass_outcome(run: CellRun, factory: PayloadFactory) -> Outcome:
    """The outcome of one pass over the payloads: accuracy and agreement; its times were taken alone and are no speed."""
    measurement = measurement_of(run, factory, only_pass=True)
    verdict, reason = decide(Evidence(measurement.exchanges))
    findings = Findings(verdict, reason, exchanges=measurement.exchanges.timed)
    return outcome_of(measurement, record_of(measurement, findings))
