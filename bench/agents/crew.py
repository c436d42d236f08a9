"""All load agents of a session: started, given orders together, watched, and ended.

The agents send and measure. Here they only get their orders and a common start, their clocks are compared, and an agent that
died or stays silent is given up.
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
"""Seconds that an agent may be silent beyond what its order takes."""

LEAST_WINDOW_S = 0.25
"""Shortest window for agents, in seconds: the uncertainty of their clocks is small compared with it."""

_PREPARES_S = 60.0  # to prepare all requests of an endpoint, large ones too
_BEGIN_IN_S = 0.02  # start this long after the last ping: by then the order must have reached every agent


@dataclass(frozen=True, slots=True)
class Part:
    """What one agent returned of a window: its `samples` message, and its clock in it."""

    agent: AgentLink
    samples: Message
    fit: ClockFit

    @property
    def error(self) -> tuple[str, str] | None:
        """Class name and text of the exception that ended its part; None if there was none."""
        told = self.samples.fields["error"]
        return None if told is None else (str(told[0]), str(told[1]))


class Crew:
    """The load agents, started when they are first needed; a context manager that ends them all.

    `agents` is their number, or a function that returns it, called just before the start.
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
        """The agents that are not lost; started now if they were not yet."""
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
        """A new key that names one piece of work."""
        self._keys += 1
        return self._keys

    def give(self, agent: AgentLink, work: Message) -> None:
        """Give an agent its work, once; an agent that does not confirm it is lost."""
        key = work.fields["key"]
        if key not in agent.has and not agent.lost:
            agent.tell(work)
            agent.hear(_PREPARES_S)
            agent.has.add(key)

    def drop(self, key: int) -> None:
        """Make the agents forget that work."""
        for agent in [] if self._agents is None else self.agents:
            if key in agent.has:
                agent.has.discard(key)
                agent.tell(Message("drop", {"key": key}))

    def together(self, orders: Mapping[AgentLink, Message], *, opens_s: float, takes_s: float) -> list[Part]:
        """Run one window: all agents start their orders at the same time, and take at most `takes_s` seconds from then.

        Before that they have `opens_s` seconds to open their connections. Returns the part of each agent; one that is lost
        meanwhile is left out, and its `lost` says why. If one agent cannot start, none does: the parts returned then hold only
        the errors that kept them from it.
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
        """Let the agents judge, in parallel, the answers that they got for that work; `note` gets each of their messages."""
        for agent in agents:
            agent.tell(Message("judge", {"key": key}))
        for agent in agents:
            more = True
            while more and (told := agent.hear()) is not None:
                note(told)
                more = bool(told.fields["more"])

    @property
    def cpus(self) -> list[int]:
        """The CPUs that the started agents send from, ascending, each once."""
        return sorted({agent.started.cpu for agent in self._agents or []})

    def facts(self) -> dict[str, dict[str, Any]]:
        """Facts by agent number: where it runs, its clock's offset from this one, and why it was lost."""
        never = {str(number): {"lost": why} for number, why in self._never_started.items()}
        return {**never, **{str(agent.number): agent.facts for agent in self._agents or []}}

    def losses(self) -> list[str]:
        """For each agent that was lost or never started, why."""
        return [*self._never_started.values(), *(agent.lost for agent in self._agents or [] if agent.lost)]

    def warnings(self) -> list[str]:
        """Warnings for the report: agents that share a CPU, and agents that were lost."""
        cpus = Counter(agent.seat for agent in self._agents or [])
        shared = [
            f"{count} load agents share CPU {cpu} of {host}: they delay each other. Give each a CPU that no server has."
            for (host, cpu), count in cpus.items()
            if count > 1
        ]
        return [*shared, *(f"A load agent was lost, and that window counts for nothing: {why}" for why in self.losses())]

    def end(self) -> None:
        """End all agents; never raises."""
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
