"""The answer in words: true to ranks, ties and verdicts."""

from dataclasses import replace

import pytest

from bench.contract.records import Record, Verdict
from reports.charts.speed import places
from reports.sections.answer import answers, bests, unranked
from reports.sections.cells.leaders import by_protocol, by_runtime
from tests.reports.records import a_record, every_verdict, unmeasured


def cell(backend: str, rank: int | None, speed: float, **changes: object) -> Record:
    """A ranked cell without any ratio."""
    plain = replace(a_record(), backend=backend, rank=rank, images_per_s=speed, ratio=None, ratio_low=None, ratio_high=None)
    return replace(plain, **{"ratio_to": None, **changes})  # type: ignore[arg-type]


def test_one_sentence_a_scenario() -> None:
    """Single first, batches second; the accuracy pass ranks nobody."""
    found = answers(every_verdict())
    assert len(found) == 2
    assert found[0].startswith(
        "For single images, each at its best, fastapi-raw and flask-raw cannot be told apart, with 2,033 and 2,021 images/s; "
    )
    assert found[1].startswith("For batches of 128, each at its best, fastapi-raw is fastest with 29,811 images/s")


def test_interval_comes_from_the_record_that_was_compared() -> None:
    """The slower cell's ratio is turned round, bounds swapped."""
    slow = cell("slow", 2, 50.0, ratio=0.5, ratio_low=0.4, ratio_high=0.625, ratio_to="fast-rest-single")
    (sentence,) = answers([slow, cell("fast", 1, 100.0)])
    assert sentence.endswith("fast-rest is fastest with 100 images/s, 2.00 times (1.60 to 2.50) as fast as slow-rest.")


def test_interval_may_come_from_the_faster_cell() -> None:
    """When everything is compared with the slowest."""
    fast = cell("fast", 1, 100.0, ratio=2.0, ratio_low=1.9, ratio_high=2.1, ratio_to="slow-rest-single")
    (sentence,) = answers([cell("slow", 2, 50.0), fast])
    assert "2.00 times (1.90 to 2.10) as fast as slow-rest" in sentence


def test_interval_to_the_leader_comes_first() -> None:
    """Whatever the table's ratios refer to."""
    fast = cell("fast", 1, 100.0, ratio=3.0, ratio_low=2.9, ratio_high=3.1, ratio_to="base-rest-single")
    shared = {"ratio_to": "base-rest-single", "leader": fast.id}
    slow = cell("slow", 2, 50.0, ratio=1.5, leader_ratio=2.04, leader_ratio_low=1.98, leader_ratio_high=2.1, **shared)
    last = cell("last", 3, 20.0, ratio=0.6, leader_ratio=5.1, leader_ratio_low=4.9, leader_ratio_high=5.3, **shared)
    (sentence,) = answers([slow, fast, last])
    assert "2.04 times (1.98 to 2.10) as fast as slow-rest and 5.10 times (4.90 to 5.30) as fast as the last" in sentence


def test_factor_without_an_interval_is_about() -> None:
    """Two cells that were each compared with a third have no interval of their own."""
    base = "null-rest-single"
    fast = cell("fast", 1, 100.0, ratio=0.3, ratio_low=0.29, ratio_high=0.31, ratio_to=base)
    slow = cell("slow", 2, 40.0, ratio=0.1, ratio_low=0.09, ratio_high=0.11, ratio_to=base)
    assert "about 3.00 times as fast as slow-rest" in answers([fast, slow])[0]


def test_all_tied_is_said_as_such() -> None:
    """No winner is made up."""
    (sentence,) = answers([cell("a", 1, 100.0), cell("b", 1, 99.0), cell("c", 1, 98.0)])
    assert sentence.endswith("each at its best, a-rest, b-rest and c-rest cannot be told apart, with 100 to 98.0 images/s.")


def test_single_cell_is_compared_with_nothing() -> None:
    """One ranked cell is no winner."""
    assert answers([cell("a", 1, 100.0)]) == (
        "For single images, a-rest answers 100 images/s; there is nothing to compare it with.",
    )


def test_no_ranked_cell_says_why() -> None:
    """Verdicts are counted instead."""
    found = answers([unmeasured("a", "single"), unmeasured("b", "single", Verdict.FAILED)])
    assert found == ("For single images, no cell can be ranked: 1 FAILED, 1 NOT_MEASURED.",)


@pytest.mark.parametrize("records", [[], [a_record(scenario="accuracy")], [a_record(role="reference")]])
def test_run_without_speeds_says_so(records: list[Record]) -> None:
    """Zero cells, accuracy only, instruments only."""
    assert answers(records) == ("This run compared no speeds.",)


def test_a_doubtful_cell_leads_only_where_no_other_can() -> None:
    """Who has no VALID endpoint is named; where nobody has one, the leader carries its verdict."""
    doubtful = {"verdict": Verdict.UNSTABLE, "reason": "x"}
    (mixed,) = answers([cell("a", 1, 100.0, **doubtful), cell("b", 2, 50.0)])
    assert mixed.endswith("b-rest answers 50.0 images/s; there is nothing to compare it with; no endpoint of a is VALID.")
    (alone,) = answers([cell("a", 1, 100.0, **doubtful), cell("b", 2, 50.0, **doubtful)])
    assert "a-rest (UNSTABLE) is fastest" in alone
    assert alone.endswith("no endpoint of a and b is VALID.")


def test_like_is_compared_with_like() -> None:
    """Each backend at its best across protocols; then, within what others speak too, who leads there."""
    cells = [
        cell("a", 1, 900.0, endpoint="raw", protocol="raw-float32"),
        cell("a", 3, 300.0),
        cell("b", 2, 400.0),
        cell("c", 2, 390.0),
        cell("d", 4, 10.0, endpoint="grpc", protocol="v2-grpc"),
    ]
    assert [record.endpoint for record in bests(cells)] == ["raw", "rest", "rest", "grpc"]
    assert places(bests(cells)) == ["1", "2=", "2=", "4"]
    (sentence,) = answers(cells)
    assert "each at its best, a-raw is fastest with 900 images/s" in sentence
    assert sentence.endswith("; within v1-json b-rest and c-rest with 400 and 390 images/s (ahead of 1).")


def test_many_ties_are_counted() -> None:
    """Forty names are no answer."""
    (sentence,) = answers([cell(f"b{n:02}", 1, 100.0 - n) for n in range(40)])
    assert "b00-rest, b01-rest, b02-rest and 37 more" in sentence


def test_unranked_cells_are_counted_by_verdict() -> None:
    """What the sentences leave out stands beside them."""
    text = unranked(every_verdict())
    assert text.startswith("11 of 19 cells could not be ranked:")
    assert "2 NOT_MEASURED" in text
    assert unranked([cell("a", 1, 1.0)]) == ""
    assert "1 measured too briefly" in unranked([cell("a", None, 1.0)])


def test_each_protocol_has_its_own_leader() -> None:
    """JSON and binary are not one race: who leads all need not be who leads among its like."""
    cells = [
        a_record(backend="a", endpoint="raw", protocol="raw", rank=1, images_per_s=9000.0),
        a_record(backend="b", endpoint="rest", protocol="v1-json", rank=2, images_per_s=3000.0),
        a_record(backend="c", endpoint="rest", protocol="v1-json", rank=2, images_per_s=2900.0),
        a_record(backend="d", endpoint="rest", protocol="v1-json", rank=4, images_per_s=1000.0),
    ]
    (sentence,) = by_protocol(cells)
    assert "raw: a-raw with 9,000 images/s (the only one)" in sentence
    assert "v1-json: b-rest and c-rest with 3,000 and 2,900 images/s (ahead of 1)" in sentence
    (runtimes,) = by_runtime([*cells, a_record(backend="e", endpoint="rest", runtime="tensorflow", rank=5, images_per_s=7.0)])
    assert "tensorflow: e-rest with 7.00 images/s (the only one)" in runtimes
    assert by_runtime(cells) == ()
    assert by_protocol(cells[1:]) == ()
    assert by_protocol([]) == ()


def test_cells_of_two_runs_are_not_ranked_and_the_words_say_why() -> None:
    """A resumed scenario: what was not side by side is not called measured too briefly."""
    cells = [cell("a", None, 100.0), cell("b", None, 50.0, taken_from="earlier")]
    assert answers(cells) == ("For single images, no cell can be ranked: 2 VALID; not all were measured side by side.",)
    assert "2 measured too briefly or in two runs" in unranked(cells)
    assert "side by side" not in answers([replace(each, taken_from="earlier") for each in cells])[0]
