"""Runs of every version of the schema are read, and hold what their scenarios' names say."""

import json
from pathlib import Path

import pytest

from bench.contract.scenarios import ACCURACY, BATCH_128, SINGLE, Arrival, Offer
from bench.experiments.clients import clients_scenario
from bench.experiments.open_loop import open_loops_of
from bench.experiments.slo import slo_scenario
from reports.store import documents
from reports.store.earlier_versions import rate_of, title_of
from tests.reports.records import a_record

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("version", documents.READABLE)
def test_cells_of_every_version_hold_what_their_scenarios_say(version: int) -> None:
    """Each run was written by the code of its time."""
    document = json.loads((DATA / f"results-{version}" / "results.json").read_text())
    found = {record.scenario: record for record in documents.cells_from_document(document, "x")}
    assert (found["single"].kind, found["single"].title, found["single"].unit) == ("throughput", "Single images", "images/s")
    if version > 2:
        assert [(record.kind, record.title) for record in found.values()][1:4] == [
            ("clients", "8 clients"),
            ("open-loop", "Poisson arrivals, 70 % of its peak"),
            ("slo", "Highest rate with p99 under 15 ms"),
        ]


def test_a_rate_that_stood_in_a_name_alone_is_found() -> None:
    """Cells without a kind are of one client, or the pass over all images."""
    cell = a_record(scenario="constant-2p5rps", kind="open-loop", arrival=Arrival.CONSTANT).as_dict()
    for name in ("title", "unit", "rate_per_s"):
        del cell[name]
    found = documents.record_from_document(cell, "x")
    assert (found.title, found.rate_per_s, found.kind) == ("Constant arrivals, 2.5/s", 2.5, "open-loop")
    del cell["kind"]
    found = documents.record_from_document({**cell, "scenario": "accuracy"}, "x")
    assert (found.title, found.unit, found.kind) == ("Accuracy", "share of images", "accuracy")


def test_they_are_told_as_today() -> None:
    """A run of before and one of today can stand side by side."""
    loops = open_loops_of([Offer(load=0.3), Offer(load=0.725), Offer(rate_per_s=200), Offer(rate_per_s=2.5)], list(Arrival)[1:])
    for scenario in (SINGLE, BATCH_128, ACCURACY, clients_scenario(1), clients_scenario(32), slo_scenario(0.0125), *loops):
        assert (title_of(scenario.name), rate_of(scenario.name)) == (scenario.title, scenario.rate_per_s)


@pytest.mark.parametrize(
    ("name", "title", "rate_per_s"),
    [
        ("batch8", "Batches of 8", None),
        ("constant-200p5rps", "Constant arrivals, 200.5/s", 200.5),
        ("something else", "", None),
        ("c٣", "", None),
    ],
)
def test_names_of_before_version_4(name: str, title: str, rate_per_s: float | None) -> None:
    """Others than those that a session has today."""
    assert (title_of(name), rate_of(name)) == (title, rate_per_s)
