"""Sweeps in which a server is started with more and more of something: CPUs, replicas."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.contract.records import Record
from bench.contract.system import in_replicas, on_cpus
from reports.tables.load_cells import Loaded, is_shown


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep, by its cells' `kind`: `number` is how many a cell's server had, `start` names a backend's start with so many."""

    kind: str
    noun: str
    preposition: str
    number: Callable[[Record], int | None]
    start: Callable[[str, int], str]

    def count(self, record: Record) -> int:
        """How many the cell's server had; 0 if the cell is not in the sweep."""
        return self.number(record) or 0

    def title(self, count: int) -> str:
        """`1 CPU`, `4 CPUs`."""
        return f"{count} {self.noun}{'s' * (count > 1)}"

    def shown(self, endpoint: Loaded) -> Mapping[int, Record]:
        """The endpoint's cells that have a speed to show, with the smallest requests, by `count`, ascending."""
        cells = [
            record for record in endpoint.cells.values() if self.count(record) and record.images_per_s and is_shown(record)
        ]
        smallest = min((record.batch_size for record in cells), default=1)
        return {self.count(record): record for record in self.ordered(cells) if record.batch_size == smallest}

    def ordered(self, records: Sequence[Record]) -> list[Record]:
        """Records sorted by `count`, ascending."""
        return sorted(records, key=self.count)


CPUS = Sweep("scaling", "CPU", "on", lambda record: record.cpus, on_cpus)
REPLICAS = Sweep("replicas", "replica", "with", lambda record: record.replicas, in_replicas)
