"""The answer, from the records alone: which backend is fastest, each at its best, with ties, and whether answers are right."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from bench.contract.records import Record, Verdict
from bench.contract.system import Role
from reports.charts.speed import best_chart, protocol_colours
from reports.sections.cells import accuracy, speed
from reports.sections.cells.leaders import group_lead, name_of, speeds_of
from reports.sections.load import answers as load_answers
from reports.sections.load import replicas, scaling
from reports.sections.load.under_load import endpoints_under_load
from reports.sections.section import (
    DOCUMENTS,
    EVERYWHERE,
    MARKDOWN,
    NOWHERE,
    TERMINAL,
    Beside,
    Block,
    Picture,
    Section,
    Text,
)
from reports.store.store import StoredRun
from reports.tables.clean_text import listed, one_line
from reports.tables.names import base_name, endpoint_name, of_kinds, scenarios_of, title_of
from reports.tables.numbers import times

_MOST_PICTURES = 2
_MOST_PROTOCOLS = 2


def section(stored: StoredRun) -> Section:
    """A chart and a sentence for each scenario of one client, side by side; load; accuracy; what is left out."""
    records = stored.present().records
    endpoints = endpoints_under_load(records)
    under_load = (*load_answers.answers(endpoints), *scaling.answers(records), *replicas.answers(records))
    measured = bool(of_kinds(records, (*speed.KINDS, *accuracy.KINDS))) or not under_load
    left_out = (unranked(records), load_answers.unranked(endpoints), _absence(stored))
    blocks: list[Block] = list(_speeds_of(records)) if measured else []
    blocks += [Text(sentence, on=TERMINAL | MARKDOWN if measured else EVERYWHERE) for sentence in under_load]
    blocks += [
        Text(accuracy.finding(records), on=DOCUMENTS),
        Text(" ".join(filter(None, left_out)), "aside", "problems", on=EVERYWHERE),
    ]
    return Section("answer", "The answer", tuple(blocks), style="answer", heading_on=NOWHERE, folded=False)


def _speeds_of(records: Sequence[Record]) -> Sequence[Block]:
    """Each scenario's chart above its sentence; from the third scenario on, only the sentence."""
    colours = protocol_colours(of_kinds(records, speed.KINDS))
    best = [bests(_cells(records, scenario)) for scenario in _scenarios(records)]
    sentences = answers(records)
    groups = [(*([_picture(of, colours)] if of else []), Text(sentence)) for of, sentence in zip(best, sentences, strict=False)]
    alone = sentences[len(groups[:_MOST_PICTURES]) :]
    return (
        *([Beside(tuple(groups[:_MOST_PICTURES]))] if groups else []),
        *(Text(sentence) for sentence in alone),
        *(Text(sentence, on=TERMINAL) for sentence in sentences),
    )


def _picture(best: Sequence[Record], colours: Mapping[str, str]) -> Picture:
    title = f"{title_of(best[0])}: images/s, each backend at its best"
    return Picture(f"best-{best[0].scenario}", title, partial(best_chart, best, colours), heading=title)


def answers(records: Sequence[Record]) -> tuple[str, ...]:
    """One sentence for each scenario that compares speed."""
    scenarios = _scenarios(records)
    if not scenarios:
        return ("This run compared no speeds.",)
    return tuple(_answer(_cells(records, name)) for name in scenarios)


def bests(cells: Sequence[Record]) -> list[Record]:
    """Each backend's best VALID endpoint among the cells of one scenario, fastest first."""
    best: dict[str, Record] = {}
    for record in sorted(cells, key=_order):
        if record.verdict.believed and record.rank is not None and record.images_per_s:
            best.setdefault(record.backend, record)
    return list(best.values())


def _scenarios(records: Sequence[Record]) -> list[str]:
    return scenarios_of([record for record in of_kinds(records, speed.KINDS) if record.role == Role.SERVER])


def _cells(records: Sequence[Record], scenario: str) -> list[Record]:
    return [r for r in of_kinds(records, speed.KINDS) if r.role == Role.SERVER and r.scenario == scenario]


def _order(record: Record) -> tuple[int, float]:
    return record.rank or 0, -(record.images_per_s or 0.0)


def unranked(records: Sequence[Record]) -> str:
    """How many of the compared cells have no rank, by verdict; empty if none."""
    cells = [record for record in of_kinds(records, speed.KINDS) if record.role == Role.SERVER]
    left_out = [record for record in cells if record.rank is None]
    if not left_out:
        return ""
    apart = {scenario for scenario in scenarios_of(left_out) if _of_two_runs([r for r in cells if r.scenario == scenario])}
    why = "measured too briefly or in two runs" if apart else "measured too briefly"
    return f"{len(left_out)} of {len(cells)} cells could not be ranked: {_tally(left_out, why)}."


def _answer(cells: Sequence[Record]) -> str:
    """A sentence on each backend at its best, across protocols, and then within protocols that several backends speak."""
    phrase, valid = f"For {title_of(cells[0]).lower()},", bests(cells)
    best = valid or sorted((record for record in cells if record.rank is not None and record.images_per_s), key=_order)
    if not best:
        apart = "; not all were measured side by side" if _of_two_runs(cells) else ""
        return f"{phrase} no cell can be ranked: {_tally(cells)}{apart}."
    without = sorted({record.backend for record in cells} - {record.backend for record in valid})
    left_out = [f"no endpoint of {listed([one_line(name) for name in without])} is VALID"] if without else []
    return f"{phrase} {'; '.join([_across(best), *_within(cells, best[0]), *left_out])}."


def _across(best: Sequence[Record]) -> str:
    leaders = [record for record in best if record.rank == best[0].rank]
    followers = [record for record in best if record.rank != best[0].rank]
    names = listed([name_of(record) for record in leaders])
    if followers:
        return f"each at its best, {names} {_lead(leaders, followers)}"
    if len(leaders) == 1:
        return f"{names} answers {speeds_of(leaders)}; there is nothing to compare it with"
    return f"each at its best, {names} cannot be told apart, with {speeds_of(leaders)}"


def _within(cells: Sequence[Record], first: Record) -> list[str]:
    """`within v1-json fastapi-rest with 5,775 images/s (ahead of 3)`: for the most common protocols except `first`'s."""
    ranked = sorted((r for r in cells if r.rank is not None and r.images_per_s), key=_order)
    spoken = {protocol: [r for r in ranked if r.protocol == protocol] for protocol in dict.fromkeys(r.protocol for r in ranked)}
    shared = [mine for mine in spoken.values() if len({r.backend for r in mine}) > 1 and mine[0].protocol != first.protocol]
    most = sorted(shared, key=lambda mine: -len({r.backend for r in mine}))[:_MOST_PROTOCOLS]
    return [f"within {one_line(mine[0].protocol)} {group_lead(mine)}" for mine in most]


def _lead(leaders: Sequence[Record], followers: Sequence[Record]) -> str:
    """The leaders' speeds, and how far the next and the last are behind the leader that they were compared with."""
    next_group = [record for record in followers if record.rank == followers[0].rank]
    last = followers[-1]
    first = next((record for record in leaders if last.leader == record.id or _refers(last, record)), leaders[0])
    behind = f"{_factor(first, next_group[0])} as fast as {listed([name_of(record) for record in next_group])}"
    if last not in next_group:
        behind += f" and {_factor(first, last)} as fast as the last, {name_of(last)}"
    if len(leaders) == 1:
        return f"is fastest with {speeds_of(leaders)}, {behind}"
    return f"are tied in the lead with {speeds_of(leaders)}; {name_of(first)} is {behind}"


def _factor(fast: Record, slow: Record) -> str:
    """How many times as fast, with an interval if one of the two was compared with the other."""
    if slow.leader == fast.id and slow.leader_ratio:
        return times(slow.leader_ratio, slow.leader_ratio_low, slow.leader_ratio_high)
    if _refers(slow, fast) and slow.ratio and slow.ratio_low and slow.ratio_high:
        return times(1 / slow.ratio, 1 / slow.ratio_high, 1 / slow.ratio_low)
    if _refers(fast, slow) and fast.ratio and fast.ratio_low and fast.ratio_high:
        return times(fast.ratio, fast.ratio_low, fast.ratio_high)
    if fast.ratio and slow.ratio and fast.ratio_to == slow.ratio_to:
        return times(fast.ratio / slow.ratio)
    return times((fast.images_per_s or 0.0) / (slow.images_per_s or 1.0))


def _refers(record: Record, other: Record) -> bool:
    return record.ratio_to is not None and base_name(record.ratio_to, record.scenario) == endpoint_name(other)


def _tally(records: Sequence[Record], believed: str = "") -> str:
    """`2 FAILED, 1 NOT_MEASURED`; `believed`, if given, replaces the name of verdicts that are believed."""
    counts = Counter(record.verdict for record in records)
    words = {verdict: believed if believed and verdict.believed else verdict for verdict in Verdict}
    return ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict])


def _of_two_runs(cells: Sequence[Record]) -> bool:
    """Whether the cells were measured in different runs, and so not side by side."""
    return len({record.taken_from for record in cells if record.images_per_s is not None}) > 1


def _absence(stored: StoredRun) -> str:
    """The backends that could not be measured here at all, in one line; empty if none."""
    absent = sorted(one_line(name) for name in stored.absent())
    return f"Not measured here: {listed(absent, most=len(absent))}." if absent else ""
