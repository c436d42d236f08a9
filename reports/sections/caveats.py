"""What to know before believing the run: warnings, backends that were not isolated, and those that burn CPU while idle."""

from collections.abc import Mapping

from bench.contract.backend_facts import PAUSED_ABOVE, BackendFacts
from reports.sections.section import TERMINAL, Items, Section, Text
from reports.store.store import StoredRun
from reports.tables.clean_text import cut, listed, one_line
from reports.tables.numbers import number

_LONGEST_WHY = 300


def section(stored: StoredRun) -> Section:
    """All warnings; the terminal, which has room for few, shows only those on CPU burnt while idle."""
    run = stored.run
    idle = idle_sentences(run.backends)
    warnings = tuple(
        map(one_line, (*stored.notes, *run.warnings, *isolation_sentences(run.backends), *limit_sentences(run.backends), *idle))
    )
    listed_on = (Items(warnings),) if warnings else ()
    blocks = (*listed_on, *(Text(sentence, on=TERMINAL) for sentence in idle))
    return Section("warnings", "Before you believe it", blocks, style="warnings", folded=False)


def idle_sentences(backends: Mapping[str, BackendFacts]) -> tuple[str, ...]:
    """Sentences on backends that burn CPU while idle; none if all of them idle as a server should."""
    paused = [f"{one_line(name)} ({_burned(facts)})" for name, facts in backends.items() if facts.paused_while_idle]
    restless = [name for name, facts in backends.items() if _ran_on(facts)]
    watched = {name: facts for name, facts in backends.items() if facts.paused_while_idle is not None}
    unknown = [name for name, facts in watched.items() if facts.idle_cpu_fraction is None]
    sentences = []
    if paused:
        sentences.append(
            "Paused outside of its own, longer slices, because it burns CPU while nobody asks it: "
            f"{listed(paused, most=len(paused))}. Where it serves beside others, it takes this from them."
        )
    if restless:
        sentences.append(
            f"Could not be kept paused, and used CPU meanwhile: {_names(restless)}. The others shared the CPU with it, and may "
            "be faster than their figures say."
        )
    if unknown:
        sentences.append(
            f"Not known whether it burns CPU while nobody asks it, for its engine shows no CPU times: {_names(unknown)}. "
            "It was not paused, and may have disturbed the others."
        )
    return tuple(sentences)


def _burned(facts: BackendFacts) -> str:
    idle, paused = facts.idle_cpu_fraction, facts.paused_cpu_fraction
    while_paused = f", {_percent(paused)} while paused" if paused is not None else ""
    return f"{_percent(idle)} of a core{while_paused}"


def _ran_on(facts: BackendFacts) -> bool:
    return facts.pause_failed is not None or (facts.paused_cpu_fraction or 0.0) > PAUSED_ABOVE


def _percent(share: float | None) -> str:
    return f"{number(100 * share, 2)} %" if share is not None else "an unknown part"


def _names(names: list[str]) -> str:
    return listed([one_line(name) for name in names])


def limit_sentences(backends: Mapping[str, BackendFacts]) -> tuple[str, ...]:
    """A sentence for each limit that was not met, with the backends it was not met for; none if all limits were met."""
    without: dict[str, list[str]] = {}
    for name, facts in backends.items():
        for limit in facts.unmet_limits or ():
            without.setdefault(cut(limit, _LONGEST_WHY), []).append(one_line(name))
    return tuple(
        f"Not as it was asked for: {limit}: {listed(names)}. Such rows had other means." for limit, names in without.items()
    )


def isolation_sentences(backends: Mapping[str, BackendFacts]) -> tuple[str, ...]:
    """Sentences on backends that were not isolated; none if all containers were, and were reached on their own network."""
    open_to: dict[str, list[str]] = {}
    for name, facts in backends.items():
        if facts.way_out is not None:
            open_to.setdefault(cut(one_line(facts.way_out), _LONGEST_WHY), []).append(one_line(name))
    sentences = [f"Not shut in, for it could reach {where}: {listed(names)}." for where, names in open_to.items()]
    published = [one_line(name) for name, facts in backends.items() if facts.network == "published"]
    if published:
        sentences.append(
            "Reached over ports that the engine publishes, for its networks are not on this machine: "
            f"{listed(published)}. A proxy of the engine may stand between, and its time is in theirs."
        )
    return tuple(sentences)
