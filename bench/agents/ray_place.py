"""Load agents on the nodes of a Ray cluster: Ray places, watches and ends them, but has no part in what they send and time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.agents.crew import Crew
from bench.agents.places import Started, ThisMachine, agent_cpus, started_here
from bench.agents.process import Settings
from bench.contract.cluster.connection import Cluster, Node, Remote
from bench.contract.errors import AgentFailed, BadInput, ServebenchError
from bench.machine.priority import may_have

_START_S = 90.0
_WORDS_S = 3.0


class Keeper:
    """Runs in a Ray actor on the node and starts one agent, which the kernel kills when this process ends.

    This process keeps off the agent's CPU if there is another one.
    """

    def __init__(self, settings: Settings) -> None:
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        niceness = settings.niceness if may_have(settings.niceness) else usual
        self._agent: Started = started_here(replace(settings, parent=os.getpid(), niceness=niceness))
        if others := os.sched_getaffinity(0) - {settings.cpu}:
            os.sched_setaffinity(0, others)

    def told(self) -> Mapping[str, Any]:
        """The agent's port, host, pid and niceness."""
        agent = self._agent
        return {"port": agent.address[1], "host": agent.host, "pid": agent.pid, "niceness": agent.niceness}

    def last_words(self) -> str:
        """See `Started`."""
        return self._agent.last_words()


@dataclass(frozen=True, slots=True, eq=False)
class _OnNode:
    """An agent on a node; see `Started`."""

    remote: Remote
    key: bytes
    cpu: int
    address: tuple[str, int]
    host: str
    pid: int
    niceness: int

    @property
    def node(self) -> str:
        return self.remote.node.id[:8]

    def last_words(self) -> str:
        try:
            return str(self.remote.call("last_words", within_s=_WORDS_S))
        except ServebenchError as error:
            return str(error)

    def end(self) -> None:
        self.remote.end()


@dataclass(frozen=True, slots=True)
class RayPlace:
    """Starts agents on the `nodes` of `cluster` in turn, on each at most as many as it has CPUs by Ray's count.

    On this machine they take `client_cpu` first (see `agent_cpus`). They run at `niceness` if their node allows it.
    """

    cluster: Cluster
    nodes: Sequence[Node]
    client_cpu: int
    niceness: int

    def __post_init__(self) -> None:
        if not self.room:
            raise BadInput(f"--ray {self.cluster.address}: expected a node that load agents may run on, with a CPU; seen none")

    @property
    def room(self) -> int:
        """How many agents fit."""
        return len(self._seats())

    def check(self, agents: int) -> None:
        """Raise BadInput if there is no room for that many agents."""
        if agents > self.room:
            each = ", ".join(f"{node.cpus} of {node.name}" for node in self.nodes)
            raise BadInput(
                f"--agents {agents}: expected at most {self.room}, one for each CPU that Ray has for them on the cluster at "
                f"{self.cluster.address}: {each}"
            )

    def start(self, number: int, agents: int) -> Started:
        """See `Place`: one on each node, then a second one on each, and so on."""
        seats = self._seats()[:agents]
        node = seats[number - 1]
        cpus = self._cpus_of(node)
        place = sum(seat.ip == node.ip for seat in seats[: number - 1])  # nodes of one machine share its CPUs
        settings = ThisMachine([cpus[place % len(cpus)]], self.niceness).settings(number, agents, node.ip)
        try:
            remote = self.cluster.start(node, Keeper, settings, within_s=_START_S)
        except ServebenchError as error:
            raise AgentFailed(f"load agent {number} does not start on {node.name}: {error}") from error
        try:
            told = remote.call("told")
        except ServebenchError as error:
            remote.end()
            raise AgentFailed(f"load agent {number} was lost at its start: {error}") from error
        address = (node.ip, int(told["port"]))
        key = bytes.fromhex(settings.key)
        return _OnNode(remote, key, settings.cpu, address, told["host"], told["pid"], told["niceness"])

    def _seats(self) -> list[Node]:
        most = max((node.cpus for node in self.nodes), default=0)
        return [node for turn in range(most) for node in self.nodes if turn < node.cpus]

    def _cpus_of(self, node: Node) -> list[int]:
        """The CPUs that agents there take in turn: here those of `agent_cpus`, elsewhere those without a server, else all."""
        cluster = self.cluster
        taken = {cpu for each in cluster.nodes if each.ip == node.ip for cpu in cluster.serving.get(each.id, ())}
        if node.ip == cluster.own.ip:
            return agent_cpus(node.cpus_usable, sorted(taken), self.client_cpu)
        usable = list(reversed(node.cpus_usable))
        return [cpu for cpu in usable if cpu not in taken] or usable


def agent_nodes(cluster: Cluster, *, servers_at_home: bool) -> list[Node]:
    """The nodes for agents: those with CPUs that reach the servers and run none, else all that reach the servers.

    `servers_at_home`: some servers listen on this machine's loopback, which only its own nodes reach.
    """
    reaching = [node for node in cluster.nodes if not servers_at_home or node.ip == cluster.own.ip]
    return [node for node in reaching if node.id not in cluster.serving and node.cpus] or reaching


def ray_facts(cluster: Cluster, crew: Crew | None) -> Mapping[str, Any]:
    """The cluster and what runs on which node, JSON-able; keyed by the first digits of the nodes' ids."""
    agents = {} if crew is None else crew.facts()
    nodes = {}
    for node in cluster.nodes:
        mine = [number for number, facts in agents.items() if facts.get("node") == node.id[:8]]
        runs = [f"agent {number}" for number in mine]
        runs += ["servers"] if node.id in cluster.serving else []
        runs += ["the suite"] if node.id == cluster.own.id else []
        nodes[node.id[:8]] = {
            "host": node.host,
            "ip": node.ip,
            "cpus": node.cpus,
            "kernel": node.kernel,
            "python": node.python,
            "runs": runs,
        }
    return {"version": cluster.version, "address": cluster.address, "nodes": nodes}
