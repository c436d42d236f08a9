"""The traffic patterns; a scenario says what is sent and how, never to whom."""

from dataclasses import dataclass
from enum import StrEnum

from bench.contract.errors import BadInput

CONNECTIONS = 64
"""The most that any scenario uses; a request on a schedule that finds all of them busy waits for one, on its own clock."""

IMAGES_PER_S = "images/s"

LOADING_MARKS = frozenset({"load", "scaling", "replicas"})
"""Marks of the benchmarks in which several ask at once: measured where -m speaks of them."""


class Arrival(StrEnum):
    """When the next request is sent."""

    CLOSED_LOOP = "closed-loop"  # after the last answer
    POISSON = "poisson"  # on a schedule, with exponential gaps
    CONSTANT = "constant"  # on a schedule, with equal gaps


@dataclass(frozen=True, slots=True)
class Offer:
    """What an open loop offers: the part `load` of a server's peak, or `rate_per_s` requests a second."""

    load: float | None = None
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One traffic pattern: `batch_size` images a request, `concurrency` connections at the most.

    `name` is what results, test names and options call it, `title` what people read, `unit` that of the figure it is about.
    `kind` names the question that it belongs to: the module of `bench/experiments/` that measures it (`open-loop`:
    `open_loop.py`), and so the section of the report that shows it. Requests on a schedule come at `rate_per_s` requests a
    second, or at the part `load` of what the server carried in a closed loop just before, or, where `slo_s` is given, at the
    highest rate whose 99th percentile of latency stays under that limit. On `cpus` CPUs a server has a start of its own; where
    it is None, it has those of the run. Of `replicas` instances, which are a start of its own too, each has one CPU; where it
    is None, there is one instance, on the CPUs above. Raises ValueError.
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
        """CPUs of the start that only this scenario has; None where it has none of its own."""
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
    """One client in a closed loop, so many images a request: `single`, `batch8`, `batch128`."""
    name, title = ("single", "Single images") if batch_size == 1 else (f"batch{batch_size}", f"Batches of {batch_size}")
    return Scenario(name, batch_size, title=title)


SINGLE = throughput_scenario(1)
BATCH_128 = throughput_scenario(128)
ACCURACY = Scenario("accuracy", batch_size=128, kind="accuracy", title="Accuracy", unit="share of images")

_ACCURACY_BYTES = 2**20  # of a request's items, where one has less than that


def accuracy_batch(item_bytes: int) -> int:
    """Items a request of the accuracy pass, where nobody asks for another number: about 1 MB of them, at most 128."""
    return max(1, min(ACCURACY.batch_size, _ACCURACY_BYTES // max(1, item_bytes)))


THROUGHPUT_SCENARIOS = (SINGLE, BATCH_128)

DEFAULT_BATCH_SIZES = ",".join(str(scenario.batch_size) for scenario in THROUGHPUT_SCENARIOS)

MOST_ITEMS = 4096
"""In one request: the largest batch of Triton's configuration."""

_BATCH_SIZES = range(1, MOST_ITEMS + 1)


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
