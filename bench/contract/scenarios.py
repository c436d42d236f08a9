"""The traffic patterns; a scenario says what is sent and how, never to which server."""

from dataclasses import dataclass
from enum import StrEnum

from bench.contract.errors import BadInput

CONNECTIONS = 64
"""The most that any scenario uses; a scheduled request that finds all of them busy waits, and the wait is in its latency."""

IMAGES_PER_S = "images/s"

LOADING_MARKS = frozenset({"load", "scaling", "replicas"})
"""Marks of the benchmarks that send several requests at once: measured only if -m names them."""


class Arrival(StrEnum):
    """When the next request is sent."""

    CLOSED_LOOP = "closed-loop"  # after the last answer
    POISSON = "poisson"  # on a schedule, with exponential gaps
    CONSTANT = "constant"  # on a schedule, with equal gaps


@dataclass(frozen=True, slots=True)
class Offer:
    """The rate that an open loop offers: the fraction `load` of a server's peak, or `rate_per_s` requests a second."""

    load: float | None = None
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One traffic pattern: `batch_size` images per request, at most `concurrency` connections.

    `name` is used in results, test names and options, `title` is for people, `unit` is the unit of its main figure.
    `kind` names the question that it belongs to: the module of `bench/experiments/` that measures it (`open-loop`:
    `open_loop.py`), and the section of the report that shows it. Scheduled requests come at `rate_per_s` requests a
    second, or at the fraction `load` of what the server carried in a closed loop just before, or, if `slo_s` is given, at the
    highest rate whose 99th percentile of latency stays under that limit. If `cpus` is given, a separate start of the server
    on that many CPUs is measured; if None, it has the run's CPUs. If `replicas` is given, it is a separate start of that many
    instances on one CPU each; if None, there is one instance, on the CPUs above. Raises ValueError for invalid combinations.
    """

    name: str
    batch_size: int
    kind: str = "throughput"
    title: str = ""
    unit: str = IMAGES_PER_S
    concurrency: int = 1
    arrival: Arrival = Arrival.CLOSED_LOOP
    load: float | None = None
    rate_per_s: float | None = None
    slo_s: float | None = None
    cpus: int | None = None
    replicas: int | None = None

    @property
    def own_cpus(self) -> int | None:
        """Number of CPUs of the scenario's separate start of the server; None if it has none."""
        return self.replicas if self.cpus is None else self.cpus

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not 1 <= self.concurrency <= CONNECTIONS:
            wanted = f"batch_size must be at least 1, concurrency from 1 to {CONNECTIONS}"
            raise ValueError(f"scenario {self.name!r}: {wanted}, seen {self.batch_size} and {self.concurrency}")
        if self.own_cpus is not None and (self.own_cpus < 1 or None not in (self.cpus, self.replicas)):
            wanted = "one of cpus and replicas, at least 1"
            raise ValueError(f"scenario {self.name!r}: expected {wanted}, seen {self.cpus} and {self.replicas}")
        given = [value for value in (self.load, self.rate_per_s, self.slo_s) if value is not None]
        if len(given) != (self.arrival is not Arrival.CLOSED_LOOP) or any(value <= 0 for value in given):
            raise ValueError(
                f"scenario {self.name!r}: a schedule has one of load, rate_per_s, slo_s, above 0; a closed loop none"
            )


def throughput_scenario(batch_size: int) -> Scenario:
    """One client in a closed loop, `batch_size` images per request: `single`, `batch8`, `batch128`."""
    name, title = ("single", "Single images") if batch_size == 1 else (f"batch{batch_size}", f"Batches of {batch_size}")
    return Scenario(name, batch_size, title=title)


SINGLE = throughput_scenario(1)
BATCH_128 = throughput_scenario(128)
ACCURACY = Scenario("accuracy", batch_size=128, kind="accuracy", title="Accuracy", unit="share of images")

_ACCURACY_BYTES = 2**20  # of items in one request, unless one item is larger


def accuracy_batch(item_bytes: int) -> int:
    """Default number of items per request in the accuracy pass: about 1 MB of them, from 1 to 128."""
    return max(1, min(ACCURACY.batch_size, _ACCURACY_BYTES // max(1, item_bytes)))


THROUGHPUT_SCENARIOS = (SINGLE, BATCH_128)

DEFAULT_BATCH_SIZES = ",".join(str(scenario.batch_size) for scenario in THROUGHPUT_SCENARIOS)

MOST_ITEMS = 4096
"""Most items in one request: the largest batch of Triton's configuration."""

_BATCH_SIZES = range(1, MOST_ITEMS + 1)


def throughput_scenarios(text: str) -> tuple[Scenario, ...]:
    """The scenarios of `--batch-sizes`, such as 1,8,128, smallest first; raises BadInput."""
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
