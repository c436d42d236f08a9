"""A run in the formats of other dashboards: Bencher's Metric Format, and github-action-benchmark's customBiggerIsBetter.

Only cells that are VALID and ranked are included: a dashboard draws whatever it is given, and has no place for a verdict.
Sources: bencher.dev/docs/reference/bencher-metric-format, github.com/benchmark-action/github-action-benchmark.
"""

from collections.abc import Sequence
from typing import Any

from bench.contract.records import Record


def bencher(records: Sequence[Record]) -> dict[str, Any]:
    """Bencher's own measures by cell: `throughput` in images/s with its interval, and `latency`, the median in ns."""
    return {record.id: _measures(record) for record in _told(records)}


def github_action_benchmark(records: Sequence[Record]) -> list[dict[str, Any]]:
    """A list of the cells' images/s; `range` is the larger side of the 95 % interval, `extra` is shown in a tooltip."""
    return [
        {
            "name": record.id,
            "unit": "images/s",
            "value": record.images_per_s,
            **({"range": f"± {_half_width(record):.3f}"} if record.images_per_s_low is not None else {}),
            "extra": f"{record.title or record.scenario}, {record.protocol}, {record.exchanges} exchanges",
        }
        for record in _told(records)
    ]


def _told(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.rank is not None and record.verdict.believed and record.images_per_s]


def _measures(record: Record) -> dict[str, dict[str, float]]:
    throughput = {"value": record.images_per_s, "lower_value": record.images_per_s_low, "upper_value": record.images_per_s_high}
    median_ns = None if record.latency_p50_s is None else 1e9 * record.latency_p50_s
    measures = {"throughput": throughput, "latency": {"value": median_ns}}
    known = {name: {key: x for key, x in figures.items() if x is not None} for name, figures in measures.items()}
    return {name: figures for name, figures in known.items() if figures}


def _half_width(record: Record) -> float:
    value, low, high = record.images_per_s or 0.0, record.images_per_s_low or 0.0, record.images_per_s_high or 0.0
    return max(high - value, value - low)
