"""Names of cells, endpoints and scenarios, and the choice of cells for a section."""

from collections.abc import Collection, Sequence

from bench.contract.records import Record
from reports.tables.clean_text import one_line


def endpoint_name(record: Record) -> str:
    """`<backend>-<endpoint>`: a cell's name within its scenario."""
    return one_line(f"{record.backend}-{record.endpoint}")


def base_name(ratio_to: str, scenario: str) -> str:
    """The cell that a ratio refers to, as it is named in the table of its scenario."""
    return one_line(ratio_to.removesuffix(f"-{scenario}"))


def batch_title(batch_size: int) -> str:
    """The number of images in a request, in words."""
    return "Single images" if batch_size == 1 else f"Batches of {batch_size}"


def clients_title(clients: int) -> str:
    """`8 clients`."""
    return f"{clients} client{'' if clients == 1 else 's'}"


def limit_title(slo_s: float) -> str:
    """`15 ms`."""
    return f"{1e3 * slo_s:g} ms"


def title_of(record: Record) -> str:
    """The scenario in words."""
    return one_line(record.title or record.scenario)


def of_kinds(records: Sequence[Record], kinds: Collection[str]) -> list[Record]:
    """The cells of one of these kinds."""
    return [record for record in records if record.kind in kinds]


def scenarios_of(records: Sequence[Record]) -> list[str]:
    """Names of the scenarios that have a cell, by the size of their requests, then by name."""
    sizes = {record.scenario: record.batch_size for record in records}
    return sorted(sizes, key=lambda name: (sizes[name], name))
