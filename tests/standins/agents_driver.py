"""A driver that starts three load agents, prints their pids, and lets them send to PORT until it is killed."""

import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from bench.agents.agent_sender import AgentSender
from bench.agents.crew import Crew
from bench.agents.places import ThisMachine
from bench.agents.work import work_message
from bench.contract.wire import Endpoint
from tests.bench.scripted import little_factory

endpoint = Endpoint("one", "raw", "raw", port=int(sys.argv[1]), host="127.0.0.1")
factory = little_factory()
crew = Crew(3, ThisMachine([min(os.sched_getaffinity(0))], os.getpriority(os.PRIO_PROCESS, 0)))
work = work_message(crew.new_key(), endpoint, factory.payload_set(endpoint, 1), factory, canned=False)
sender = AgentSender(crew, work, endpoint.deadline_s, np.random.default_rng(1))
print(*(agent.started.pid for agent in crew.agents), flush=True)
for _ in itertools.count():
    done = sender.clients(3, iter(()), slice_s=0.3)
    print(len(done.answers), flush=True)
