"""The answer under load, from the records alone: a sentence for each limit, and one for the clients."""

from collections import Counter
from collections.abc import Callable, Sequence

from bench.contract.records import Record, Verdict
from reports.sections.load.clients import gain, quotient
from reports.tables.clean_text import listed, more, one_line, shortened
from reports.tables.load_cells import Loaded, concurrencies, limits_of, protocols_of
from reports.tables.names import endpoint_name, limit_title
from reports.tables.numbers import number, times

_NAME_WIDTH = 60
_MOST_PROTOCOLS = 3

Part = Callable[[Sequence[Loaded]], str]


def answers(endpoints: Sequence[Loaded]) -> tuple[str, ...]:
    """A short sentence for each limit, and one for the clients: the leader of each of the fastest protocols, and the next."""
    return _sentences(endpoints, brief=True)


def details(endpoints: Sequence[Loaded]) -> tuple[str, ...]:
    """The sentences in full, if the short ones left something out: all protocols, and how far behind the last is."""
    brief = _sentences(endpoints, brief=True)
    return tuple(sentence for sentence in _sentences(endpoints, brief=False) if sentence not in brief)


def unranked(endpoints: Sequence[Loaded]) -> str:
    """How many cells may not be compared, by verdict; empty if none."""
    cells = [record for each in endpoints for record in each.cells.values()]
    counts = Counter(record.verdict for record in cells if not (record.verdict.ranked or record.verdict.outcome))
    if not counts:
        return ""
    tally = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    return f"{counts.total()} of {len(cells)} cells under load could not be compared: {tally}."


def _sentences(endpoints: Sequence[Loaded], *, brief: bool) -> tuple[str, ...]:
    """A sentence for each question: each limit, and the most clients."""
    questions: list[tuple[str, Part]] = []
    for scenario in limits_of(endpoints):
        limit = limit_title(next(x.cells[scenario].slo_s or 0.0 for x in endpoints if scenario in x.cells))
        questions.append((f"Under {limit} at p99", lambda mine, name=scenario: _rate_part(mine, name, brief)))  # type: ignore[misc]
    clients = concurrencies(endpoints)
    if clients and clients[-1] > 1:
        questions.append((f"With {clients[-1]} clients", lambda mine: _clients_part(mine, clients[-1])))
    sentences = []
    for opening, part in questions:
        parts = [(protocol, part(mine)) for protocol, mine in protocols_of(endpoints).items()]
        told = [f"over {one_line(protocol)} {text}" for protocol, text in parts if text]
        if told:
            most = _MOST_PROTOCOLS if brief else len(told)
            rest = f"; {more(len(told) - most, 'protocol')} below" if len(told) > most else ""
            sentences.append(f"{opening}, {'; '.join(told[:most])}{rest}.")
        else:
            sentences.append(f"{opening}, no cell can be compared.")
    return tuple(sentences)


def _rate_part(endpoints: Sequence[Loaded], scenario: str, brief: bool) -> str:
    """Which endpoint has the highest rate under a limit, how far ahead of the next and, unless brief, last; which held none."""
    cells = [x.cells[scenario] for x in endpoints if scenario in x.cells]
    held = sorted((r for r in cells if r.verdict.ranked and r.images_per_s), key=lambda r: (-(r.images_per_s or 0.0), r.id))
    none = [_of(record) for record in cells if record.verdict.ranked and record.images_per_s == 0]
    bound = [_of(record) for record in cells if record.verdict.lower_bound]
    asides = [f"{listed(none)} held it at no rate that was tried"] if none and (not brief or not held) else []
    asides += [f"{listed(bound)} cannot be compared"] if bound else []
    told = _lead(held, brief) if held else ""
    return f"{told} ({'; '.join(asides)})" if told and asides else told or "; ".join(asides)


def _lead(held: Sequence[Record], brief: bool) -> str:
    """The leader of those that `held` the limit (fastest first); those that may be as fast are tied with it."""
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
    """Which endpoint answers most with `clients` clients, and how much more than with the fewest; empty if none is ranked."""
    cells = [(x.clients[clients], x) for x in endpoints if clients in x.clients and x.clients[clients].images_per_s]
    ranked = [(r, x) for r, x in cells if r.verdict.ranked]
    ranked.sort(key=lambda pair: (pair[0].rank is None, pair[0].rank or 0, -(pair[0].images_per_s or 0.0)))
    if not ranked:
        return ""
    first, endpoint = ranked[0]
    tied = [r for r, _ in ranked if r.rank is not None and r.rank == first.rank]
    told = f"{_of(first)} answers {number(first.images_per_s)} requests/s"
    if len(tied) > 1:
        told = f"{listed([_of(record) for record in tied])} are tied; {told}"
    told += _more_than_alone(endpoint)
    bound = [r for r, _ in cells if r.verdict.lower_bound and (r.images_per_s or 0.0) >= (first.images_per_s or 0.0)]
    if bound:
        told += f", and {listed([f'{_of(record)} at least {number(record.images_per_s)}' for record in bound])}"
    return told


def _more_than_alone(endpoint: Loaded) -> str:
    value, low, high = gain(endpoint.clients)
    if value is None:
        return ""
    fewest = min(endpoint.clients)
    alone = "one" if fewest == 1 else str(fewest)
    if low is not None and high is not None and low <= 1 <= high:
        return f", as many as with {alone} as far as this run can tell"
    return f", {times(value, low, high)} as many as with {alone}"


def _surely_faster(one: Record, other: Record) -> bool:
    """Whether the whole bracket of one is above that of the other; a search that found no upper end may be anywhere above."""
    low, high = one.images_per_s_low or one.images_per_s, other.images_per_s_high
    return one is not other and low is not None and high is not None and low > high


def _times(one: Record, other: Record) -> str:
    value, low, high = quotient(one, other)
    return times(value or 0.0, low, high)


def _of(record: Record) -> str:
    """The name of a record's endpoint, and its verdict if it is not VALID."""
    name = shortened(endpoint_name(record), _NAME_WIDTH)
    return name if record.verdict.believed else f"{name} ({record.verdict})"
