"""A driver with an agent on each node of the Ray cluster at ADDRESS, which prints their pids and lets them send to PORT."""

import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from bench.agents.agent_sender import AgentSender
from bench.agents.crew import Crew
from bench.agents.ray_place import RayPlace, agent_nodes
from bench.agents.work import work_message
from bench.contract.cluster.connection import Cluster
from bench.contract.wire import Endpoint
from tests.bench.scripted import little_factory

endpoint = Endpoint("one", "raw", "raw", port=int(sys.argv[2]), host="127.0.0.1")
factory = little_factory()
cluster = Cluster(sys.argv[1])
cpu = min(os.sched_getaffinity(0))
place = RayPlace(cluster, agent_nodes(cluster, servers_at_home=True), cpu, os.getpriority(os.PRIO_PROCESS, 0))
crew = Crew(place.room, place)
work = work_message(crew.new_key(), endpoint, factory.payload_set(endpoint, 1), factory, canned=False)
sender = AgentSender(crew, work, endpoint.deadline_s, np.random.default_rng(1))
print(*(agent.started.pid for agent in crew.agents), flush=True)
for _ in itertools.count():
    done = sender.clients(3, iter(()), slice_s=0.3)
    print(len(done.answers), flush=True)
