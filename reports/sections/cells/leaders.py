"""Which endpoints lead a group: within each protocol, and among those on the same runtime."""

from collections.abc import Callable, Sequence

from bench.contract.records import Record
from bench.contract.system import Role
from reports.tables.clean_text import listed, one_line, shortened
from reports.tables.names import endpoint_name, of_kinds, scenarios_of, title_of
from reports.tables.numbers import number

KINDS = ("throughput",)
_NAME_WIDTH = 60


def by_protocol(records: Sequence[Record]) -> tuple[str, ...]:
    """Which lead within each protocol, a sentence for each scenario with several: JSON and binary are not comparable."""
    return _by_group(records, "protocol", lambda record: record.protocol)


def by_runtime(records: Sequence[Record]) -> tuple[str, ...]:
    """Which lead among those on the same runtime, likewise: this compares servers, not their runtimes."""
    return _by_group(records, "runtime", lambda record: record.runtime)


def _by_group(records: Sequence[Record], what: str, group_of: Callable[[Record], str]) -> tuple[str, ...]:
    cells = [record for record in of_kinds(records, KINDS) if record.role == Role.SERVER]
    servers = [record for record in cells if record.rank is not None and record.images_per_s]
    sentences = []
    for scenario in scenarios_of(servers):
        cells = sorted((r for r in servers if r.scenario == scenario), key=lambda r: (r.rank or 0, -(r.images_per_s or 0.0)))
        groups = list(dict.fromkeys(map(group_of, cells)))
        if len(groups) < 2:
            continue
        leaders = [f"{one_line(group)}: {group_lead([r for r in cells if group_of(r) == group])}" for group in groups]
        sentences.append(f"{title_of(cells[0])}, each {what} by itself: {'; '.join(leaders)}.")
    return tuple(sentences)


def group_lead(cells: Sequence[Record]) -> str:
    """The leaders of one group, ties included, their speed, and how many they lead, or that it is the only one."""
    leaders = [record for record in cells if record.rank == cells[0].rank]
    names = listed([name_of(record) for record in leaders])
    field = (
        "the only one" if len(cells) == 1 else f"ahead of {len(cells) - len(leaders)}" if len(leaders) < len(cells) else "tied"
    )
    return f"{names} with {speeds_of(leaders)} ({field})"


def name_of(record: Record) -> str:
    """Its endpoint, and its verdict if it is not VALID."""
    name = shortened(endpoint_name(record), _NAME_WIDTH)
    return name if record.verdict.believed else f"{name} ({record.verdict})"


def speeds_of(records: Sequence[Record]) -> str:
    """`6,112 and 5,775 images/s`; of more than two the first and the last."""
    speeds = [number(record.images_per_s) for record in records]
    shown = f"{speeds[0]} to {speeds[-1]}" if len(speeds) > 2 else " and ".join(speeds)
    return f"{shown} images/s"
