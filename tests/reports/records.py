"""Made-up records, runs and samples for the tests of the reports; nothing here was measured."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.backend_facts import BackendFacts
from bench.contract.confusion import ClassCount, ConfusedPair, Confusion, Disagreement, SampleImage
from bench.contract.records import Record, Run, Samples, Verdict
from bench.contract.rows import GateOutcome, GateRow, SoakRow, StartRow
from bench.contract.scenarios import ACCURACY
from reports.store.earlier_versions import title_of
from reports.store.store import RunStore, StoredRun
from tests.reports.load_records import MADE, NULLS, a_load_record, many_under_load, under_load

NASTY = "a|b <script>alert(\"1\")</script> & 'q' $x_1$ *b* `c` 🚀\nsecond\x00 line " + "very-long-" * 20
"""Everything that breaks a table, a page, a picture or a terminal; above 200 characters."""


def a_record(**changes: Any) -> Record:
    """A valid single-image cell of flask."""
    record = Record(
        backend="flask",
        endpoint="rest",
        protocol="v1-json",
        runtime="onnxruntime",
        role="server",
        scenario="single",
        batch_size=1,
        engine="process",
        verdict=Verdict.VALID,
        images_per_s=612.4,
        images_per_s_low=603.1,
        images_per_s_high=619.9,
        ratio=0.3012,
        ratio_low=0.2987,
        ratio_high=0.3040,
        ratio_to="fastapi-raw-single",
        rank=3,
        exchanges=1837,
        rounds=150,
        measured_s=3.0004,
        latency_mean_s=0.001633,
        latency_p50_s=0.001588,
        latency_p90_s=0.001901,
        latency_p95_s=0.002011,
        latency_p99_s=0.002498,
        first_exchange_s=0.0213,
        accuracy=0.843,
        agreement=1.0,
        max_abs_diff=1.19e-7,
        answers_verified=1837,
        ceiling_fraction=0.087,
        same_sample_speedup=1.004,
        same_sample_speedup_low=0.99,
        encode_s=0.00021,
        decode_s=0.000034,
        request_bytes=4123,
        answer_bytes=1310,
        server_cpu_s_per_image=0.00141,
        server_peak_memory_bytes=83_366_912,
        server_threads=3,
        runnable_threads=1.02,
        again="pytest --benchmark-only --backend flask -k 'flask-rest-single'",
    )
    return replace(record, **{**_of_scenario(changes.get("scenario", "single")), **changes})


def _of_scenario(name: str) -> dict[str, Any]:
    """What follows from a scenario's name, unless otherwise is asked for."""
    return {"kind": "accuracy" if name == ACCURACY.name else "throughput", "title": title_of(name)}


def unmeasured(backend: str, scenario: str, verdict: Verdict = Verdict.NOT_MEASURED, **changes: Any) -> Record:
    """A cell without any number."""
    batch_size = 1 if scenario == "single" else 128
    values: dict[str, Any] = {
        "backend": backend,
        "endpoint": "rest",
        "protocol": "v1-json",
        "runtime": "tensorflow",
        "role": "server",
        "scenario": scenario,
        "batch_size": batch_size,
        "engine": None,
        "verdict": verdict,
        "reason": "image tensorflow/serving:2.19.1 cannot be pulled: no registry answers (tried for 30 s). Pull it, or log in.",
    }
    values |= changes
    return Record(**{**_of_scenario(scenario), **values})


def a_run(**changes: Any) -> Run:
    """What stands beside the cells."""
    run = Run(
        id="3f2a9c",
        started_utc="2026-11-22T22:13:00+00:00",
        command="pytest --benchmark-only --backend default",
        engine="process",
        environment={
            "host": "bench-1",
            "cpu": "Example CPU 3.2 GHz",
            "kernel": "6.1.0",
            "governor": None,
            "cpus_usable": [0, 1],
            "memory_bytes": 16_500_000_000,
            "hypervisor": True,
            "packages": {"numpy": "2.4.6", "onnxruntime": "1.32.0"},
        },
        dataset={"name": "EMNIST ByClass, 1000 of the test split", "n": 1000, "sha256": "ab" * 32, "synthetic": False},
        model={"name": "emnist-mlp", "sha256": "cd" * 32, "metrics": {"accuracy": 0.8431, "per_class": list(range(62))}},
        options={"backend": "default", "engine": "auto"},
        backends={
            "flask": BackendFacts(
                summary="Flask under gunicorn",
                sets=("default", "light"),
                versions={"flask": "3.1", "numpy": "2.4.6"},
                size_bytes=162_000_000,
                start_s=0.91,
                lines_of_code=8,
                lines_of_configuration=31,
                shared_lines={"serving/wire.py": 60, "serving/flask_app.py": 40},
            )
        },
        confusion=a_confusion(),
        disagreements=some_disagreements(),
        gate=some_gate(),
        startup=some_starts(),
        warnings=("A virtual machine: neighbours can take its CPU time. Trust the ratios, less the absolute figures.",),
    )
    return replace(run, **changes)


def a_confusion(one: str = "O", other: str = "0") -> Confusion:
    """Two classes that look alike, and two of their images."""
    pixels = base64.b64encode(bytes(range(16))).decode()
    samples = (SampleImage(12, one, other, 0.61, pixels), SampleImage(40, other, one, 0.55, pixels))
    classes = (ClassCount(one, 30, 21, 25), ClassCount(other, 28, 24, 33), ClassCount("unused", 0, 0, 0))
    return Confusion(4, 1000, 171, classes, (ConfusedPair(one, other, 9, 4, samples),))


def some_disagreements(cell: str = "liar-raw-single") -> tuple[Disagreement, ...]:
    """A real one and a tie."""
    real = Disagreement(cell, 7, "l", "l", 0.71, "I", 0.68, 17, excused=False)
    return (real, replace(real, image=9, reference_score=0.41, score=0.41, answers=3, excused=True))


def some_gate(cell: str = "flask-rest-single") -> tuple[GateRow, ...]:
    """One of each outcome."""
    failed = GateRow(cell, 0.05, GateOutcome.FAIL, "the whole interval lies beyond", 0.91, 0.89, 0.93, 1.012, 0.071)
    return (
        replace(failed, cell="fastapi-raw-single", outcome=GateOutcome.PASS, change=1.01, change_low=0.99, change_high=1.03),
        failed,
        GateRow("new-rest-single", 0.05, GateOutcome.CANNOT_TELL, "the baseline has no such cell"),
    )


def some_starts(backend: str = "flask") -> tuple[StartRow, ...]:
    """Three starts of one, the last without a steady state; one with a word of its own; one that fails; one that is absent."""
    flask = StartRow(backend, "process", 1, 0.0061, 0.151, None, 0.912, 0.95, 0.31)
    return (
        flask,
        replace(flask, repeat=2, port_open_s=0.161, first_answer_s=0.8, warm_s=0.85),
        replace(flask, repeat=3, port_open_s=0.171, first_answer_s=1.2, warm_s=None),
        StartRow("triton", "process", 1, 0.007, 0.9, 1.88, 1.91, 2.17, 1.2),
        StartRow("litserve", "process", 1, 0.004, 0.3, stop_s=1.0, problem="no right answer within 60 s\n  log's end"),
        StartRow("tensorflow-serving", "process", 1, problem="needs a container engine"),
    )


def some_soak(backend: str = "flask") -> tuple[SoakRow, ...]:
    """Sixteen laps: the suite stays as it is, the backend takes a file more in each; one lap went wrong."""
    suite = SoakRow(0, 0.0, "servebench", 700 * 2**20, 100, 1, 4, 3, 2000)
    server = SoakRow(0, 0.0, backend, 85 * 2**20, 20, 2, 9, None, 1000)
    return tuple(
        row
        for lap in range(1, 17)
        for row in (
            replace(suite, lap=lap, at_s=60.0 * lap, problem="flask-rest-single: FAILED: gone" if lap == 5 else ""),
            replace(server, lap=lap, at_s=60.0 * lap, files=20 + lap),
        )
    )


def some_samples(record: Record, n: int | None = None) -> Samples:
    """Durations around the record's median, some of them slow."""
    rng = np.random.default_rng(sum(record.id.encode()))
    n = record.exchanges if n is None else n
    middle = record.latency_p50_s or 0.001
    durations = middle * rng.lognormal(0.0, 0.12, n) * np.where(rng.random(n) > 0.97, 1.6, 1.0)
    return Samples(durations, np.arange(n) // 12)


def _speeds(scenario: str, backend: str, endpoint: str, speed: float, **changes: Any) -> Record:
    batch_size = 1 if scenario == "single" else 128
    spread = changes.pop("spread", 0.008)
    protocol = {"raw": "raw", "grpc": "v2-grpc"}.get(endpoint, "v1-json")
    latency = batch_size / speed
    values: dict[str, Any] = {
        "backend": backend,
        "endpoint": endpoint,
        "protocol": protocol,
        "scenario": scenario,
        "batch_size": batch_size,
        "images_per_s": speed,
        "images_per_s_low": speed * (1 - spread),
        "images_per_s_high": speed * (1 + spread * 0.9),
        "latency_p50_s": latency * 0.97,
        "latency_p90_s": latency * 1.14,
        "latency_p95_s": latency * 1.21,
        "latency_p99_s": latency * 1.52 if speed / batch_size > 160 else None,
        "latency_mean_s": latency,
        "exchanges": int(3 * speed / batch_size),
        "answers_verified": int(3 * speed),
        "server_cpu_s_per_image": 0.9 / speed,
        "again": f"pytest --benchmark-only --backend {backend} -k '{backend}-{endpoint}-{scenario}'",
        "ratio": None,
        "ratio_low": None,
        "ratio_high": None,
        "ratio_to": None,
    }
    return a_record(**{**values, **changes})


def _scenario(
    scenario: str, best: float, speeds: dict[tuple[str, str], tuple[float, int]], null: dict[str, float]
) -> list[Record]:
    cells = []
    for (backend, endpoint), (speed, rank) in speeds.items():
        ratio = speed / best
        against = {
            "ratio": ratio,
            "ratio_low": ratio * 0.992,
            "ratio_high": ratio * 1.009,
            "ratio_to": f"fastapi-raw-{scenario}",
        }
        name = "v1-json" if endpoint == "rest" else "raw"
        cells.append(_speeds(scenario, backend, endpoint, speed, rank=rank, ceiling_fraction=speed / null[name], **against))
    for endpoint, speed in null.items():
        changes = {
            "role": "ceiling",
            "runtime": "none",
            "rank": None,
            "ceiling_fraction": None,
            "accuracy": None,
            "agreement": None,
        }
        cells.append(_speeds(scenario, "null", endpoint, speed, **changes))
    reference = {"role": "reference", "protocol": "in-process", "rank": None, "ceiling_fraction": None, "engine": "in-process"}
    cells.append(_speeds(scenario, "reference", "in-process", best * 3.1, **reference))
    return cells


def every_verdict() -> list[Record]:
    """Both speed scenarios and accuracy, with every verdict at least once, ties, instruments, all samples plausible."""
    single = {
        ("fastapi", "raw"): (2033.0, 1),
        ("flask", "raw"): (2021.0, 1),
        ("fastapi", "rest"): (1144.0, 3),
        ("flask", "rest"): (612.4, 4),
    }
    batch = {
        ("fastapi", "raw"): (29_811.0, 1),
        ("flask", "raw"): (27_240.0, 2),
        ("fastapi", "rest"): (4_310.0, 3),
        ("flask", "rest"): (1_690.0, 4),
    }
    cells = _scenario("single", 2033.0, single, {"v1-json": 7033.0, "raw": 7411.0})
    cells += _scenario("batch128", 29_811.0, batch, {"v1-json": 61_000.0, "raw": 402_000.0})
    cells += [
        _speeds(
            "single", "mosec", "rest", 5_510.0, rank=None, verdict=Verdict.CLIENT_BOUND, reason="reaches 78% of the ceiling"
        ),
        _speeds(
            "single", "ray-serve", "rest", 98.2, rank=None, verdict=Verdict.OVERSUBSCRIBED, reason="2.7 threads", spread=0.06
        ),
        _speeds(
            "single", "bentoml", "rest", 401.0, rank=None, verdict=Verdict.UNSTABLE, reason="1.31 times slower", spread=0.2
        ),
        _speeds("single", "swamped", "rest", 1_800.0, rank=None, verdict=Verdict.SATURATED, reason="the server fell behind"),
        _speeds("single", "memoiser", "rest", 1_900.0, rank=None, verdict=Verdict.CACHED, reason="3.1 times faster"),
        _speeds("single", "drifting", "rest", 1_820.0, rank=None, verdict=Verdict.DESYNCED, reason="clocks apart"),
        _speeds("single", "stranger", "rest", 1_850.0, rank=None, verdict=Verdict.NOT_VERIFIED, reason="other answers"),
        _speeds(
            "single", "liar", "raw", 1_800.0, rank=None, verdict=Verdict.WRONG_ANSWERS, reason="17 of 5400", agreement=0.99685
        ),
        unmeasured(
            "litserve",
            "single",
            Verdict.FAILED,
            reason="exit code 1 after 2.1 s; log's tail:\nImportError: no <module>",
            errors=3,
        ),
        unmeasured("tensorflow-serving", "single"),
        unmeasured("tensorflow-serving", "batch128"),
    ]
    for backend, endpoint in single:
        cells.append(_speeds("accuracy", backend, endpoint, 20_000.0, rank=None, answers_verified=1000, exchanges=8))
    cells.append(unmeasured("tensorflow-serving", "accuracy"))
    return cells


def many(n: int) -> list[Record]:
    """`n` cells of the single scenario over five protocols."""
    protocols = ("v1-json", "raw", "v2-grpc", "graphpipe", "v2-json")
    return [
        _speeds(
            "single",
            f"backend-{i:03}",
            "main",
            4000.0 / (1 + i),
            rank=i + 1,
            protocol=protocols[i % 5],
            ratio_to=None,
            ratio=None,
        )
        for i in range(n)
    ]


def both_kinds() -> list[Record]:
    """The ten endpoints of `under_load`, asked by one client too: so a whole run looks."""
    speeds = {(made.backend, made.endpoint): 1 / (made.service_s + made.wire_s) for made in (*MADE, *NULLS)}
    alone = {(r.backend, r.endpoint): r for r in under_load() if r.scenario == "c01" and r.verdict != Verdict.NOT_MEASURED}
    closed: dict[str, Any] = {"scenario": "single", "kind": "throughput", "verdict": Verdict.VALID, "latency_hdr": None}
    plain = [replace(r, **closed, images_per_s=speeds[key]) for key, r in alone.items()]
    return [*plain, *(unmeasured("tensorflow-serving", name) for name in ("single", "batch128")), *under_load()]


def nasty_load() -> list[Record]:
    """Names, reasons and histograms that break things, each kind of load, each verdict."""
    names: dict[str, Any] = dict.fromkeys(("backend", "protocol", "runtime", "again"), NASTY)
    cells = [a_load_record(kind, **names) for kind in ("clients", "open-loop", "slo")]
    cells.append(a_load_record("open-loop", backend="broken", latency_hdr="HISTFAAAnonsense"))
    for place, verdict in enumerate(Verdict):
        cells.append(a_load_record("open-loop", backend=f"b{place}", verdict=verdict, reason=NASTY))
        cells.append(a_load_record("clients", backend=f"b{place}", verdict=verdict, reason=NASTY))
        cells.append(a_load_record("slo", backend=f"b{place}", verdict=verdict, reason=NASTY))
    return cells


RUNS = {
    "every verdict": every_verdict(),
    "zero": [],
    "one": [a_record()],
    "forty": many(40),
    "nasty": [a_record(backend=NASTY, protocol=NASTY, again=NASTY), unmeasured(NASTY, "single", reason=NASTY)],
    "load": both_kinds(),
    "forty under load": [*many(40), *many_under_load(40)],
    "nasty load": nasty_load(),
}
"""The runs that every report must show well."""


def a_stored_run(records: list[Record] | None = None, **changes: Any) -> StoredRun:
    """A run with samples for every cell that has exchanges."""
    records = every_verdict() if records is None else records
    samples = {record.id: some_samples(record) for record in records if record.exchanges and record.latency_p50_s}
    return StoredRun(a_run(**changes), tuple(records), samples)


def filled(parent: Path, stored: StoredRun) -> RunStore:
    """A store with everything added and nothing finished."""
    store = RunStore(parent, stored.run, "bench-1")
    for record in stored.records:
        store.add(record, stored.samples.get(record.id))
    return store


def opened(store: RunStore) -> Path:
    """Its folder, which exists."""
    assert store.folder is not None
    return store.folder


def finished(parent: Path, stored: StoredRun) -> Path:
    """The folder of a run that has ended."""
    store = filled(parent, stored)
    store.finish()
    return opened(store)
