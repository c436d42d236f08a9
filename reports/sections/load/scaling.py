"""The section on scaling: how far each server's throughput grows with its CPUs, and what each of them adds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Record
from bench.contract.system import Role, on_cpus
from reports.charts.load.scaling import scaling_chart
from reports.sections.load.figures import Figure, endpoint_table, figure
from reports.sections.section import DOCUMENTS, EVERYWHERE, PAGE, Items, Lean, Picture, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import ends, listed, one_line
from reports.tables.columns import Column
from reports.tables.load_cells import CellsUnderLoad, Loaded, endpoints_of
from reports.tables.names import endpoint_name, of_kinds, title_of
from reports.tables.numbers import number, ratio, times
from reports.tables.table import Table

KINDS = ("scaling",)
TITLE = "Scaling with CPUs"
NOTE = (
    "Each server was started once for each number of CPUs, told to use them as its own documentation advises "
    "(docs/backends.md), and all starts took turns, with more clients than a server can serve at once. What each CPU is worth: "
    "throughput over CPUs, as a share of the same on the fewest; 1 is a server that wastes none, as thin lines in the picture. "
    "null, the ceiling, has the CPUs of the run in every column: above 70 % of it the one client is what was measured."
)
SHARED = (
    "On {titles} the client had one of the server's CPUs, so these cells say that answers are right, and little of how servers "
    "scale: give servers CPUs of their own with --server-cpus, and the client another one with --client-cpu."
)
_LONGEST_REASON = 300


def section(stored: StoredRun) -> Section:
    """Nothing where it was not measured."""
    cells = cells_by_cpus(stored.records)
    if not cells.endpoints:
        return Section("scaling", TITLE)
    told = answers(stored.records)
    limited = limits(cells.endpoints)
    blocks = (
        Text(NOTE, "intro", until=Lean.BACKGROUND),
        *(Text(sentence, on=PAGE) for sentence in told),
        Text(_shared(stored, cells.endpoints), "note", "problems"),
        Picture("scaling", "Throughput by the number of CPUs", partial(scaling_chart, cells)),
        Tabular(scaling_table(cells), on=EVERYWHERE),
        *([Items(limited, shrinks=True, on=DOCUMENTS)] if limited else []),
    )
    return Section("scaling", TITLE, blocks, finding=" ".join(told[:1]), filtered=True)


def cells_by_cpus(records: Sequence[Record]) -> CellsUnderLoad:
    """The servers' endpoints and their ceilings."""
    mine = of_kinds(records, KINDS)
    return CellsUnderLoad(endpoints_of(mine), endpoints_of(mine, Role.CEILING))


def answers(records: Sequence[Record]) -> tuple[str, ...]:
    """One sentence: whose CPUs are worth most on the most of them, and whose least; none where it was not measured."""
    cells = [record for record in of_kinds(records, KINDS) if record.role == Role.SERVER]
    compared = [record for record in cells if record.verdict.comparable and record.cpu_efficiency is not None]
    most = max((record.cpus or 0 for record in cells), default=0)
    last = sorted((r for r in compared if r.cpus == most), key=lambda r: -(r.cpu_efficiency or 0.0))
    fewest = min((record.cpus or 0 for record in compared), default=most)
    if not most or most == fewest:
        return ()
    if not last:
        return (f"On {most} CPUs no cell can be compared.",)
    told = f"On {most} CPUs {_grown(last[0], fewest)}"
    return (f"{told}; {_grown(last[-1], fewest)}." if len(last) > 1 else f"{told}.",)


def _grown(record: Record, fewest: int) -> str:
    """`flask-rest answers 1.80 times (1.75 to 1.85) what it does on 1`, marked where it is not VALID."""
    grown = (record.cpus or 0) / fewest
    scaled = [None if each is None else grown * each for each in (record.cpu_efficiency_low, record.cpu_efficiency_high)]
    doubt = f" ({record.verdict})" if record.verdict.doubt else ""
    factor = times(grown * (record.cpu_efficiency or 0.0), *scaled)
    return f"{endpoint_name(record)}{doubt} answers {factor} what it does on {fewest}"


def scaling_table(cells: CellsUnderLoad) -> Table:
    """A row an endpoint: its speed on each number of CPUs, then what each CPU is worth on more than the fewest."""
    records = {r.scenario: r for x in (*cells.endpoints, *cells.ceilings) for r in x.cells.values()}
    order = sorted(records.values(), key=lambda record: (record.batch_size, record.cpus or 0))
    fewest = {record.batch_size: record.scenario for record in reversed(order)}
    figures: list[Figure] = [_speed(record) for record in order]
    figures += [_worth(record) for record in order if record.scenario not in fewest.values()]
    table = endpoint_table("scaling", "Images/s by the number of CPUs", figures, cells)
    return replace(table, terminal=tuple(column.key for column in table.columns if column.key != "protocol"))


def _speed(of: Record) -> Figure:
    title = title_of(of)
    column = Column(of.scenario, title, f"Images answered per second on {title}, with {of.concurrency} clients.")
    return column, lambda x: figure(x.cells.get(of.scenario), lambda record: number(record.images_per_s))


def _worth(of: Record) -> Figure:
    title = title_of(of)
    hint = f"Throughput for each of {title} over that for each of the fewest, with its 95 % interval."
    column = Column(f"{of.scenario}-each", f"Each of {title}", hint)

    def text(record: Record) -> str:
        return ratio(record.cpu_efficiency, record.cpu_efficiency_low, record.cpu_efficiency_high)

    return column, lambda x: figure(x.cells.get(of.scenario), text)


def limits(endpoints: Sequence[Loaded]) -> tuple[str, ...]:
    """Why an endpoint has no figure on more CPUs though it has one on fewer: a sentence each."""
    told = []
    for endpoint in endpoints:
        absent = [record for record in endpoint.cells.values() if record.verdict.absent and record.reason]
        if not absent or len(absent) == len(endpoint.cells):
            continue
        titles = listed([title_of(record) for record in sorted(absent, key=lambda record: record.cpus or 0)])
        told.append(f"{endpoint.name}, not measured on {titles}: {ends(one_line(absent[0].reason), _LONGEST_REASON)}")
    return tuple(told)


def _shared(stored: StoredRun, endpoints: Sequence[Loaded]) -> str:
    """On how many CPUs client and servers had one in common; empty where they had none."""
    environment, backends = stored.run.environment, stored.run.backends
    agents = environment.get("agents")
    senders = list(agents.values()) if isinstance(agents, Mapping) else []
    clients = [environment.get("client_cpu"), *(each.get("cpu") for each in senders if isinstance(each, Mapping))]
    shared: dict[int, str] = {}
    for record in (record for endpoint in endpoints for record in endpoint.cells.values() if record.cpus):
        facts = backends.get(on_cpus(record.backend, record.cpus or 0), BackendFacts())
        if any(cpu in clients for cpu in facts.server_cpus or ()):
            shared[record.cpus or 0] = title_of(record)
    return SHARED.format(titles=listed([title for _, title in sorted(shared.items())])) if shared else ""
