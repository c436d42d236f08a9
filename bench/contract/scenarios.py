"""The traffic patterns; a scenario says what is sent and how, never to whom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.contract.errors import BadInput


class Arrival(StrEnum):
    """When the next request is sent."""

    CLOSED_LOOP = "closed-loop"  # after the last answer
    POISSON = "poisson"  # on a schedule, with exponential gaps
    CONSTANT = "constant"  # on a schedule, with equal gaps


class Kind(StrEnum):
    """The question that a scenario answers: what is measured together, in one campaign."""

    THROUGHPUT = "throughput"  # one client in a closed loop
    ACCURACY = "accuracy"  # one pass over all images
    CLIENTS = "clients"  # several clients in a closed loop: the concurrency sweep
    OPEN_LOOP = "open-loop"  # requests on a schedule
    SLO = "slo"  # the highest rate under a limit of latency


@dataclass(frozen=True, slots=True)
class Scenario:
    """One traffic pattern: `batch_size` images a request, `concurrency` connections at the most.

    An open loop offers `rate_per_s` requests a second, or the part `load` of what the server carried in a closed loop just
    before. `slo_s` is the limit that the 99th percentile of latency must stay under. Raises ValueError.
    """

    name: str
    batch_size: int
    kind: Kind = Kind.THROUGHPUT
    concurrency: int = 1
    arrival: Arrival = Arrival.CLOSED_LOOP
    load: float | None = None
    rate_per_s: float | None = None
    slo_s: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.concurrency < 1:
            raise ValueError(f"scenario {self.name!r}: batch_size and concurrency must be at least 1")
        if self.kind is Kind.OPEN_LOOP and (self.load is None) == (self.rate_per_s is None):
            raise ValueError(f"scenario {self.name!r}: an open loop has either a load or a rate")
        if self.kind is Kind.SLO and self.slo_s is None:
            raise ValueError(f"scenario {self.name!r}: a search needs its limit, slo_s")


def throughput_scenario(batch_size: int) -> Scenario:
    """One client in a closed loop, so many images a request: `single`, `batch8`, `batch128`."""
    return Scenario("single" if batch_size == 1 else f"batch{batch_size}", batch_size)


SINGLE = throughput_scenario(1)
BATCH_128 = throughput_scenario(128)
ACCURACY = Scenario("accuracy", batch_size=128, kind=Kind.ACCURACY)

THROUGHPUT_SCENARIOS = (SINGLE, BATCH_128)

CONNECTIONS = 64
"""The most that an open loop uses; a request that finds all of them busy waits for one, on its own clock."""

CLIENTS = (1, 2, 4, 8, 16, 32)
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9)


def clients_scenario(clients: int) -> Scenario:
    """So many clients with single images: `c08`."""
    return Scenario(f"c{clients:02}", batch_size=1, kind=Kind.CLIENTS, concurrency=clients)


def open_loop_scenario(arrival: Arrival, *, load: float | None = None, rate_per_s: float | None = None) -> Scenario:
    """Single images on a schedule: `poisson70` offers 70 % of the peak, `constant-200rps` 200 requests a second."""
    name = f"{arrival}{100 * load:g}" if load is not None else f"{arrival}-{rate_per_s:g}rps"
    return Scenario(name.replace(".", "p"), 1, Kind.OPEN_LOOP, CONNECTIONS, arrival, load, rate_per_s)


def slo_scenario(limit_s: float) -> Scenario:
    """The highest Poisson rate of single images with a 99th percentile under the limit: `slo15ms`."""
    name = f"slo{1e3 * limit_s:g}ms".replace(".", "p")
    return Scenario(name, 1, Kind.SLO, CONNECTIONS, Arrival.POISSON, slo_s=limit_s)


DEFAULT_BATCH_SIZES = ",".join(str(scenario.batch_size) for scenario in THROUGHPUT_SCENARIOS)

_BATCH_SIZES = range(1, 4097)  # the largest batch of Triton's configuration


def throughput_scenarios(text: str) -> tuple[Scenario, ...]:
    """Those of `--batch-sizes`, like 1,8,128, smallest first; raises BadInput."""
    parts = [part.strip() for part in text.split(",")]
    sizes = [int(part) if part.isascii() and part.isdigit() and len(part) < 6 else 0 for part in parts]
    for part, size in zip(parts, sizes, strict=True):
        if size not in _BATCH_SIZES or sizes.count(size) > 1:
            seen = f"{part!r} twice" if size in _BATCH_SIZES else repr(part)
            raise BadInput(
                f"--batch-sizes {text}: expected whole numbers from {_BATCH_SIZES[0]} to {_BATCH_SIZES[-1]}, each once, "
                f"seen {seen}; give them like {DEFAULT_BATCH_SIZES}"
            )
    return tuple(map(throughput_scenario, sorted(sizes)))
