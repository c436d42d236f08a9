"""The answer in a sentence a scenario, from the records alone, honest about ties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from bench.contract.records import Record, Verdict
from bench.contract.system import Role
from reports.sections.cells import accuracy, speed
from reports.sections.load import answers as load_answers
from reports.sections.load.under_load import endpoints_under_load
from reports.sections.section import EVERYWHERE, MARKDOWN, NOWHERE, PAGE, TERMINAL, Block, Details, Items, Section, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import listed, one_line, shortened
from reports.tables.names import base_name, endpoint_name, of_kinds, scenarios_of, title_of
from reports.tables.numbers import number, times

_NAME_WIDTH = 60


def section(stored: StoredRun) -> Section:
    """What the run found, first of one client, then under load."""
    records = stored.records
    endpoints = endpoints_under_load(records)
    sentences = load_answers.answers(endpoints)
    if of_kinds(records, (*speed.KINDS, *accuracy.KINDS)) or not sentences:
        sentences = (*answers(records), *sentences)
    by_group = (*by_protocol(records), *by_runtime(records), *load_answers.details(endpoints))
    blocks: list[Block] = [Text(sentence, on=EVERYWHERE) for sentence in sentences]
    if by_group:
        blocks.append(Details("Protocol by protocol, runtime by runtime", (Items(by_group),), aside=True, on=PAGE))
        blocks += [Text(sentence, on=MARKDOWN) for sentence in by_group]
    blocks.append(Text(unranked(records), "aside", "problems", on=EVERYWHERE))
    blocks.append(Text(load_answers.unranked(endpoints), on=TERMINAL))
    return Section("answer", "The answer", tuple(blocks), style="answer", heading_on=NOWHERE)


def answers(records: Sequence[Record]) -> tuple[str, ...]:
    """One sentence for each scenario that compares speed."""
    servers = [record for record in of_kinds(records, speed.KINDS) if record.role == Role.SERVER]
    if not servers:
        return ("This run compared no speeds.",)
    return tuple(_answer([record for record in servers if record.scenario == name]) for name in scenarios_of(servers))


def by_protocol(records: Sequence[Record]) -> tuple[str, ...]:
    """Who leads within each protocol, a sentence for each scenario with more than one: JSON and binary are not one race."""
    return _by_group(records, "protocol", lambda record: record.protocol)


def by_runtime(records: Sequence[Record]) -> tuple[str, ...]:
    """Who leads among those on the same runtime, likewise: a server is not its runtime."""
    return _by_group(records, "runtime", lambda record: record.runtime)


def _by_group(records: Sequence[Record], what: str, group_of: Callable[[Record], str]) -> tuple[str, ...]:
    cells = [record for record in of_kinds(records, speed.KINDS) if record.role == Role.SERVER]
    servers = [record for record in cells if record.rank is not None and record.images_per_s]
    sentences = []
    for scenario in scenarios_of(servers):
        cells = sorted((r for r in servers if r.scenario == scenario), key=lambda r: (r.rank or 0, -(r.images_per_s or 0.0)))
        groups = list(dict.fromkeys(map(group_of, cells)))
        if len(groups) < 2:
            continue
        leaders = [f"{one_line(group)}: {_group_lead([r for r in cells if group_of(r) == group])}" for group in groups]
        sentences.append(f"{title_of(cells[0])}, each {what} by itself: {'; '.join(leaders)}.")
    return tuple(sentences)


def _group_lead(cells: Sequence[Record]) -> str:
    """The first of one group, ties included; who is alone in it leads nobody."""
    leaders = [record for record in cells if record.rank == cells[0].rank]
    names = listed([_name(record) for record in leaders])
    field = (
        "the only one" if len(cells) == 1 else f"ahead of {len(cells) - len(leaders)}" if len(leaders) < len(cells) else "tied"
    )
    return f"{names} with {_speeds(leaders)} ({field})"


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
    phrase = f"For {title_of(cells[0]).lower()},"
    ranked = sorted((r for r in cells if r.rank is not None and r.images_per_s), key=lambda r: (r.rank, -(r.images_per_s or 0)))
    if not ranked:
        apart = "; not all were measured side by side" if _of_two_runs(cells) else ""
        return f"{phrase} no cell can be ranked: {_tally(cells)}{apart}."
    leaders = [record for record in ranked if record.rank == ranked[0].rank]
    followers = [record for record in ranked if record.rank != ranked[0].rank]
    names = listed([_name(record) for record in leaders])
    if not followers:
        if len(leaders) == 1:
            return f"{phrase} {names} answers {_speeds(leaders)}; there is nothing to compare it with."
        return f"{phrase} {names} cannot be told apart, with {_speeds(leaders)}."
    return f"{phrase} {names} {_lead(leaders, followers)}."


def _lead(leaders: Sequence[Record], followers: Sequence[Record]) -> str:
    """What the best have reached, and how far the next and the last are behind the one of them that they were compared with."""
    next_group = [record for record in followers if record.rank == followers[0].rank]
    last = followers[-1]
    first = next((record for record in leaders if last.leader == record.id or _refers(last, record)), leaders[0])
    behind = f"{_factor(first, next_group[0])} as fast as {listed([_name(record) for record in next_group])}"
    if last not in next_group:
        behind += f" and {_factor(first, last)} as fast as the last, {_name(last)}"
    if len(leaders) == 1:
        return f"is fastest with {_speeds(leaders)}, {behind}"
    return f"are tied in the lead with {_speeds(leaders)}; {_name(first)} is {behind}"


def _name(record: Record) -> str:
    name = shortened(endpoint_name(record), _NAME_WIDTH)
    return name if record.verdict.believed else f"{name} ({record.verdict})"


def _speeds(records: Sequence[Record]) -> str:
    speeds = [number(record.images_per_s) for record in records]
    shown = f"{speeds[0]} to {speeds[-1]}" if len(speeds) > 2 else " and ".join(speeds)
    return f"{shown} images/s"


def _factor(fast: Record, slow: Record) -> str:
    """How many times as fast, with its interval where one of the two was compared with the other."""
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
    """`2 FAILED, 1 NOT_MEASURED`; `believed` is what those are called that nothing speaks against."""
    counts = Counter(record.verdict for record in records)
    words = {verdict: believed if believed and verdict.believed else verdict for verdict in Verdict}
    return ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict])


def _of_two_runs(cells: Sequence[Record]) -> bool:
    """Whether some were measured by another run than others: these were not side by side."""
    return len({record.taken_from for record in cells if record.images_per_s is not None}) > 1
