"""Scaling over real sockets: each number of CPUs a start of its own, held against the fewest; what is shared is told."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.cells import Cell
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Scenario
from bench.contract.system import Role, SystemUnderTest, on_cpus
from bench.experiments.scaling import EXPERIMENT, scaling_scenario
from bench.experiments.scenario_runner import Campaigns
from bench.load.scheduler import Settings
from tests.bench.scripted import ScriptedFleet, backend, little_factory, plan_of, right, scripted

QUICK = Settings(max_time_s=0.2)
CLIENT_CPU = 0
CPUS = {1: (1,), 2: (0, 1)}
ONE_CPU = "its threads compute one at a time"


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    """Of two servers on one CPU and on two, the client on one of those two; `single` cannot use the second."""
    free, single = backend("free"), backend("single")
    single = replace(single, endpoints=tuple(replace(each, one_cpu=ONE_CPU) for each in single.endpoints))
    cells = [Cell(each, each.endpoints[0], scaling_scenario(count)) for each in (free, single) for count in CPUS]
    kept: dict[str, Record] = {}
    with ExitStack() as stack:
        running: dict[str, SystemUnderTest] = {}
        for name, count in (("free", 1), ("free", 2), ("single", 1)):
            system = stack.enter_context(scripted(on_cpus(name, count), right))
            system.facts = BackendFacts(server_cpus=CPUS[count])
            running[system.backend.name] = system
        plan = plan_of(cells, QUICK, lambda record, _: kept.__setitem__(record.id, record))
        campaigns = Campaigns(plan, ScriptedFleet(running, {}), little_factory())
        assert plan.client_cpu == CLIENT_CPU
        for cell in cells:
            campaigns.result(cell)
    return kept


def test_each_number_of_cpus_is_a_cell_of_the_same_backend(records: dict[str, Record]) -> None:
    """By the backend's own name, with its CPUs, and with every answer held against the model."""
    assert list(records) == ["single-raw-cpus02", "free-raw-cpus01", "free-raw-cpus02", "single-raw-cpus01"]
    for record in records.values():
        assert record.kind == "scaling"
        assert (record.cpus, record.title) in ((1, "1 CPU"), (2, "2 CPUs"))
        if record.verdict is not Verdict.NOT_MEASURED:
            assert (record.agreement, record.errors, record.concurrency) == (1.0, 0, 32)


def test_a_cpu_is_worth_what_it_adds_to_the_fewest(records: dict[str, Record]) -> None:
    """Exactly 1 on the fewest; on two, half of the ratio of the speeds, as near as two ways of measuring it are."""
    first, second = records["free-raw-cpus01"], records["free-raw-cpus02"]
    assert (first.cpu_efficiency, first.cpu_efficiency_low, first.cpu_efficiency_high) == (1.0, 1.0, 1.0)
    assert first.images_per_s is not None
    assert second.images_per_s is not None
    assert second.cpu_efficiency == pytest.approx(0.5 * second.images_per_s / first.images_per_s, rel=0.5)
    assert (second.cpu_efficiency_low or 0.0) <= (second.cpu_efficiency or 0.0) <= (second.cpu_efficiency_high or 0.0)


def test_a_cpu_that_client_and_server_share_is_told(records: dict[str, Record]) -> None:
    """As OVERSUBSCRIBED: one of two CPUs is not the server's alone; on its own CPU it is not."""
    shared = records["free-raw-cpus02"]
    assert shared.verdict is Verdict.OVERSUBSCRIBED
    assert f"the client has CPU {CLIENT_CPU} as well" in shared.reason
    assert records["free-raw-cpus01"].verdict is not Verdict.OVERSUBSCRIBED


def test_who_cannot_use_more_is_measured_on_one_and_says_why_on_two(records: dict[str, Record]) -> None:
    """With its own words; nothing was started for that."""
    assert records["single-raw-cpus01"].images_per_s
    limited = records["single-raw-cpus02"]
    assert (limited.verdict, limited.reason, limited.images_per_s) == (Verdict.NOT_MEASURED, ONE_CPU, None)


def test_who_runs_already_has_the_cpus_that_it_has() -> None:
    """On one as well: nobody here chose it."""
    attached = replace(backend("far"), attached=True)
    for count in CPUS:
        refusal = EXPERIMENT.refusal(Cell(attached, attached.endpoints[0], scaling_scenario(count)))
        assert refusal == "it runs already: its CPUs are not ours to choose"


@pytest.mark.parametrize(("cpus", "clients"), [(1, 32), (4, 32), (6, 48), (8, 64), (96, 64)])
def test_more_clients_ask_than_all_cpus_serve_at_once(cpus: int, clients: int) -> None:
    """Eight for each CPU, as far as there are connections; on few CPUs as many as on four."""
    assert scaling_scenario(cpus).concurrency == clients


def test_a_server_is_asked_where_it_has_the_scenarios_cpus() -> None:
    """An instrument is the same for all."""
    free, null = backend("free"), backend("null", role=Role.CEILING)
    on_two, plain = scaling_scenario(2), Scenario("single", 1)
    cells = [Cell(each, each.endpoints[0], scenario) for each in (free, null) for scenario in (on_two, plain)]
    assert [cell.server for cell in cells] == ["free-2cpus", "free", "null", "null"]
