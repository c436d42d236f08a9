"""Made-up records under load: queues that were simulated, so that their curves look as those of servers do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Arrival
from bench.statistics import latency_percentile
from bench.statistics.bootstrap import Floats
from bench.statistics.histogram import encode_latencies
from reports.store.earlier_versions import title_of

CLIENTS = (1, 2, 4, 8, 16, 32)
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9)
SLO_S = 0.015
_MEASURED_S = 3.0


@dataclass(frozen=True, slots=True)
class Made:
    """One endpoint: `service_s` a request, `wire_s` around it, `gain` with many clients, `spread` of its service time."""

    backend: str
    endpoint: str
    protocol: str
    service_s: float
    wire_s: float = 0.00012
    gain: float = 1.0
    spread: float = 0.15
    stall_s: float = 0.0
    role: str = "server"
    runtime: str = "onnxruntime"


MADE = (
    Made("fastapi", "raw", "raw", 0.00042, spread=0.1),
    Made("flask", "raw", "raw", 0.00047, spread=0.35),
    Made("nnef", "raw", "raw", 0.00039, runtime="tract"),
    Made("fastapi", "rest", "v1-json", 0.00061),
    Made("flask", "rest", "v1-json", 0.00088, spread=0.4),
    Made("mosec", "rest", "v1-json", 0.0009, gain=1.9, wire_s=0.0008),
    Made("bentoml", "rest", "v1-json", 0.0021, wire_s=0.0004, stall_s=0.03),
    Made("ray-serve", "rest", "v1-json", 0.0089, wire_s=0.002, spread=0.5, stall_s=0.05),
    Made("kserve", "grpc", "v2-grpc", 0.0013, stall_s=0.012),
    Made("triton", "grpc", "v2-grpc", 0.0009, gain=2.4, wire_s=0.0002),
)
NULLS = tuple(
    Made("null", name, name, service_s, 0.00002, role="ceiling", runtime="none")
    for name, service_s in (("raw", 0.00016), ("v1-json", 0.00017), ("v2-grpc", 0.0003))
)


@cache
def under_load() -> tuple[Record, ...]:
    """All load scenarios of ten endpoints, their ceilings, one that could not be had, and one whose client was too slow."""
    cells = [record for made in (*MADE, *NULLS) for record in _cells(made)]
    cells = [_client_bound(record) if _is_bound(record) else record for record in cells]
    return (*_ranked(cells), *_not_measured())


@cache
def many_under_load(n: int) -> tuple[Record, ...]:
    """`n` endpoints over five protocols in all load scenarios; their tails are copies of a few, for speed."""
    models = [list(_cells(made)) for made in MADE]
    protocols = ("v1-json", "raw", "v2-grpc", "graphpipe", "v2-json")
    found = []
    for place in range(n):
        changes: dict[str, Any] = {"backend": f"backend-{place:03}", "endpoint": "main", "protocol": protocols[place % 5]}
        found += [replace(record, **changes, rank=None) for record in models[place % len(models)]]
    return tuple(_ranked(found))


def a_load_record(kind: str, made: Made = MADE[3], **changes: Any) -> Record:
    """One cell: 8 clients, or Poisson arrivals at 70 % of the peak, or 15 ms."""
    pick = {"clients": "c08", "open-loop": "poisson70", "slo": "slo15ms"}[kind]
    record = next(record for record in _cells(made) if record.scenario == pick)
    return replace(record, **{"title": title_of(changes.get("scenario", pick)), **changes})


def _cells(made: Made) -> Iterator[Record]:
    yield from (_with_clients(made, clients) for clients in CLIENTS)
    yield from (_open_loop(made, load, Arrival.POISSON) for load in LOADS)
    if made.role == "server":
        yield _open_loop(made, 0.5, Arrival.CONSTANT)
        yield _under_limit(made)


def _base(made: Made, scenario: str, kind: str, **values: Any) -> Record:
    known: dict[str, Any] = {
        "backend": made.backend,
        "endpoint": made.endpoint,
        "protocol": made.protocol,
        "runtime": made.runtime,
        "role": made.role,
        "scenario": scenario,
        "batch_size": 1,
        "engine": "process",
        "verdict": Verdict.VALID,
        "kind": kind,
        "title": title_of(scenario),
        "measured_s": _MEASURED_S,
        "accuracy": 0.843 if made.role == "server" else None,
        "agreement": 1.0 if made.role == "server" else None,
        "again": f"pytest --benchmark-only --backend={made.backend} -k '{made.backend}-{made.endpoint}-{scenario}'",
    }
    return Record(**{**known, **values})


def _rate(made: Made, clients: int) -> float:
    """A closed loop: the wire is hidden from two clients on, batching helps up to `gain`."""
    alone = 1 / (made.service_s + made.wire_s)
    most = made.gain / made.service_s
    return float(min(clients * alone, most * (1 - 0.35 * np.exp(-clients / 3.0))))


def _peak(made: Made) -> float:
    return _rate(made, CLIENTS[-1])


def _tails(latencies: Floats) -> dict[str, Any]:
    return {
        "exchanges": len(latencies),
        "latency_mean_s": float(latencies.mean()),
        "latency_p50_s": latency_percentile(latencies, 0.5),
        "latency_p90_s": latency_percentile(latencies, 0.9),
        "latency_p95_s": latency_percentile(latencies, 0.95),
        "latency_p99_s": latency_percentile(latencies, 0.99),
        "latency_p999_s": latency_percentile(latencies, 0.999),
        "latency_hdr": encode_latencies(latencies),
    }


def _with_clients(made: Made, clients: int) -> Record:
    rate = _rate(made, clients)
    rng = np.random.default_rng(clients)
    latencies = clients / rate * rng.lognormal(-0.5 * made.spread**2, made.spread, int(min(rate * _MEASURED_S, 1500)))
    ceiling = _rate(next(null for null in NULLS if null.protocol == made.protocol), clients)
    return _base(
        made,
        f"c{clients:02}",
        "clients",
        concurrency=clients,
        images_per_s=rate,
        images_per_s_low=rate * 0.985,
        images_per_s_high=rate * 1.012,
        ceiling_fraction=rate / ceiling if made.role == "server" else None,
        **_tails(latencies),
    )


def _queue(made: Made, rate: float, arrival: Arrival, at_least: int = 60) -> Floats:
    """Latencies of a queue with one server (Lindley's recursion), sometimes stalled."""
    rng = np.random.default_rng(7)
    n = int(min(max(rate * _MEASURED_S, at_least), 2500))
    gaps = rng.exponential(1 / rate, n) if arrival is Arrival.POISSON else np.full(n, 1 / rate)
    service = rng.lognormal(-0.5 * made.spread**2, made.spread, n) / _peak(made)
    service[rng.random(n) > 0.998] += made.stall_s
    steps = np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    waits = steps - np.minimum.accumulate(steps)
    return np.asarray(waits + service + made.wire_s, dtype=np.float64)


def _open_loop(made: Made, load: float, arrival: Arrival) -> Record:
    peak = _peak(made)
    rate = peak * load
    return _base(
        made,
        f"{arrival}{round(100 * load)}",
        "open-loop",
        concurrency=64,
        arrival=arrival,
        load=load,
        peak_per_s=peak,
        offered_per_s=rate,
        images_per_s=rate * 0.998,
        images_per_s_low=rate * 0.995,
        images_per_s_high=rate * 1.001,
        late_sends=3,
        lag_p99_s=0.00031,
        **_tails(_queue(made, rate, arrival)),
    )


def _under_limit(made: Made) -> Record:
    """The search: the highest of some rates that holds the limit, the next one for the other end of the bracket."""
    peak = _peak(made)
    held: tuple[float, Floats] | None = None
    for load in np.arange(0.95, 0.04, -0.05):
        latencies = _queue(made, peak * load, Arrival.POISSON, at_least=1200)
        if (latency_percentile(latencies, 0.99) or 1.0) <= SLO_S:
            held = (float(load), latencies)
            break
    shared: dict[str, Any] = {"concurrency": 64, "arrival": Arrival.POISSON, "slo_s": SLO_S, "peak_per_s": peak}
    if held is None:
        reason = "no rate held the limit: at 5 % of its peak, p99 was above 15 ms"
        return _base(made, "slo15ms", "slo", images_per_s=0.0, reason=reason, **shared)
    rate = peak * held[0]
    return _base(
        made,
        "slo15ms",
        "slo",
        images_per_s=rate,
        images_per_s_low=rate,
        images_per_s_high=peak * (held[0] + 0.05),
        offered_per_s=rate,
        goodput_per_s=rate * 0.997,
        **shared,
        **_tails(held[1]),
    )


def _is_bound(record: Record) -> bool:
    return (record.ceiling_fraction or 0) > 0.7 or record.id == "nnef-raw-poisson90"


def _client_bound(record: Record) -> Record:
    reason = (
        f"reaches {record.ceiling_fraction:.0%} of what this client can do at all against null (believed up to 70%)"
        if record.ceiling_fraction
        else "the client sent 212 of 5500 requests more than 1 ms behind their schedule"
    )
    return replace(record, verdict=Verdict.CLIENT_BOUND, reason=reason)


def _ranked(cells: list[Record]) -> list[Record]:
    """Ranks within each scenario of several clients; those within 2 % share one."""
    found = []
    for record in cells:
        if record.kind == "clients" and record.role == "server" and record.verdict is Verdict.VALID:
            others = [
                r.images_per_s or 0.0
                for r in cells
                if r.scenario == record.scenario and r.role == "server" and r.verdict is Verdict.VALID
            ]
            record = replace(record, rank=1 + sum(speed > 1.02 * (record.images_per_s or 0.0) for speed in others))
        found.append(record)
    return found


def _not_measured() -> Iterator[Record]:
    made = Made("tensorflow-serving", "rest", "v1-json", 0.001, runtime="tensorflow")
    reason = "image tensorflow/serving:2.19.1 cannot be pulled: no registry answers (tried for 30 s). Pull it, or log in."
    nothing: dict[str, Any] = {"engine": None, "measured_s": 0.0, "accuracy": None, "agreement": None}
    for record in _cells(made):
        asked: dict[str, Any] = {key: getattr(record, key) for key in ("concurrency", "arrival", "load", "slo_s", "again")}
        verdict = {"verdict": Verdict.NOT_MEASURED, "reason": reason}
        yield _base(made, record.scenario, record.kind, **asked, **nothing, **verdict)
