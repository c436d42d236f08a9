"""The section "Under load": its tables, from the records alone, with the same figures for every report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Arrival
from bench.contract.system import Role
from bench.statistics import min_samples
from reports.tables.clean_text import listed, more, one_line, shortened
from reports.tables.columns import COLUMNS, Column
from reports.tables.load_cells import (
    COMPARABLE,
    Level,
    Loaded,
    concurrencies,
    endpoints_of,
    equal_load,
    has_latency,
    is_answered,
    is_shown,
    levels_of,
    limits_of,
    protocols_of,
    tail,
    under_load,
)
from reports.tables.tables import MISSING, Table, load_table, milliseconds, number, ratio, times

_MARKS = {Verdict.UNSTABLE: "~", Verdict.CLIENT_BOUND: "†", Verdict.OVERSUBSCRIBED: "‡", Verdict.CACHED: "§"}
_OTHER_MARK = "*"
_INSTEAD: dict[str, str] = {
    Verdict.WRONG_ANSWERS: "wrong",
    Verdict.FAILED: "failed",
    Verdict.NOT_MEASURED: MISSING,
    Verdict.SATURATED: "fell behind",
}
_CELL, _PROTOCOL = COLUMNS["cell"], COLUMNS["protocol"]
_KINDS = (("Several clients", "clients"), ("Open loop", "open-loop"), ("Search for the highest rate", "slo"))

Figure = tuple[Column, Callable[[Loaded], str]]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One endpoint: its name, its protocol and a figure for each further column."""

    endpoint: Loaded
    texts: tuple[str, ...]

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Of all its cells under load: what the page's filter goes by."""
        return tuple(sorted({str(record.verdict) for record in self.endpoint.cells.values()}))


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table with a row an endpoint; rows of one protocol stand together. `note` explains the marks that it uses."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[MatrixRow, ...]
    instruments: tuple[MatrixRow, ...] = ()
    note: str = ""

    def without(self, keys: Sequence[str]) -> Matrix:
        """The same table without these columns."""
        places = [n for n, column in enumerate(self.columns) if column.key not in keys]
        rows, instruments = (
            tuple(MatrixRow(row.endpoint, tuple(row.texts[n] for n in places)) for row in part)
            for part in (self.rows, self.instruments)
        )
        return Matrix(self.key, self.title, tuple(self.columns[n] for n in places), rows, instruments, self.note)


@dataclass(frozen=True, slots=True)
class LoadSection:
    """All that a report says of cells under load; nothing where a run has none."""

    endpoints: tuple[Loaded, ...] = ()
    ceilings: tuple[Loaded, ...] = ()
    answers: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    unranked: str = ""
    glance: Matrix | None = None
    sweep: tuple[Matrix, ...] = ()
    levels: tuple[Matrix, ...] = ()
    limits: tuple[Matrix, ...] = ()
    loops: Matrix | None = None
    tails: str = ""
    method: tuple[Table, ...] = ()
    again: tuple[tuple[str, str], ...] = ()


def load_section(records: Sequence[Record]) -> LoadSection:
    """From all records of a run; those of one client only lend their closed-loop figures."""
    endpoints, ceilings = endpoints_of(records), endpoints_of(records, Role.CEILING)
    if not endpoints:
        return LoadSection()
    loaded = under_load(records)
    return LoadSection(
        endpoints=tuple(endpoints),
        ceilings=tuple(ceilings),
        answers=answers(endpoints),
        details=details(endpoints),
        unranked=unranked(endpoints),
        glance=_glance(endpoints),
        sweep=_sweep(endpoints, ceilings),
        levels=_levels(endpoints, ceilings),
        limits=tuple(_limit(scenario, endpoints) for scenario in limits_of(endpoints)),
        loops=_loops(endpoints, records),
        tails=tails(endpoints),
        method=_method(endpoints, ceilings),
        again=tuple((one_line(record.id), one_line(record.again)) for record in loaded if record.again),
    )


def figure(record: Record | None, text: Callable[[Record], str]) -> str:
    """The text of one cell: its mark if it is not VALID, and no figure where that would be no server's."""
    if record is None:
        return MISSING
    if record.verdict in _INSTEAD:
        return _INSTEAD[record.verdict]
    mark = "" if record.verdict == Verdict.VALID else _MARKS.get(record.verdict, _OTHER_MARK)
    shown = text(record) if is_shown(record) else ""
    return " ".join(part for part in (shown, mark if shown != MISSING else "") if part)


def clients_title(clients: int) -> str:
    """`8 clients`."""
    return f"{clients} client{'' if clients == 1 else 's'}"


def level_title(level: Level) -> str:
    """`70 %` of the peak, or `200/s`."""
    return f"{100 * level.value:g} %" if level.of_peak else f"{level.value:,g}/s" if level.value else level.scenario


def _matrix(
    key: str,
    title: str,
    figures: Sequence[Figure],
    endpoints: Sequence[Loaded],
    ceilings: Sequence[Loaded] = (),
    note: str = "",
) -> Matrix:
    columns = (_CELL, _PROTOCOL, *(column for column, _ in figures))
    rows, instruments = (
        tuple(MatrixRow(x, (x.name, one_line(x.first.protocol), *(text(x) for _, text in figures))) for x in part)
        for part in (endpoints, ceilings)
    )
    return Matrix(
        key, title, columns, rows, instruments, " ".join(part for part in (note, _marks((*rows, *instruments))) if part)
    )


def _marks(rows: Sequence[MatrixRow]) -> str:
    """The marks that stand in these rows, explained."""
    used = {text[-1] for row in rows for text in row.texts[2:] if text}
    told = [f"{mark} {verdict}." for verdict, mark in (*_MARKS.items(), ("another verdict", _OTHER_MARK)) if mark in used]
    return " ".join(told)


def _sweep(endpoints: Sequence[Loaded], ceilings: Sequence[Loaded]) -> tuple[Matrix, ...]:
    """Throughput and tail by the number of clients."""
    clients = concurrencies(endpoints)
    if not clients:
        return ()
    speeds: list[Figure] = [
        _of_clients(n, lambda record: number(record.images_per_s), "Requests answered per second") for n in clients
    ]
    if len(clients) > 1:
        hint = f"Throughput with {clients_title(clients[-1])} over that with {clients_title(clients[0])}, with its interval."
        speeds.append((Column("gain", "Gain", hint), lambda x: ratio(*gain(x))))
    tails = [_of_clients(n, _tail_text, "Latency that 99 of 100 requests kept within, ms,") for n in clients]
    return (
        _matrix("clients", "Requests/s by the number of clients", speeds, endpoints, ceilings),
        _matrix("clients-p99", "p99 in ms by the number of clients", tails, endpoints, ceilings, _tail_note()),
    )


def _of_clients(clients: int, text: Callable[[Record], str], what: str) -> Figure:
    column = Column(f"c{clients:02}", clients_title(clients), f"{what} with {clients_title(clients)}.")
    return column, lambda x: figure(x.clients.get(clients), text)


def _levels(endpoints: Sequence[Loaded], ceilings: Sequence[Loaded]) -> tuple[Matrix, ...]:
    """Tails by offered load, a table for each way of arrival."""
    groups: dict[tuple[Arrival, bool], list[Level]] = {}
    for level in levels_of(endpoints):
        groups.setdefault((level.arrival, level.of_peak), []).append(level)
    found = []
    for (arrival, of_peak), levels in groups.items():
        what = "the part of its own peak" if of_peak else "the rate"
        figures: list[Figure] = [_of_level(level) for level in levels]
        if of_peak:
            hint = "Requests/s that it carried in a closed loop of several clients just before: what the parts are parts of."
            figures.insert(0, (Column("peak", "Peak/s", hint), lambda x, levels=levels: _peak_text(x, levels)))  # type: ignore[misc]
        title = f"p99 in ms by {what} that is offered, {arrival} arrivals"
        found.append(_matrix(f"{arrival}-{'load' if of_peak else 'rate'}", title, figures, endpoints, ceilings, _tail_note()))
    return tuple(found)


def _of_level(level: Level) -> Figure:
    hint = f"Latency from the scheduled send that 99 of 100 requests kept within, ms, at {level_title(level)}."
    return Column(level.scenario, level_title(level), hint), lambda x: figure(x.cells.get(level.scenario), _tail_text)


def _peak_text(endpoint: Loaded, levels: Sequence[Level]) -> str:
    """The mean of what these levels are parts of: each looked at the peak anew."""
    cells = [endpoint.cells.get(level.scenario) for level in levels]
    peaks = [cell.peak_per_s for cell in cells if cell is not None and is_answered(cell) and cell.peak_per_s]
    return number(fmean(peaks) if peaks else None)


def _tail_text(record: Record) -> str:
    """p99, or the highest percentile that n supports, named."""
    known = tail(record)
    if known is None:
        return MISSING
    name, seconds = known
    return milliseconds(seconds) + ("" if name == "p99" else f" ({name})")


def _tail_note() -> str:
    return f"Where fewer than {min_samples(0.99)} requests support no p99, the highest percentile that they do stands there."


def _limit(scenario: str, endpoints: Sequence[Loaded]) -> Matrix:
    """The highest rate under one limit, the fastest of each protocol first."""
    mine = [x for x in endpoints if scenario in x.cells]
    order = {protocol: n for n, protocol in enumerate(dict.fromkeys(x.first.protocol for x in mine))}
    mine.sort(key=lambda x: (order[x.first.protocol], -(x.cells[scenario].images_per_s or 0.0)))
    limit = limit_text(mine[0].cells[scenario])
    figures: list[Figure] = [
        (Column(key, title, hint, numeric), lambda x, text=text: figure(x.cells[scenario], text))  # type: ignore[misc]
        for key, title, hint, numeric, text in (
            ("rate", "Highest rate/s", f"Poisson requests/s at which p99 stayed under {limit}.", True, _rate_text),
            (
                "bracket",
                "Bracket",
                "The search ended between these rates: the lower one was shown to hold the limit, the upper one not.",
                True,
                _bracket_text,
            ),
            ("goodput", "Goodput/s", f"Requests/s that were answered within {limit}, at that rate.", True, _goodput_text),
            ("p99", "p99 ms", "Latency at that rate that 99 of 100 requests kept within.", True, _tail_text),
            (
                "share",
                "Of its peak",
                "That rate as a share of what it carries in a closed loop of several clients.",
                True,
                _share_text,
            ),
        )
    ]
    figures.append((COLUMNS["verdict"], lambda x: str(x.cells[scenario].verdict)))
    return _matrix(scenario, f"Highest rate with p99 under {limit}", figures, mine)


def _rate_text(record: Record) -> str:
    return "none held it" if record.images_per_s == 0 else number(record.images_per_s)


def _bracket_text(record: Record) -> str:
    if not record.images_per_s:
        return MISSING
    if record.images_per_s_high is None:
        return f"from {number(record.images_per_s_low)}, no end found"
    return f"{number(record.images_per_s_low)} to {number(record.images_per_s_high)}"


def _goodput_text(record: Record) -> str:
    return number(record.goodput_per_s)


def _share_text(record: Record) -> str:
    if not record.peak_per_s or not record.images_per_s:
        return MISSING
    return f"{number(100 * (record.load or record.images_per_s / record.peak_per_s), digits=2)} %"


def _loops(endpoints: Sequence[Loaded], records: Sequence[Record]) -> Matrix | None:
    """The closed loop of one client beside the open loop at equal load, of those that have both."""
    level = equal_load(endpoints)
    if level is None:
        return None
    alone = {(r.backend, r.endpoint): r for r in records if r.scenario == "single" and r.kind == "throughput"}
    closed = {x.name: x.clients.get(1) or alone.get((x.first.backend, x.first.endpoint)) for x in endpoints}
    both = [x for x in endpoints if closed[x.name] is not None and level.scenario in x.cells]
    if not both:
        return None
    figures: list[Figure] = []
    for key, title in (("closed", "Closed loop, 1 client"), ("open", f"Open loop, {level_title(level)}")):
        for name, text in (("p50", _p50_text), ("p99", _tail_text)):
            hint = f"{name} of a request, {title.lower()}{' of its peak' if key == 'open' else ''}."
            column = Column(f"{key}-{name}", f"{title}: {name} ms", hint)
            figures.append((column, _loop_figure(closed if key == "closed" else None, level, text)))
    title = "The same servers asked in two ways"
    return _matrix("loops", title, figures, both, note=_tail_note())


def _loop_figure(
    closed: dict[str, Record | None] | None, level: Level, text: Callable[[Record], str]
) -> Callable[[Loaded], str]:
    return lambda x: figure(x.cells[level.scenario] if closed is None else closed[x.name], text)


def _p50_text(record: Record) -> str:
    return milliseconds(record.latency_p50_s)


def _glance(endpoints: Sequence[Loaded]) -> Matrix:
    """A row an endpoint with the figures that matter: for the terminal."""
    figures: list[Figure] = []
    clients, level = concurrencies(endpoints), equal_load(endpoints)
    for n in dict.fromkeys([*clients[:1], *clients[-1:]]):
        column, text = _of_clients(n, lambda record: number(record.images_per_s), "Requests/s")
        figures.append((Column(column.key, f"{column.title} /s", column.hint), text))
    if level is not None:
        column, text = _of_level(level)
        figures.append((Column(column.key, f"p99 ms at {column.title}", column.hint), text))
    for scenario in limits_of(endpoints):
        limit = limit_text(next(x.cells[scenario] for x in endpoints if scenario in x.cells))
        column = Column(scenario, f"/s under {limit}", "The highest rate.")
        figures.append((column, lambda x, name=scenario: figure(x.cells.get(name), _rate_text)))  # type: ignore[misc]
    return _matrix("glance", "Under load", figures, endpoints)


def _method(endpoints: Sequence[Loaded], ceilings: Sequence[Loaded]) -> tuple[Table, ...]:
    """How each cell was measured, a table for each kind of load."""
    cells = [record for each in (*endpoints, *ceilings) for record in each.cells.values()]
    of_kind = ((title, [record for record in cells if record.kind == kind]) for title, kind in _KINDS)
    return tuple(load_table(title, mine) for title, mine in of_kind if mine)


_NAME_WIDTH = 60
_MOST_PROTOCOLS = 3

Gain = tuple[float | None, float | None, float | None]
Part = Callable[[Sequence[Loaded]], str]


def answers(endpoints: Sequence[Loaded]) -> tuple[str, ...]:
    """A sentence for each limit, and one for the clients, in short: who leads the fastest protocols, and the next behind it."""
    return _sentences(endpoints, brief=True)


def details(endpoints: Sequence[Loaded]) -> tuple[str, ...]:
    """What the answer left out: all protocols, and how far behind the last is."""
    brief = _sentences(endpoints, brief=True)
    return tuple(sentence for sentence in _sentences(endpoints, brief=False) if sentence not in brief)


def unranked(endpoints: Sequence[Loaded]) -> str:
    """How many cells may not be compared, by verdict; empty if none."""
    cells = [record for each in endpoints for record in each.cells.values()]
    counts: Counter[Verdict] = Counter(
        record.verdict for record in cells if record.verdict not in (*COMPARABLE, Verdict.SATURATED)
    )
    if not counts:
        return ""
    tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return f"{counts.total()} of {len(cells)} cells under load could not be compared: {tally}."


def tails(endpoints: Sequence[Loaded]) -> str:
    """How far tails lie apart at equal load; without intervals, so that no order is claimed."""
    level = equal_load(endpoints)
    if level is None:
        return ""
    parts = []
    for protocol, mine in protocols_of(endpoints).items():
        known = [(tail(x.cells[level.scenario]), x) for x in mine if has_latency(x.cells.get(level.scenario))]
        ends = sorted((of[1], x.name, x) for of, x in known if of is not None and of[0] == "p99")
        if len(ends) > 1:
            (low, _, first), (high, _, last) = ends[0], ends[-1]
            named = f"from {milliseconds(low)} ms ({_name(first)}) to {milliseconds(high)} ms ({_name(last)})"
            parts.append(f"{named} over {one_line(protocol)}")
    return f"At {100 * level.value:g} % of each one's own peak, p99 goes {'; '.join(parts)}." if parts else ""


def limit_text(record: Record) -> str:
    """`15 ms`."""
    return f"{1e3 * (record.slo_s or 0.0):g} ms"


def gain(endpoint: Loaded) -> Gain:
    """Throughput with the most clients over that with the fewest, with the interval that both allow."""
    cells = [r for r in endpoint.clients.values() if r.images_per_s and r.verdict in (*COMPARABLE, Verdict.CLIENT_BOUND)]
    numbers = list(endpoint.clients)
    if len(cells) < 2 or (cells[0].concurrency, cells[-1].concurrency) != (numbers[0], numbers[-1]):
        return None, None, None
    return _quotient(cells[-1], cells[0])


def _sentences(endpoints: Sequence[Loaded], *, brief: bool) -> tuple[str, ...]:
    """One for each question that a protocol has an answer to."""
    questions: list[tuple[str, Part]] = []
    for scenario in limits_of(endpoints):
        limit = limit_text(next(x.cells[scenario] for x in endpoints if scenario in x.cells))
        questions.append((f"Under {limit} at p99", lambda mine, name=scenario: _rate_part(mine, name, brief)))  # type: ignore[misc]
    clients = concurrencies(endpoints)
    if clients and clients[-1] > 1:
        questions.append((f"With {clients[-1]} clients", lambda mine: _clients_part(mine, clients[-1])))
    found = []
    for opening, part in questions:
        parts = [(protocol, part(mine)) for protocol, mine in protocols_of(endpoints).items()]
        told = [f"over {one_line(protocol)} {text}" for protocol, text in parts if text]
        if told:
            most = _MOST_PROTOCOLS if brief else len(told)
            rest = f"; {more(len(told) - most, 'protocol')} below" if len(told) > most else ""
            found.append(f"{opening}, {'; '.join(told[:most])}{rest}.")
        else:
            found.append(f"{opening}, no cell can be compared.")
    return tuple(found)


def _rate_part(endpoints: Sequence[Loaded], scenario: str, brief: bool) -> str:
    """Who carries the highest rate under a limit, how far ahead of the next and, unless brief, of the last; and who did not."""
    cells = [x.cells[scenario] for x in endpoints if scenario in x.cells]
    held = sorted(
        (r for r in cells if r.verdict in COMPARABLE and r.images_per_s), key=lambda r: (-(r.images_per_s or 0.0), r.id)
    )
    none = [_of(record) for record in cells if record.verdict in COMPARABLE and record.images_per_s == 0]
    bound = [_of(record) for record in cells if record.verdict == Verdict.CLIENT_BOUND]
    asides = [f"{listed(none)} held it at no rate that was tried"] if none and (not brief or not held) else []
    asides += [f"{listed(bound)} cannot be compared"] if bound else []
    told = _lead(held, brief) if held else ""
    return f"{told} ({'; '.join(asides)})" if told and asides else told or "; ".join(asides)


def _lead(held: Sequence[Record], brief: bool) -> str:
    """The first of those that held the limit, fastest first; who may be as fast is tied with it."""
    first = held[0]
    tied = [record for record in held if not _surely_faster(first, record)]
    behind = [record for record in held if _surely_faster(first, record)]
    told = f"{_of(first)} carries {number(first.images_per_s)} requests/s"
    if len(tied) > 1:
        speeds = [number(record.images_per_s) for record in tied]
        told = f"{listed([_of(record) for record in tied])} cannot be told apart with {speeds[0]} to {speeds[-1]} requests/s"
    elif not behind:
        told += ", the only one"
    if behind:
        whose = f", of which {_of(first)} carries" if len(tied) > 1 else ","
        told += f"{whose} {_times(first, behind[0])} the rate of {_of(behind[0])}"
    if len(behind) > 1 and not brief:
        told += f" and {_times(first, behind[-1])} that of the last, {_of(behind[-1])}"
    return told


def _clients_part(endpoints: Sequence[Loaded], clients: int) -> str:
    """Who answers most with many clients, and how much more than with one."""
    cells = [(x.clients[clients], x) for x in endpoints if clients in x.clients and x.clients[clients].images_per_s]
    ranked = [(r, x) for r, x in cells if r.verdict in COMPARABLE]
    ranked.sort(key=lambda pair: (pair[0].rank is None, pair[0].rank or 0, -(pair[0].images_per_s or 0.0)))
    if not ranked:
        return ""
    first, endpoint = ranked[0]
    tied = [r for r, _ in ranked if r.rank is not None and r.rank == first.rank]
    told = f"{_of(first)} answers {number(first.images_per_s)} requests/s"
    if len(tied) > 1:
        told = f"{listed([_of(record) for record in tied])} are tied; {told}"
    told += _more_than_alone(endpoint)
    bound = [
        r for r, _ in cells if r.verdict == Verdict.CLIENT_BOUND and (r.images_per_s or 0.0) >= (first.images_per_s or 0.0)
    ]
    if bound:
        told += f", and {listed([f'{_of(record)} at least {number(record.images_per_s)}' for record in bound])}"
    return told


def _more_than_alone(endpoint: Loaded) -> str:
    value, low, high = gain(endpoint)
    if value is None:
        return ""
    fewest = min(endpoint.clients)
    alone = "one" if fewest == 1 else str(fewest)
    if low is not None and high is not None and low <= 1 <= high:
        return f", as many as with {alone} as far as this run can tell"
    return f", {times(value, low, high)} as many as with {alone}"


def _quotient(over: Record, under: Record) -> Gain:
    """One throughput over another, with the widest interval that both allow."""
    value = (over.images_per_s or 0.0) / (under.images_per_s or 1.0)
    ends = (over.images_per_s_low, under.images_per_s_high, over.images_per_s_high, under.images_per_s_low)
    if any(not end for end in ends):
        return value, None, None
    low, high = (ends[0] or 0.0) / (ends[1] or 1.0), (ends[2] or 0.0) / (ends[3] or 1.0)
    return value, low, high


def _surely_faster(one: Record, other: Record) -> bool:
    """Whether the whole bracket of one lies above that of the other; a search that found no end may lie anywhere above."""
    low, high = one.images_per_s_low or one.images_per_s, other.images_per_s_high
    return one is not other and low is not None and high is not None and low > high


def _times(one: Record, other: Record) -> str:
    value, low, high = _quotient(one, other)
    return times(value or 0.0, low, high)


def _name(endpoint: Loaded) -> str:
    return shortened(endpoint.name, _NAME_WIDTH)


def _of(record: Record) -> str:
    """The name of a record's endpoint, and its verdict if it is not VALID."""
    name = shortened(f"{record.backend}-{record.endpoint}", _NAME_WIDTH)
    return name if record.verdict == Verdict.VALID else f"{name} ({record.verdict})"
