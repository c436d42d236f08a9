"""Load agents and real servers: what one of them loses in the middle of a campaign costs its windows, and no row."""

import os
import signal

import pytest

from bench.agents.crew import Crew
from bench.agents.places import ThisMachine
from bench.contract.cells import Cell
from bench.contract.system import Role
from bench.experiments.clients import clients_scenario
from bench.load.scheduler import Progress
from tests.bench.agents.test_agents import gone
from tests.integration.house import SPECS, House, a_house, refuse_absence

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def house() -> House:
    """Of this module's tests."""
    return a_house()


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
def test_rows_words_and_nothing_left(house: House, what: signal.Signals) -> None:
    """Three agents ask null and flask, one is struck: both rows are measured by the others, every answer is right."""
    specs = [SPECS[name] for name in ("null", "flask")]
    scenario = clients_scenario(6)
    cells = [
        Cell(spec.backend, next(each for each in spec.backend.endpoints if each.protocol == "raw"), scenario) for spec in specs
    ]
    with (
        house.fleet(*specs) as fleet,
        Crew(3, ThisMachine(sorted(os.sched_getaffinity(0)), 0), patience_s=1.0) as crew,
    ):
        pids: list[int] = []

        def watch(progress: Progress) -> None:
            if progress.step == "measure" and not pids:
                pids.extend(agent.started.pid for agent in crew.agents)
                os.kill(pids[1], what)

        campaigns, records = house.campaigns(fleet, cells, watch, crew)
        campaigns.result(cells[0])
        for spec in specs:
            refuse_absence(fleet.absent.get(spec.name))
        (lost,) = crew.losses()
        assert len(pids) == 3
        assert f"agent 2 (pid {pids[1]} on " in lost
    assert gone(pids)
    assert len(records) == 2
    for record in records.values():
        assert not record.verdict.fails_test, record.reason
        assert record.agents == 2
        assert record.exchanges > 0
        assert record.role == str(Role.CEILING) or record.agreement == 1.0
    assert sum(record.windows_repeated or 0 for record in records.values()) == 1
