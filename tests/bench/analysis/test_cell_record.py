"""The one place where a record is made: what was not measured is None, and each finding has its field."""

from dataclasses import fields

import numpy as np

from bench.analysis.cell_measurement import CellMeasurement
from bench.analysis.cell_record import (
    Costs,
    Findings,
    Latencies,
    ScheduleFigures,
    Speed,
    Standing,
    blank_record,
    outcome_of,
    record_of,
)
from bench.analysis.lane_measurement import LaneMeasurement
from bench.analysis.verdicts import Evidence, Exchanges
from bench.contract.cells import Cell
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import SINGLE
from bench.statistics import Interval
from tests.bench.scripted import backend

SERVER = backend("flask")
CELL = Cell(SERVER, SERVER.endpoints[0], SINGLE)
NAMED = {
    "title",
    "unit",
    "backend",
    "endpoint",
    "protocol",
    "runtime",
    "role",
    "scenario",
    "batch_size",
    "verdict",
    "reason",
    "again",
}


def test_a_cell_that_was_not_measured_claims_nothing_but_its_name() -> None:
    """Every other field has its default."""
    record = blank_record(CELL, engine=None, verdict=Verdict.NOT_MEASURED, reason="no such image", again="pytest -k flask")
    assert (record.id, record.verdict, record.reason, record.again) == (
        CELL.id,
        "NOT_MEASURED",
        "no such image",
        "pytest -k flask",
    )
    for each in fields(Record):
        if each.name not in NAMED:
            assert getattr(record, each.name) in (each.default, None), each.name


def test_each_finding_has_its_field() -> None:
    """Figures, costs, standing and evidence, with both ends of each interval."""
    durations = np.linspace(0.001, 0.002, 1000)
    measurement = CellMeasurement(
        CELL,
        "process",
        "pytest -k flask",
        measure=LaneMeasurement(duration_s=durations, warm_up_s=np.array([0.5, 0.1])),
        exchanges=Exchanges(timed=1000, errors=2),
        reconnects=3,
    )
    record = record_of(
        measurement,
        Findings(
            Verdict.VALID,
            "",
            evidence=Evidence(
                measurement.exchanges,
                same_sample_speedup=Interval(1.1, 0.9, 1.2),
                ceiling_fraction=0.4,
                runnable_threads=0.8,
            ),
            exchanges=1000,
            rounds=40,
            measured_s=1.5,
            speed=Speed(650.0, 640.0, 660.0),
            latencies=Latencies.of(durations, histogram=True),
            costs=Costs(1e-4, 2e-3, 10**8, 5),
            schedule=ScheduleFigures(1200.0, 600.0, 7, 2, 0.002, 0.55, 590.0),
            standing=Standing(Interval(2.0, 1.9, 2.1), "null-raw", 2, "fast-raw-single", Interval(1.5, 1.4, 1.6)),
        ),
    )
    assert (record.images_per_s_low, record.images_per_s, record.images_per_s_high) == (640.0, 650.0, 660.0)
    assert (record.ratio_low, record.ratio, record.ratio_high, record.ratio_to) == (1.9, 2.0, 2.1, "null-raw")
    assert (record.rank, record.leader, record.leader_ratio_low, record.leader_ratio_high) == (2, "fast-raw-single", 1.4, 1.6)
    assert (record.exchanges, record.errors, record.reconnects, record.rounds, record.measured_s) == (1000, 2, 3, 40, 1.5)
    assert (record.same_sample_speedup, record.same_sample_speedup_low, record.ceiling_fraction) == (1.1, 0.9, 0.4)
    assert (record.server_cpu_s_per_image, record.energy_j_per_image, record.server_threads) == (1e-4, 2e-3, 5)
    assert (record.peak_per_s, record.offered_per_s, record.late_sends, record.load) == (1200.0, 600.0, 7, 0.55)
    assert record.latency_p50_s is not None
    assert 0.001 <= record.latency_p50_s <= 0.002
    assert record.latency_hdr is not None
    assert (record.first_exchange_s, record.answers_verified, record.accuracy) == (None, 0, None), "answers were not verified"
    assert outcome_of(measurement, record).samples.duration_s is durations
