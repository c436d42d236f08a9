"""How many load agents `--agents auto` takes."""

import psutil
import pytest

from bench.agents.crew import Crew
from bench.agents.places import ThisMachine
from bench.agents.sizing import MORE, Sizing
from bench.contract.scenarios import CONNECTIONS
from bench.contract.wire import Endpoint
from bench.load.closed_loop import Slice
from tests.bench.agents.test_agents import here, sending
from tests.bench.sockets import answering, ok, serving


def sized(rates: dict[int, float], most: int) -> tuple[int, Sizing, list[str]]:
    """What it takes of `most` where null answers so many requests a second to so many agents."""
    lines: list[str] = []

    class Null:
        def __init__(self, crew: Crew) -> None:
            assert isinstance(crew._asked_for, int)
            self._rate = rates[crew._asked_for]

        def clients(self, clients: int, requests: object, *, slice_s: float, lead_in_s: float) -> Slice:
            assert clients == CONNECTIONS
            return Slice(exchanges=round(self._rate * slice_s), seconds=slice_s)

    sizing = Sizing(ThisMachine([0], 0), most, Null if rates else lambda crew: None, lines.append)  # type: ignore[arg-type]
    return sizing(), sizing, lines


@pytest.mark.parametrize(
    ("rates", "most", "needed"),
    [
        ({1: 10_000, 2: 19_000, 4: 19_400}, 8, 2),
        ({1: 10_000, 2: 10_400}, 8, 1),
        ({1: 10_000, 2: 10_000 * MORE + 400, 3: 30_000}, 3, 3),
        ({1: 10_000}, 1, 1),
        ({1: 0, 2: 0}, 8, 1),
    ],
    ids=["until it gains nothing", "one is enough", "all there is room for", "room for one", "null does not answer"],
)
def test_as_many_as_null_gets_faster_with(rates: dict[int, float], most: int, needed: int) -> None:
    """Doubled while it is clearly faster; the reader is told what it hung on."""
    number, sizing, lines = sized(rates, most)
    assert number == needed
    assert sizing.requests_per_s == pytest.approx(rates)
    assert len(lines) == 1
    assert f"{needed} load agent(s), of at most {most}" in lines[0]
    assert all(f"{rate:,.0f}/s to {agents}" in lines[0] for agents, rate in rates.items())


def test_without_null_there_are_as_many_as_there_is_room_for() -> None:
    """Of servers elsewhere there is no ceiling that says when it is enough."""
    number, _, lines = sized({}, 6)
    assert number == 6
    assert "no null" in lines[0]


@pytest.mark.alone
def test_agents_are_sized_when_they_are_first_asked_for_and_only_those_remain() -> None:
    """Real agents: those that tried are gone when those that stay begin."""
    with serving(answering(ok)) as endpoint:
        tried: list[Crew] = []

        def ask(crew: Crew, endpoint: Endpoint = endpoint) -> object:
            tried.append(crew)
            return sending(crew, endpoint).__enter__()

        sizing = Sizing(here(), 2, ask, print)  # type: ignore[arg-type]
        with Crew(sizing, here()) as crew:
            assert not tried
            agents = len(crew.agents)
            assert [len(each.agents) for each in tried] == [0] * len(tried), "ended"
            pids = {agent.started.pid for agent in crew.agents}
            assert all(map(psutil.pid_exists, pids))
            assert agents == len(pids) in (1, 2)
        assert sizing.requests_per_s[1] > 0
        assert sorted(sizing.requests_per_s) == [1, 2]
