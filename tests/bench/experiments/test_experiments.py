"""The experiments: which there are, what their options mean and refuse, and that one more scenario is one line."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bench.contract.cells import Cell
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import ACCURACY, SINGLE, Arrival, Offer, Scenario, throughput_scenario
from bench.contract.system import Role
from bench.contract.tensors import FloatArray
from bench.experiments import clients, experiment_of, experiments, open_loop, replicas, scaling, slo, throughput
from bench.experiments.clients import clients_scenario
from bench.experiments.open_loop import open_loop_scenario, open_loops_of
from bench.experiments.replicas import replicas_scenario
from bench.experiments.scaling import scaling_scenario
from bench.experiments.scenario_runner import Campaigns
from bench.experiments.slo import slo_scenario
from bench.load import slo_search
from bench.load.scheduler import Settings
from bench.session.load_options import arrivals_of, loads_of
from tests.bench.scripted import (
    IMAGES,
    WIDTH,
    ScriptedFleet,
    little_factory,
    plan_of,
    right,
    scripted,
    world,
)


@dataclass(frozen=True)
class Options:
    """What a session asks for."""

    batch_sizes: Sequence[Scenario] = (SINGLE, throughput_scenario(8))
    clients: Sequence[int] = (1, 4)
    loads: Sequence[Offer] = (Offer(load=0.5),)
    arrivals: Sequence[Arrival] = (Arrival.POISSON,)
    slo: float | None = 0.015
    cpus: Sequence[int] = (1, 2)
    replicas: Sequence[int] = (1, 2)


SAMPLES = [
    *(SINGLE, ACCURACY, clients_scenario(8), clients_scenario(8, batch_size=32), slo_scenario(0.015, batch_size=4)),
    *(scaling_scenario(1), scaling_scenario(12), scaling_scenario(2, batch_size=32)),
    *(replicas_scenario(1), replicas_scenario(12), replicas_scenario(2, batch_size=32)),
    *open_loops_of(loads_of("72.5%,200.5/s"), arrivals_of("both")),
    open_loop_scenario(Arrival.POISSON, rate_per_s=200, batch_size=32, connections=8),
]


def test_each_question_is_a_module_of_its_name() -> None:
    """In the order in which a session measures them: what most people ask for comes first."""
    assert list(experiments()) == ["accuracy", "throughput", "clients", "open-loop", "slo", "scaling", "replicas"]
    for kind, found in experiments().items():
        assert type(found).__module__ == f"bench.experiments.{kind.replace('-', '_')}"
        assert found.kind == kind
        assert Role.SERVER in found.roles
        scenarios = found.scenarios(Options())
        assert scenarios
        assert {scenario.kind for scenario in scenarios} == {kind}
        assert all(scenario.title and scenario.unit for scenario in scenarios)


def test_a_kind_that_is_none_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match="'silence' is no experiment; known: accuracy, throughput"):
        experiment_of(Scenario("quiet", batch_size=1, kind="silence"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"concurrency": 0},
        {"concurrency": 65},
        {"load": 0.5},
        {"cpus": 0},
        {"replicas": 0},
        {"cpus": 1, "replicas": 1},
        {"arrival": Arrival.POISSON},
        {"arrival": Arrival.POISSON, "load": 0.5, "rate_per_s": 5.0},
        {"arrival": Arrival.CONSTANT, "rate_per_s": 0.0},
    ],
)
def test_a_scenario_that_cannot_be_measured_is_refused(wrong: dict[str, object]) -> None:
    """By its name, where it is written down."""
    with pytest.raises(ValueError, match="scenario 'x': "):
        Scenario(**{"name": "x", "batch_size": 1, **wrong})  # type: ignore[arg-type]


def test_heads_say_what_the_durations_are_of() -> None:
    """With the images of a request, also under load."""
    assert experiment_of(SINGLE).head(SINGLE) == "single: seconds an exchange of 1 image"
    of_32 = clients_scenario(8, batch_size=32)
    assert clients.EXPERIMENT.head(of_32) == "c08-batch32: seconds an exchange of 32 images with 8 client(s) at once"
    of_4 = slo_scenario(0.015, batch_size=4)
    assert slo.EXPERIMENT.head(of_4) == "slo15ms-batch4: seconds from the scheduled send, 4 images"
    assert experiment_of(ACCURACY).head(ACCURACY) == "accuracy: one pass over all images, 128 a request, not interleaved"


def test_names_and_titles_are_nobody_elses() -> None:
    """The name is part of a test's, the title heads a table."""
    assert len({scenario.name for scenario in SAMPLES}) == len({scenario.title for scenario in SAMPLES}) == len(SAMPLES)
    assert SAMPLES[-1].name == "poisson-200rps-batch32-8connections"
    assert SAMPLES[-1].title == "Poisson arrivals, 200/s, batches of 32, at most 8 connections"


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (throughput, throughput_scenario(32)),
        (clients, clients_scenario(8, batch_size=32)),
        (open_loop, open_loop_scenario(Arrival.POISSON, rate_per_s=200, batch_size=32, connections=8)),
        (slo, slo_scenario(0.1, batch_size=32)),
        (scaling, scaling_scenario(2, batch_size=32)),
        (replicas, replicas_scenario(2, batch_size=32)),
    ],
    ids=["throughput", "clients", "open-loop", "slo", "scaling", "replicas"],
)
def test_one_more_scenario_is_one_line(module: Any, line: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands beside those of the options; one that these ask for as well is there once."""
    before = module.EXPERIMENT.scenarios(Options())
    monkeypatch.setattr(module, "SCENARIOS", (line, *before))
    assert module.EXPERIMENT.scenarios(Options()) == (*before, line)


def test_two_open_loops_of_two_batch_sizes_in_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sends requests of its own size at its own rate; every answer of both is held against the model."""
    line = open_loop_scenario(Arrival.POISSON, rate_per_s=400, batch_size=8, connections=3)
    monkeypatch.setattr(open_loop, "SCENARIOS", (line,))
    scenarios = open_loop.EXPERIMENT.scenarios(Options(loads=[Offer(rate_per_s=500)], arrivals=[Arrival.CONSTANT]))
    assert [scenario.batch_size for scenario in scenarios] == [1, 8]
    asked: Counter[int] = Counter()  # by images in a request
    records: dict[str, Record] = {}

    def answer(images: FloatArray) -> bytes:
        asked[len(images)] += 1
        return right(images)

    with scripted("a", answer) as system:
        cells = [Cell(system.backend, system.backend.endpoints[0], scenario) for scenario in scenarios]
        plan = plan_of(cells, Settings(max_time_s=0.5), lambda record, _: records.__setitem__(record.scenario, record))
        Campaigns(plan, ScriptedFleet({"a": system}, {}), little_factory()).result(cells[0])
    assert list(records) == [scenario.name for scenario in scenarios], "one campaign"
    for scenario, record in zip(scenarios, records.values(), strict=True):
        assert record.verdict not in (Verdict.WRONG_ANSWERS, Verdict.FAILED), record.reason
        assert (record.batch_size, record.title, record.rate_per_s) == (
            scenario.batch_size,
            scenario.title,
            scenario.rate_per_s,
        )
        assert record.request_bytes == 4 + 4 * WIDTH * scenario.batch_size
        assert record.agreement == 1.0
        assert record.accuracy == pytest.approx((IMAGES - 1) / IMAGES), "of all images"
        probed = scenario.batch_size == 1  # one image showed that the server is ready
        assert record.answers_verified == asked[scenario.batch_size] - probed
        assert record.offered_per_s == pytest.approx(scenario.rate_per_s, rel=0.2), "requests"
        assert record.images_per_s == pytest.approx((record.rate_per_s or 0) * record.batch_size, rel=0.2), "images"


def test_a_search_and_clients_with_batches_count_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load too a request is a batch: speeds are in images, what is offered is in requests."""
    monkeypatch.setattr(slo_search, "_RESOLUTION", 0.25)  # how fine it looks: see test_slo_search.py
    for scenario in (clients_scenario(2, batch_size=6), slo_scenario(0.1, batch_size=6, connections=2)):
        with world({"a": right}, scenario, Settings(max_time_s=0.3)) as (campaigns, cells, records):
            campaigns.result(cells["a"])
        record, samples = records["a"]
        assert samples is not None
        assert record.verdict not in (Verdict.WRONG_ANSWERS, Verdict.FAILED, Verdict.NOT_MEASURED), record.reason
        assert record.agreement == 1.0
        assert record.images_per_s is not None
        if record.offered_per_s is not None:
            assert record.images_per_s == pytest.approx(6 * record.offered_per_s, rel=0.2)
            assert record.goodput_per_s == pytest.approx(record.images_per_s, rel=0.1)
        else:
            assert record.images_per_s == pytest.approx(6 * 2 / samples.duration_s.mean(), rel=0.3)


def test_a_scenario_knows_the_options_that_ask_for_it_again() -> None:
    """What `again` prints leads to the very same scenario."""
    assert slo.EXPERIMENT.rerun_options(slo_scenario(0.0125)) == {"--slo": "12.5ms"}
    assert clients.EXPERIMENT.rerun_options(clients_scenario(8)) == {"--clients": "8"}
    assert experiment_of(SINGLE).rerun_options(SINGLE) == {}
    for scenario in open_loops_of(loads_of("72.5%,200.5/s"), arrivals_of("both")):
        options = open_loop.EXPERIMENT.rerun_options(scenario)
        assert open_loops_of(loads_of(options["--loads"]), arrivals_of(options["--arrivals"])) == [scenario]
