"""The result of a cell: what a test gets back for the cell that it is parametrised with."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bench.contract.records import Record, Samples
from bench.contract.rows import GateOutcome, GateRow, change_text

_EXTRA_INFO = (
    "verdict",
    "reason",
    "images_per_s",
    "images_per_s_low",
    "images_per_s_high",
    "ratio",
    "ratio_low",
    "ratio_high",
    "ratio_to",
    "rank",
    "latency_p50_s",
    "latency_p90_s",
    "latency_p95_s",
    "latency_p99_s",
    "latency_p999_s",
    "accuracy",
    "agreement",
    "max_abs_diff",
    "ceiling_fraction",
    "server_cpu_s_per_image",
    "server_peak_memory_bytes",
    "energy_j_per_image",
    "batch_size",
    "protocol",
    "runtime",
    "engine",
)


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell's result for its test; `strict` makes a cell that could not be measured a failure instead of a skip.

    `samples` is None if the cell was not measured; `gate` is its gate row, None if it is not gated.
    """

    record: Record
    duration_s: Sequence[float]
    samples: Samples | None
    strict: bool = False
    gate: GateRow | None = None

    def require_measured(self) -> None:
        """End the running test, as skipped or failed, if there is nothing to replay."""
        unanswered = self.record.verdict.outcome and not self.duration_s
        if (self.record.verdict.absent or unanswered) and not self.strict:
            pytest.skip(f"{self.record.id} was not measured: {self.record.reason}")
        if self.record.verdict.absent or not self.duration_s:
            pytest.fail(f"{self.record.id}: {self.record.verdict}: {self.record.reason}", pytrace=False)

    def require_right(self) -> None:
        """Fail the running test if the server failed or answered wrongly; any other verdict is only a remark."""
        if self.record.verdict.fails_test:
            pytest.fail(f"{self.record.id}: {self.record.verdict}: {self.record.reason}", pytrace=False)

    def require_no_regression(self) -> None:
        """Fail the running test if the gate is sure that this cell is slower than allowed; no-op if it is not gated."""
        if self.gate is not None and self.gate.outcome is GateOutcome.FAIL:
            row = self.gate
            allowed = f"at most {100 * row.threshold:g} % slower is allowed"
            pytest.fail(
                f"{self.record.id}: gate: {change_text(row)} against the baseline; {allowed}: {row.reason}", pytrace=False
            )

    def extra_info(self) -> dict[str, object]:
        """What pytest-benchmark's JSON holds besides the durations."""
        values = self.record.as_dict()
        gated = {} if self.gate is None else {"gate": self.gate.as_dict()}
        return {**{name: values[name] for name in _EXTRA_INFO}, **gated}
