"""How throughput grows with a server's CPUs or replicas, and what each of them adds: the section on any such sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Record
from bench.contract.system import Role
from reports.charts.load.scaling import scaling_chart
from reports.sections.load.figures import Figure, endpoint_table, figure
from reports.sections.section import DOCUMENTS, EVERYWHERE, PAGE, Items, Lean, Picture, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import ends, listed, one_line
from reports.tables.columns import Column
from reports.tables.load_cells import CellsUnderLoad, Loaded, endpoints_of
from reports.tables.names import endpoint_name, of_kinds, title_of
from reports.tables.numbers import number, ratio, times
from reports.tables.sweeps import Sweep
from reports.tables.table import Table

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Growth:
    """The section on a `sweep`: `note` says how it was measured, `shared` what it means if `{titles}` had the client's CPU."""

    sweep: Sweep
    title: str
    note: str
    shared: str

    def section(self, stored: StoredRun) -> Section:
        """The section; empty if the sweep was not measured."""
        name, cells = self.sweep.kind, self.cells(stored.records)
        if not cells.endpoints:
            return Section(name, self.title)
        told = self.answers(stored.records)
        limited = self._limits(cells.endpoints)
        blocks = (
            Text(self.note, "intro", until=Lean.BACKGROUND),
            *(Text(sentence, on=PAGE) for sentence in told),
            Text(self._shared(stored, cells.endpoints), "note", "problems"),
            Picture(name, f"Throughput by the number of {self.sweep.noun}s", partial(scaling_chart, cells, self.sweep)),
            Tabular(self.table(cells), on=EVERYWHERE),
            *([Items(limited, shrinks=True, on=DOCUMENTS)] if limited else []),
        )
        return Section(name, self.title, blocks, finding=" ".join(told[:1]), filtered=True)

    def cells(self, records: Sequence[Record]) -> CellsUnderLoad:
        """The servers' endpoints and their ceilings."""
        mine = of_kinds(records, (self.sweep.kind,))
        return CellsUnderLoad(endpoints_of(mine), endpoints_of(mine, Role.CEILING))

    def answers(self, records: Sequence[Record]) -> tuple[str, ...]:
        """One sentence: with the highest number, which endpoint grew most and which least; none if it was not measured."""
        sweep = self.sweep
        cells = [record for record in of_kinds(records, (sweep.kind,)) if record.role == Role.SERVER]
        compared = [record for record in cells if record.verdict.comparable and record.cpu_efficiency is not None]
        most = max(map(sweep.count, cells), default=0)
        last = sorted((r for r in compared if sweep.count(r) == most), key=lambda r: -(r.cpu_efficiency or 0.0))
        fewest = min(map(sweep.count, compared), default=most)
        if not most or most == fewest:
            return ()
        where = f"{sweep.preposition.capitalize()} {sweep.title(most)}"
        if not last:
            return (f"{where} no cell can be compared.",)
        told = f"{where} {self._grown(last[0], fewest)}"
        return (f"{told}; {self._grown(last[-1], fewest)}." if len(last) > 1 else f"{told}.",)

    def _grown(self, record: Record, fewest: int) -> str:
        """`flask-rest answers 1.80 times (1.75 to 1.85) what it does on 1`, with its verdict if that is not VALID."""
        grown = self.sweep.count(record) / fewest
        scaled = [None if each is None else grown * each for each in (record.cpu_efficiency_low, record.cpu_efficiency_high)]
        doubt = f" ({record.verdict})" if record.verdict.doubt else ""
        factor = times(grown * (record.cpu_efficiency or 0.0), *scaled)
        return f"{endpoint_name(record)}{doubt} answers {factor} what it does {self.sweep.preposition} {fewest}"

    def table(self, cells: CellsUnderLoad) -> Table:
        """A row for each endpoint: its speed with each number, then what each CPU or replica is worth beyond the fewest."""
        records = {r.scenario: r for x in (*cells.endpoints, *cells.ceilings) for r in x.cells.values()}
        order = sorted(records.values(), key=lambda record: (record.batch_size, self.sweep.count(record)))
        fewest = {record.batch_size: record.scenario for record in reversed(order)}
        figures: list[Figure] = [self._speed(record) for record in order]
        figures += [self._worth(record) for record in order if record.scenario not in fewest.values()]
        table = endpoint_table(self.sweep.kind, f"Images/s by the number of {self.sweep.noun}s", figures, cells)
        return replace(table, terminal=tuple(column.key for column in table.columns if column.key != "protocol"))

    def _speed(self, of: Record) -> Figure:
        title = title_of(of)
        hint = f"Images answered per second {self.sweep.preposition} {title}, with {of.concurrency} clients."
        return Column(of.scenario, title, hint), lambda x: figure(x.cells.get(of.scenario), lambda r: number(r.images_per_s))

    def _worth(self, of: Record) -> Figure:
        title = title_of(of)
        hint = f"Throughput for each of {title} over that for each of the fewest, with its 95 % interval."
        column = Column(f"{of.scenario}-each", f"Each of {title}", hint)

        def text(record: Record) -> str:
            return ratio(record.cpu_efficiency, record.cpu_efficiency_low, record.cpu_efficiency_high)

        return column, lambda x: figure(x.cells.get(of.scenario), text)

    def _limits(self, endpoints: Sequence[Loaded]) -> tuple[str, ...]:
        """Why an endpoint was not measured with some numbers though it was with others: a sentence for each endpoint."""
        told = []
        for endpoint in endpoints:
            absent = [record for record in endpoint.cells.values() if record.verdict.absent and record.reason]
            if not absent or len(absent) == len(endpoint.cells):
                continue
            titles = listed([title_of(record) for record in self.sweep.ordered(absent)])
            where = f"{endpoint.name}, not measured {self.sweep.preposition} {titles}"
            told.append(f"{where}: {ends(one_line(absent[0].reason), _LONGEST_REASON)}")
        return tuple(told)

    def _shared(self, stored: StoredRun, endpoints: Sequence[Loaded]) -> str:
        """`shared` for the numbers at which client and servers shared a CPU; empty if they never did."""
        environment, backends = stored.run.environment, stored.run.backends
        agents = environment.get("agents")
        senders = list(agents.values()) if isinstance(agents, Mapping) else []
        clients = [environment.get("client_cpu"), *(each.get("cpu") for each in senders if isinstance(each, Mapping))]
        shared: dict[int, str] = {}
        for record in (record for endpoint in endpoints for record in endpoint.cells.values()):
            count = self.sweep.count(record)
            facts = backends.get(self.sweep.start(record.backend, count), BackendFacts())
            if any(cpu in clients for cpu in facts.cpus_here or ()):
                shared[count] = title_of(record)
        return self.shared.format(titles=listed([title for _, title in sorted(shared.items())])) if shared else ""
