"""The traffic patterns; a scenario says what is sent and how, never to whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Arrival(StrEnum):
    """When the next request is sent."""

    CLOSED_LOOP = "closed-loop"  # after the last answer


@dataclass(frozen=True, slots=True)
class Scenario:
    """One traffic pattern: `batch_size` images a request, `concurrency` connections."""

    name: str
    batch_size: int
    concurrency: int = 1
    arrival: Arrival = Arrival.CLOSED_LOOP

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.concurrency < 1:
            raise ValueError(f"scenario {self.name!r}: batch_size and concurrency must be at least 1")


SINGLE = Scenario("single", batch_size=1)
BATCH_128 = Scenario("batch128", batch_size=128)
ACCURACY = Scenario("accuracy", batch_size=128)

THROUGHPUT_SCENARIOS = (SINGLE, BATCH_128)
