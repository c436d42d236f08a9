"""All load agents of a session: started, told what to do together, watched, and ended.

What they send and measure is theirs. Here is only who is told what, when all of them begin, whose clock shows what, and who is
given up because it died or says nothing any more.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from bench.agents.agent_link import AgentLink
from bench.agents.clocks import ClockFit, Offset
from bench.agents.messages import Message
from bench.agents.places import Place
from bench.contract.errors import AgentFailed

PATIENCE_S = 5.0
"""How long an agent may say nothing beyond what its order takes."""

LEAST_WINDOW_S = 0.25
"""Of a window that several agents share: beside it, what is not known of their clocks is little."""

_PREPARES_S = 60.0  # all requests of an endpoint, large ones too
_BEGIN_IN_S = 0.02  # after the last ping: the word must reach all of them before


@dataclass(frozen=True, slots=True)
class Part:
    """What one agent brought of a window: its `samples` message, and its clock."""

    agent: AgentLink
    samples: Message
    fit: ClockFit

    @property
    def error(self) -> tuple[str, str] | None:
        """Name and text of the exception that ended it."""
        told = self.samples.fields["error"]
        return None if told is None else (str(told[0]), str(told[1]))


class Crew:
    """So many agents, started when they are first asked for; a context, at whose end none is left.

    `agents` may be found out only then.
    """

    def __init__(
        self,
        agents: int | Callable[[], int],
        place: Place,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._asked_for = agents
        self._place = place
        self._patience_s = patience_s
        self._clock = clock
        self._agents: list[AgentLink] | None = None
        self._never_started: dict[int, str] = {}
        self._ended = False
        self._keys = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.end()

    @property
    def agents(self) -> list[AgentLink]:
        """Those that can be asked; started now if they were not yet."""
        if self._agents is None:
            asked_for = self._asked_for if isinstance(self._asked_for, int) else self._asked_for()
            self._agents = []
            for number in range(1, asked_for + 1):
                try:
                    started = self._place.start(number, asked_for)
                    self._agents.append(AgentLink.to(number, started, self._patience_s))
                except AgentFailed as error:
                    self._never_started[number] = str(error)
        return [] if self._ended else [agent for agent in self._agents if not agent.lost]

    def new_key(self) -> int:
        """A name for work that no other has."""
        self._keys += 1
        return self._keys

    def give(self, agent: AgentLink, work: Message) -> None:
        """Give an agent its work, once; who cannot take it is lost."""
        key = work.fields["key"]
        if key not in agent.has and not agent.lost:
            agent.tell(work)
            agent.hear(_PREPARES_S)
            agent.has.add(key)

    def drop(self, key: int) -> None:
        """Nobody needs that work any more."""
        for agent in [] if self._agents is None else self.agents:
            if key in agent.has:
                agent.has.discard(key)
                agent.tell(Message("drop", {"key": key}))

    def together(self, orders: Mapping[AgentLink, Message], *, opens_s: float, takes_s: float) -> list[Part]:
        """All of them begin at once and do what they are ordered, which takes at most `takes_s` seconds once they began.

        Their connections are open within `opens_s` seconds before that. Returns what each brought; whoever is lost meanwhile
        is not in it, and says why in `lost`. Where one cannot begin, none does, and what is returned are the errors with which
        the others did not.
        """
        for agent, order in orders.items():
            agent.tell(order)
        first = {agent: agent.hear(opens_s) for agent in orders}
        waiting = [agent for agent, word in first.items() if word is not None and word.what == "ready"]
        before = {agent: offset for agent in waiting if (offset := agent.offset(self._clock)) is not None}
        if len(before) == len(orders):
            self._go(before)
        else:
            for agent in waiting:
                agent.tell(Message("cancel"))
        brought = {agent: word for agent, word in first.items() if word is not None and word.what == "samples"}
        for agent in waiting:
            word = agent.hear(takes_s)
            if word is not None:
                brought[agent] = word
        return [part for agent, samples in brought.items() if (part := self._part(agent, samples, before.get(agent)))]

    def outcomes(self, agents: Sequence[AgentLink], key: int, note: Callable[[Message], None]) -> None:
        """Let them judge the answers that they got for that work, all at once; `note` hears what they tell."""
        for agent in agents:
            agent.tell(Message("judge", {"key": key}))
        for agent in agents:
            more = True
            while more and (told := agent.hear()) is not None:
                note(told)
                more = bool(told.fields["more"])

    @property
    def cpus(self) -> list[int]:
        """Those that they send from, each once, of the agents that started."""
        return sorted({agent.started.cpu for agent in self._agents or []})

    def facts(self) -> dict[str, dict[str, Any]]:
        """By number, what is known of each: where it runs, its clock's offset from this one's, and why it was lost."""
        never = {str(number): {"lost": why} for number, why in self._never_started.items()}
        return {**never, **{str(agent.number): agent.facts for agent in self._agents or []}}

    def losses(self) -> list[str]:
        """Why each was given up that was."""
        return [*self._never_started.values(), *(agent.lost for agent in self._agents or [] if agent.lost)]

    def warnings(self) -> list[str]:
        """What a reader must know of them."""
        cpus = Counter(agent.seat for agent in self._agents or [])
        shared = [
            f"{count} load agents share CPU {cpu} of {host}: they delay each other. Give each a CPU that no server has."
            for (host, cpu), count in cpus.items()
            if count > 1
        ]
        return [*shared, *(f"A load agent was lost, and that window counts for nothing: {why}" for why in self.losses())]

    def end(self) -> None:
        """End all of them; never raises."""
        for agent in self._agents or []:
            agent.end()
        self._ended = True

    def _go(self, before: Mapping[AgentLink, Offset]) -> None:
        at_s = self._clock() + _BEGIN_IN_S
        for agent, offset in before.items():
            agent.tell(Message("go", {"at_s": at_s + offset.offset_s}))

    def _part(self, agent: AgentLink, samples: Message, before: Offset | None) -> Part | None:
        after = agent.offset(self._clock)
        if after is None:
            return None
        fit = ClockFit(before or after, after)
        agent.note_window(fit)
        return Part(agent, samples, fit)
