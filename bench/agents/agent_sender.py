"""A `Sender` that sends from several agents at once: divides the load, merges the samples, keeps the judgements."""

import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np

from bench.agents.agent import Cancelled
from bench.agents.agent_link import AgentLink
from bench.agents.crew import Crew, Part
from bench.agents.merging import Samples, late_ones, of_clients, of_schedule, ready_s
from bench.agents.messages import Message
from bench.agents.shares import divided, thinned
from bench.agents.work import answers_of, note_outcomes
from bench.contract import errors
from bench.contract.errors import AgentFailed, ExchangeError
from bench.load.closed_loop import Requests, Slice
from bench.load.open_loop import PATIENCE, Schedule
from bench.verification.judgements import Judgements

_TRIES = 3  # windows tried to find one in which the clients of all agents send
_UNDER_WAY = 1.2  # deadlines after the slice until the last answers are in, or given up
_LONGER = 1.5  # next lead-in, over the time until the last try's clients had their first answers


@dataclass(slots=True)
class AgentSender:
    """Sends `work` through the agents of `crew`; `deadline_s` is for one exchange, `rng` draws the agent of each request.

    `busy_poll_s` is as in `ConnectionPool`, for agents on a CPU that is not one of this machine's `server_cpus`.

    `judgements` grows with each window; the answers themselves stay with the agents.
    """

    crew: Crew
    work: Message
    deadline_s: float
    rng: np.random.Generator
    busy_poll_s: float = 0.0
    server_cpus: Sequence[int] = ()
    judgements: Judgements = field(default_factory=Judgements)

    def clients(self, clients: int, requests: Requests, *, slice_s: float, lead_in_s: float = 0.0) -> Slice:  # noqa: ARG002 - the agents have their own
        """See `run_clients`; the clients are divided among the agents."""
        total = Slice()
        for _ in range(_TRIES):
            agents = self._able(clients)
            counts = divided(clients, max(1, len(agents)))
            firsts = accumulate(counts, initial=0)  # clients are numbered across agents: the number of each agent's first
            said = {"key": self._key, "slice_s": slice_s, "lead_in_s": lead_in_s}
            orders = {
                agent: Message("clients", {**said, "clients": count, "first": first})
                for agent, count, first in zip(agents, counts, firsts, strict=False)
            }
            parts = self._window(orders, total, lead_in_s + slice_s + _UNDER_WAY * self.deadline_s)
            if not parts:
                return total
            samples = [_samples(part) for part in parts]
            window = of_clients(samples, slice_s=slice_s, lead_in_s=lead_in_s)
            if window is not None:
                return _with_figures(total, window)
            lead_in_s = _LONGER * max(map(ready_s, samples))
        slowest = max(zip(map(ready_s, samples), parts, strict=True), key=lambda pair: pair[0])[1]
        total.error = AgentFailed(
            f"{slowest.agent.name} fell behind: in {_TRIES} windows of {slice_s:g} s its clients had their first answers after "
            "others were done"
        )
        return total

    def schedule(self, requests: Requests, plan: Schedule, *, connections: int, most: int | None = None) -> Slice:  # noqa: ARG002 - see clients
        """See `run_schedule`; each request is sent by one of the agents."""
        total = Slice()
        agents = self._able(most)
        share = max(1, len(agents))
        plans = dict(zip(agents, thinned(plan, share, self.rng), strict=False))
        open_ones = divided(connections, share)
        at_most = [None] * share if most is None else divided(most, share)
        orders = {
            agent: Message(
                "schedule",
                {
                    "key": self._key,
                    "lead_in_s": plan.lead_in_s,
                    "window_s": plan.window_s,
                    "connections": max(1, count),
                    "most": limit,
                },
                {"due_s": plans[agent].due_s},
            )
            for agent, count, limit in zip(agents, open_ones, at_most, strict=False)
        }
        takes_s = plan.lead_in_s + plan.window_s + PATIENCE * max(plan.window_s, 1.0)
        parts = self._window(orders, total, takes_s)
        if not parts:
            return total
        samples = [_samples(part) for part in parts]
        total.behind = ", ".join(parts[place].agent.name for place in late_ones(samples))
        return _with_figures(total, of_schedule([(plans[part.agent], _samples(part)) for part in parts]))

    def close(self) -> None:
        """Make the agents close their connections and forget the work."""
        self.crew.drop(self._key)

    @property
    def _key(self) -> int:
        return int(self.work.fields["key"])

    def _able(self, most: int | None) -> list[AgentLink]:
        """The agents that can send, at most `most`; each was given the work."""
        for agent in self.crew.agents:
            self.crew.give(agent, self.work)
        return self.crew.agents[:most]

    def _window(self, orders: Mapping[AgentLink, Message], total: Slice, takes_s: float) -> Sequence[Part]:
        """Run one window on the agents, add its answers and facts to `total`, return its parts: none if it does not count."""
        if not orders:
            total.error = AgentFailed(f"no load agent is left: {'; '.join(self.crew.losses())}")
            return ()
        parts = self.crew.together(self._polling(orders), opens_s=self.deadline_s, takes_s=takes_s)
        self.crew.outcomes([part.agent for part in parts], self._key, self._note)
        told = [part for part in parts if not part.agent.lost]  # the answers of a lost agent cannot be judged any more
        for part in told:
            total.answers += answers_of(part.samples.arrays)
            total.reconnects += int(part.samples.fields["reconnects"])
        total.agents = len(told)
        total.client_share = max((float(part.samples.fields["client_share"]) for part in told), default=0.0)
        total.clock_error_s = max((part.fit.error_s for part in told), default=0.0)
        wrong = [part.error for part in told if part.error is not None and part.error[0] != Cancelled.__name__]
        if wrong:
            total.error = _error(*wrong[0])
        elif len(told) < len(orders):
            total.repeated += 1
        else:
            return told
        return ()

    def _polling(self, orders: Mapping[AgentLink, Message]) -> Mapping[AgentLink, Message]:
        """The orders, each with how its agent polls in that window: `busy_poll_s` and `takes_turns`."""
        sending = Counter(agent.seat for agent in orders)
        taken = {(socket.gethostname(), cpu) for cpu in self.server_cpus}

        def polls(seat: tuple[str, int]) -> dict[str, Any]:
            if seat in taken:  # nor may a server there have the turn in which a request is due
                return {"busy_poll_s": 0.0, "takes_turns": False}
            return {"busy_poll_s": self.busy_poll_s, "takes_turns": sending[seat] > 1}

        return {agent: replace(order, fields={**order.fields, **polls(agent.seat)}) for agent, order in orders.items()}

    def _note(self, outcomes: Message) -> None:
        note_outcomes(outcomes, self.judgements)


def _samples(part: Part) -> Samples:
    arrays = part.samples.arrays
    return Samples(arrays["trace"], arrays["lag_s"], float(part.samples.fields["began_s"]), part.fit)


def _with_figures(total: Slice, window: Slice) -> Slice:
    total.seconds, total.exchanges, total.duration_s = window.seconds, window.exchanges, window.duration_s
    total.scheduled, total.lag_s = window.scheduled, window.lag_s
    return total


def _error(name: str, text: str) -> ExchangeError:
    """An agent's error as an exception of this process, by its class name; ExchangeError if that is unknown."""
    kind = getattr(errors, name, ExchangeError)
    return kind(text) if isinstance(kind, type) and issubclass(kind, ExchangeError) else ExchangeError(text)
