"""`--agents auto`: double the load agents until `null`, the server that does no work, answers no faster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from bench.agents.agent_sender import AgentSender
from bench.agents.crew import LEAST_WINDOW_S, Crew
from bench.agents.places import Place
from bench.contract.scenarios import CONNECTIONS

MORE = 1.1
"""Doubling the agents must raise null's rate by this factor; else the fewer agents were enough."""

_WINDOWS = 5
_LEAD_IN_S = 0.1


@dataclass(slots=True, eq=False)
class Sizing:
    """Loads null with 1, 2, 4, ... agents, `most` at most, started at `place`; calling it returns how many are needed.

    `ask` returns a sender to null through a crew, or None if the run has no null. `say` gets one line with the result.
    """

    place: Place
    most: int
    ask: Callable[[Crew], AgentSender | None]
    say: Callable[[str], None]
    requests_per_s: dict[int, float] = field(default_factory=dict)
    """Null's rate by number of agents."""

    def __call__(self) -> int:
        """The number of agents; `most` if there is no null. Takes about 2 s for each number that is tried."""
        needed = 1
        for agents in _doubled(self.most):
            rate_per_s = self._rate_per_s(agents)
            if rate_per_s is None:
                needed = self.most
                break
            self.requests_per_s[agents] = rate_per_s
            if agents > 1 and rate_per_s <= MORE * self.requests_per_s[needed]:
                break
            needed = agents
        told = ", ".join(f"{rate:,.0f}/s to {agents}" for agents, rate in self.requests_per_s.items())
        why = f"null answered {told}" if told else "this run has no null that could say"
        self.say(f"--agents auto: {needed} load agent(s), of at most {self.most}; {why}")
        return needed

    def _rate_per_s(self, agents: int) -> float | None:
        with Crew(agents, self.place) as crew:
            null = self.ask(crew)
            if null is None:
                return None
            slices = [
                null.clients(CONNECTIONS, iter(()), slice_s=LEAST_WINDOW_S, lead_in_s=_LEAD_IN_S) for _ in range(_WINDOWS)
            ]
        rates = [done.exchanges / done.seconds for done in slices if done.seconds and done.error is None]
        return median(rates) if rates else 0.0


def _doubled(most: int) -> Iterator[int]:
    """1, 2, 4, ..., and `most`."""
    agents = 1
    while agents < most:
        yield agents
        agents *= 2
    yield most
