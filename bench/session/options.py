"""The options of how to measure; each is declared here, once."""

from dataclasses import dataclass

from bench.analysis.gate import threshold_of
from bench.contract.cluster.address import checked_address
from bench.contract.errors import BadInput
from bench.contract.options import OptionGroup, as_given, borrowed, list_option, option, path_option, switch, whole_number
from bench.contract.scenarios import DEFAULT_BATCH_SIZES, MOST_ITEMS, Arrival, Offer, Scenario, throughput_scenarios
from bench.experiments.clients import CLIENTS
from bench.experiments.open_loop import LOADS
from bench.experiments.startup import OWN, starts_of
from bench.load.scheduler import Settings
from bench.machine.host import client_cpu
from bench.machine.priority import Priority, priority_of
from bench.session.load_options import (
    ARRIVALS,
    agents_of,
    arrivals_of,
    checked_host,
    clients_of,
    cpus_of,
    limit_of,
    loads_of,
    replicas_of,
    soak_seconds,
)

_MOST_S = 24 * 3600
_MOST_ROUNDS = 1_000_000_000


def seed_of(text: str | None) -> int:
    """`42` -> 42; raises BadInput."""
    seed = whole_number(text or "0", 0, 2**32 - 1)
    if seed is None:
        raise BadInput(f"--seed {str(text)[:200]}: expected a whole number from 0 to {2**32 - 1}")
    return seed


def accuracy_batch_of(text: str | None) -> int:
    """`16` -> 16, 0 if not given; raises BadInput."""
    size = whole_number(text, 1, MOST_ITEMS) if text is not None else 0
    if size is None:
        raise BadInput(f"--accuracy-batch {str(text)[:200]}: expected a whole number of items a request, 1 to {MOST_ITEMS}")
    return size


def tolerance_of(text: str | None) -> float | None:
    """`1e-3` -> 0.001, None if not given; raises BadInput."""
    try:
        part = None if text is None else float(text)
    except ValueError:
        part = -1.0
    if part is not None and not 0 < part < 1:
        raise BadInput(f"--tolerance {str(text)[:200]}: expected a part of a number's size, above 0 and below 1, like 1e-3")
    return part


def _max_time(given: float) -> float:
    seconds = float(given)
    if not 0 < seconds <= _MOST_S:  # also if it is NaN
        raise BadInput(f"--benchmark-max-time {seconds:g}: expected seconds a cell, above 0 and at most {_MOST_S:,}")
    return seconds


def _min_rounds(given: int) -> int:
    if int(given) > _MOST_ROUNDS:
        raise BadInput(f"--benchmark-min-rounds {given}: expected rounds a cell, at most {_MOST_ROUNDS:,}")
    return int(given)


def _fraction(given: float | None) -> float | None:
    return given


@dataclass(frozen=True, slots=True)
class MeasuringOptions(OptionGroup):
    """The options of how to measure, parsed and checked.

    The command that measures a cell again leaves out those with `repeated=False`: they select cells, or only compare cells.
    """

    client_cpu: int = option(client_cpu, metavar="N", help="CPU that the client is pinned to; the last usable one if not given")
    client_priority: Priority = option(
        priority_of,
        metavar="auto|normal|N",
        default="auto",
        help="niceness of the client while it measures; auto: the best that this user may have, where no server shares its CPU",
    )
    ratio_to: str | None = option(
        as_given,  # checked when the backends are known
        metavar="NAME",
        help="backend or endpoint that speeds are compared with; the first of the 2018 study that is measured if not given",
        repeated=False,
        written_as="ratio_to",
    )
    batch_sizes: tuple[Scenario, ...] = option(
        lambda text: throughput_scenarios(text or DEFAULT_BATCH_SIZES),
        metavar="N[,N...]",
        default=DEFAULT_BATCH_SIZES,
        help="items a request of the throughput scenarios: 1 is `single`, 8 is `batch8`",
    )
    accuracy_batch: int = option(
        accuracy_batch_of,
        metavar="N",
        help="items a request of the accuracy pass; if not given about 1 MB of them, at most 128",
        written_as="accuracy_batch",
    )
    tolerance: float | None = option(
        tolerance_of,
        metavar="X",
        help="how far a number of an answer may be from the reference's, as a part of its size (of 1 for probabilities); "
        "1e-4 for float32 and float64, 1e-2 for float16 if not given",
        written_as="tolerance",
    )
    seed: int = option(
        seed_of, metavar="N", default="42", help="seed of the order of slices and of the bootstrap", written_as="seed"
    )
    gate: float | None = option(
        threshold_of,
        metavar="PERCENT",
        help="fail a cell that is surely slower than its --baseline by more than this: 5%",
        repeated=False,
    )
    clients: list[int] = option(
        clients_of,
        metavar="LIST",
        default=",".join(map(str, CLIENTS)),
        help="numbers of clients of the concurrency sweep, each in a closed loop",
        repeated=False,
    )
    loads: tuple[Offer, ...] = option(
        loads_of,
        metavar="LIST",
        default=",".join(f"{100 * load:g}%" for load in LOADS),
        help="what the open loop offers: parts of what a server carries, like 70%, or requests a second, like 200/s",
        repeated=False,
    )
    arrivals: tuple[Arrival, ...] = option(
        arrivals_of,
        metavar="|".join(ARRIVALS),
        default="poisson",
        help="gaps of the open loop's schedule",
        repeated=False,
    )
    slo: float | None = option(
        limit_of,
        metavar="TIME",
        default="15ms",
        help="limit of the 99th percentile of latency, for which the highest rate is looked for, like 15ms; 0 looks for none",
        repeated=False,
    )
    cpus: list[int] = path_option(
        cpus_of,
        metavar="LIST",
        help="numbers of CPUs of the scaling sweep (-m scaling): every server is started once for each, on the first of "
        "--server-cpus; 1, 2, 4 and so on, as many as there are, if not given",
        repeated=False,
    )
    replicas: list[int] = path_option(
        replicas_of,
        metavar="LIST",
        help="numbers of replicas (-m replicas): every server is started in as many instances as each says, each on one of "
        "--server-cpus, and clients are spread evenly over them; 1, 2, 4 and so on, as many as there are CPUs, if not given",
        repeated=False,
    )
    agents: int | str = option(
        agents_of,
        metavar="N|auto",
        help="so many processes send together what is under load (several clients, open loops, the search for a limit), each "
        "from a CPU of its own where there is one; auto: as many as it takes to load null fully; if not given the suite's own "
        "process sends",
        written_as="agents",
    )
    ray: str = option(
        checked_address,
        metavar="local|HOST:PORT",
        help="a Ray cluster, on whose nodes the load agents run, --agents in all or one a node; local: one of this machine "
        "alone, for this run",
        written_as="ray",
    )
    starts: int | None = option(
        starts_of,
        metavar="own|N",
        default=OWN,
        help="start-up: own: of the starts that the run needs anyway; N: of so many fresh ones, step by step; 0: not",
        repeated=False,
    )
    may_load: tuple[str, ...] = list_option(
        lambda texts, _: tuple(map(checked_host, texts)),
        metavar="HOST",
        help="a host other than this machine that may be loaded: several clients, open loops, the search for a limit",
        written_as="may_load",
    )
    soak: float = option(
        soak_seconds,
        metavar="SECONDS",
        default="3600",
        help="how long bench/soak.py goes on (tox -e soak)",
        repeated=False,
    )
    strict_backends: bool = switch(
        help="a backend that cannot be measured fails instead of being skipped",
        repeated=False,
        written_as="strict",
        may_differ=True,  # it decides what fails, not what is measured
    )
    # pytest-benchmark's options, but here they hold for a whole cell: it gets all of --benchmark-max-time.
    max_time_s: float = borrowed("--benchmark-max-time", _max_time, default="1.0", written_as="max_time_s")
    min_rounds: int = borrowed("--benchmark-min-rounds", _min_rounds, default="5", written_as="min_rounds")
    precision: float | None = borrowed("--benchmark-precision", _fraction, written_as="precision")
    confidence: float = borrowed("--benchmark-confidence", float, default="0.99", written_as="confidence")

    @property
    def settings(self) -> Settings:
        """The campaign settings that these options give."""
        return Settings(
            max_time_s=self.max_time_s,
            min_rounds=self.min_rounds,
            precision=self.precision,
            confidence=self.confidence,
            seed=self.seed,
        )
