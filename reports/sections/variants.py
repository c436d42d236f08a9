"""What another setting of a server changes, from the concurrency sweep: which gain from batching requests of many clients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Record
from bench.contract.system import Role
from reports.sections.load import clients
from reports.sections.section import Lean, Pairs, Section, Tabular, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import listed, one_line
from reports.tables.columns import Column
from reports.tables.names import endpoint_name, of_kinds
from reports.tables.numbers import milliseconds, ratio, times, with_interval
from reports.tables.table import text_table

NOTE = (
    "A variant is the same server with another setting, measured beside it. One that computes the requests of many clients "
    "together saves what a run of the model and its calls cost, and makes the first of them wait for the others: with one "
    "client that is all cost. The ratio is its images/s over those of the default setting; its interval comes from both "
    "intervals, and where it holds 1 this run cannot tell."
)
KINDS = clients.KINDS
_TITLE = "Variants: what another setting changes"
_COLUMNS = (
    Column("variant", "Variant", "The other setting, endpoint by endpoint.", numeric=False),
    Column("clients", "Clients", "Connections, each asks again once it was answered."),
    Column("default_speed", "Default, images/s", "Of the default setting, with the 95 % interval."),
    Column("speed", "Variant, images/s", "Of the variant, with the 95 % interval."),
    Column("ratio", "Ratio", "Speed of the variant over the default's, with an interval from both intervals."),
    Column("default_p50", "Default, p50 ms", "Half of all answers took at most this long."),
    Column("p50", "Variant, p50 ms", "Half of all answers took at most this long."),
    Column("default_cpu", "Default, CPU ms/image", "CPU time of the server's processes for one image."),
    Column("cpu", "Variant, CPU ms/image", "CPU time of the server's processes for one image."),
    Column("told", "Variant is", "Faster or slower where the whole interval says so.", numeric=False),
)


class Told(StrEnum):
    """What a run can tell about a variant compared with its default."""

    FASTER = "faster"
    SLOWER = "slower"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Pair:
    """One endpoint of a backend in its default setting and in another, with the same number of clients.

    `ratio` is the variant's speed over the default's; [low, high] is its interval, from both speeds' intervals, None without.
    """

    default: Record
    variant: Record
    ratio: float
    low: float | None
    high: float | None

    @property
    def clients(self) -> int:
        """Number of connections, the same for both."""
        return self.variant.concurrency

    @property
    def told(self) -> Told:
        """What the whole interval says, of comparable and steady cells; a speed limited by the client is a lower bound."""
        if not all(verdict.comparable and verdict.steady for verdict in (self.default.verdict, self.variant.verdict)):
            return Told.CANNOT_TELL
        if self.low is not None and self.low > 1 and not self.default.verdict.lower_bound:
            return Told.FASTER
        if self.high is not None and self.high < 1 and not self.variant.verdict.lower_bound:
            return Told.SLOWER
        return Told.CANNOT_TELL


def section(stored: StoredRun) -> Section:
    """All pairs, endpoint by endpoint, by number of clients; empty if the run has no variant."""
    differs = differences(stored.run.backends)
    if not differs:
        return Section("variants", _TITLE)
    rows = variant_rows(stored.run.backends, stored.records)
    blocks = (
        Text(NOTE, "intro"),
        *map(Text, sentences(stored.run.backends, stored.records)),
        *([Tabular(text_table("Variants", _COLUMNS, rows), until=Lean.REPLAY)] if rows else []),
        Pairs(differs),
    )
    return Section("variants", _TITLE, blocks, finding=sentences(stored.run.backends, stored.records)[0])


def differences(backends: Mapping[str, BackendFacts]) -> tuple[tuple[str, str], ...]:
    """Each variant's name, and its setting."""
    return tuple((one_line(name), one_line(backends[name].differs or "")) for name in _defaults(backends))


def variant_rows(backends: Mapping[str, BackendFacts], records: Sequence[Record]) -> list[tuple[str, ...]]:
    """The table's row for each pair."""
    return [_texts(pair) for sweep in _sweeps(_defaults(backends), records) for pair in sweep]


def sentences(backends: Mapping[str, BackendFacts], records: Sequence[Record]) -> tuple[str, ...]:
    """Which variants gain, endpoint by endpoint, and which could not be compared."""
    defaults = _defaults(backends)
    wanted = [r for r in records if r.role == Role.SERVER and r.backend in defaults]
    return tuple(_sentences(list(_sweeps(defaults, records)), wanted))


def _defaults(backends: Mapping[str, BackendFacts]) -> dict[str, str]:
    """By variant, the backend that it is a variant of."""
    return {name: facts.variant_of for name, facts in backends.items() if facts.variant_of}


def _sweeps(bases: Mapping[str, str], records: Sequence[Record]) -> Iterator[list[Pair]]:
    """For each endpoint and batch size, the pairs in which both have a speed, fewest clients first."""
    swept = [record for record in of_kinds(records, KINDS) if record.role == Role.SERVER]
    by_place = {_place(record, record.backend): record for record in swept}
    sweeps: dict[tuple[object, ...], list[Pair]] = {}
    for record in sorted((r for r in by_place.values() if r.backend in bases), key=lambda r: r.concurrency):
        default = by_place.get(_place(record, bases[record.backend]))
        pair = _pair(default, record) if default is not None else None
        if pair is not None:
            sweeps.setdefault((endpoint_name(record), record.batch_size), []).append(pair)
    order = list(bases)
    yield from sorted(sweeps.values(), key=lambda sweep: order.index(sweep[0].variant.backend))


def _pair(default: Record, variant: Record) -> Pair | None:
    """The pair of two cells; None if one of the two has no speed."""
    if not default.images_per_s or not variant.images_per_s:
        return None
    low = _over(variant.images_per_s_low, default.images_per_s_high)
    high = _over(variant.images_per_s_high, default.images_per_s_low)
    return Pair(default, variant, variant.images_per_s / default.images_per_s, low, high)


def _over(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _place(record: Record, backend: str) -> tuple[object, ...]:
    return backend, record.endpoint, record.protocol, record.batch_size, record.concurrency


def _sentences(sweeps: Sequence[list[Pair]], wanted: Sequence[Record]) -> Iterator[str]:
    if sweeps:
        yield _headline([sweep[-1] for sweep in sweeps])
        yield from map(_sentence, sweeps)
    else:
        yield (
            "No variant was measured with several clients beside its default setting, so this run cannot say who gains; "
            "the concurrency sweep (bench/test_concurrency.py) shows it."
        )
    compared = {endpoint_name(pair.variant) for sweep in sweeps for pair in sweep}
    left_out = [name for name in dict.fromkeys(map(endpoint_name, wanted)) if name not in compared]
    if sweeps and left_out:
        yield f"Not compared, for it or its default setting was not measured: {listed(left_out, most=len(left_out))}."


def _headline(ends: Sequence[Pair]) -> str:
    """Which gain, which lose and which cannot be told, each with the most clients that both settings were measured with."""
    most = {pair.clients for pair in ends}
    where = f"With {_clients(ends[0])}" if len(most) == 1 else "With the most clients that were measured"
    words = {Told.FASTER: "faster than the default setting", Told.SLOWER: "slower", Told.CANNOT_TELL: "not to be told apart"}
    parts = []
    for told, meaning in words.items():
        names = [_name(pair) for pair in ends if pair.told is told]
        if names:
            parts.append(f"{meaning}: {listed(names, most=len(names))}")
    return f"{where}, {'; '.join(parts)}."


def _name(pair: Pair) -> str:
    batch = f" in batches of {pair.variant.batch_size}" if pair.variant.batch_size > 1 else ""
    return f"{endpoint_name(pair.variant)}{batch}"


def _sentence(sweep: Sequence[Pair]) -> str:
    """Speed and CPU time with the most clients, from how many clients on it is faster, and the latency with one client."""
    last, first = sweep[-1], sweep[0]
    parts = [f"{_name(last)} with {_clients(last)}: {_speed(last)}{_cpu(last)}"]
    if len(sweep) > 1:
        parts.append(_threshold(sweep))
    if first.clients == 1 and first.default.latency_p50_s and first.variant.latency_p50_s:
        took, before = milliseconds(first.variant.latency_p50_s), milliseconds(first.default.latency_p50_s)
        parts.append(f"with one client half of all answers take up to {took} ms instead of {before}")
    return f"{'; '.join(parts)}."


def _speed(pair: Pair) -> str:
    beside, factor = endpoint_name(pair.default), times(pair.ratio, pair.low, pair.high)
    if pair.told is Told.CANNOT_TELL:
        return f"{factor} as fast as {beside}, so this run cannot tell{_doubt(pair)}"
    return f"{'at least ' if _bounds_client(pair) else ''}{factor} as fast as {beside}"


def _bounds_client(pair: Pair) -> bool:
    return pair.told is Told.FASTER and pair.variant.verdict.lower_bound


def _doubt(pair: Pair) -> str:
    """The pair's verdicts that put its figures in doubt, in brackets; empty if there are none."""
    verdicts = [f"{endpoint_name(r)} is {r.verdict}" for r in (pair.default, pair.variant) if not r.verdict.believed]
    return f" ({' and '.join(verdicts)})" if verdicts else ""


def _cpu(pair: Pair) -> str:
    took, before = pair.variant.server_cpu_s_per_image, pair.default.server_cpu_s_per_image
    if not took or not before:
        return ""
    return f", for {milliseconds(took)} ms of CPU an image instead of {milliseconds(before)}"


def _threshold(sweep: Sequence[Pair]) -> str:
    """The fewest clients from which on the variant is always faster, in words."""
    since = None
    for pair in reversed(sweep):
        if pair.told is not Told.FASTER:
            break
        since = pair
    if since is None:
        slower = [pair for pair in sweep if pair.told is Told.SLOWER]
        return "surely slower throughout" if len(slower) == len(sweep) else "not surely faster up to there"
    return "faster throughout" if since is sweep[0] else f"surely faster from {_clients(since)} on"


def _clients(pair: Pair) -> str:
    return "one client" if pair.clients == 1 else f"{pair.clients} clients"


def _texts(pair: Pair) -> tuple[str, ...]:
    default, variant = pair.default, pair.variant
    return (
        _name(pair),
        str(pair.clients),
        with_interval(default.images_per_s, default.images_per_s_low, default.images_per_s_high),
        with_interval(variant.images_per_s, variant.images_per_s_low, variant.images_per_s_high),
        ratio(pair.ratio, pair.low, pair.high),
        milliseconds(default.latency_p50_s),
        milliseconds(variant.latency_p50_s),
        milliseconds(default.server_cpu_s_per_image),
        milliseconds(variant.server_cpu_s_per_image),
        f"{pair.told}{_doubt(pair)}",
    )
