"""`--agents auto`: as many load agents as null, which costs a server next to nothing, still gets faster with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from bench.agents.agent_sender import AgentSender
from bench.agents.crew import LEAST_WINDOW_S, Crew
from bench.agents.places import Place
from bench.contract.scenarios import CONNECTIONS

MORE = 1.1
"""Times the rate with half as many: below, it did not hang on the agents."""

_WINDOWS = 5
_LEAD_IN_S = 0.1


@dataclass(slots=True, eq=False)
class Sizing:
    """Asks null from 1, 2, 4, ... agents of `place`, of which it has room for `most`, and says how many are needed.

    `ask` makes what sends to null through a crew; None where the run has no null.
    """

    place: Place
    most: int
    ask: Callable[[Crew], AgentSender | None]
    say: Callable[[str], None]
    requests_per_s: dict[int, float] = field(default_factory=dict)
    """What null answered, by number of agents."""

    def __call__(self) -> int:
        """How many; as many as there is room for where there is no null. Raises AgentFailed as agents do at their start."""
        needed = 1
        for agents in _doubled(self.most):
            rate_per_s = self._rate_per_s(agents)
            if rate_per_s is None:
                needed = self.most if not self.requests_per_s else needed
                break
            self.requests_per_s[agents] = rate_per_s
            if agents > 1 and rate_per_s <= MORE * self.requests_per_s[needed]:
                break
            needed = agents
        told = ", ".join(f"{rate:,.0f}/s to {agents}" for agents, rate in self.requests_per_s.items())
        why = f"null answered {told}" if told else "this run has no null that could say"
        self.say(f"--agents auto: {needed} of at most {self.most}; {why}")
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
