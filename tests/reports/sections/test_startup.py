"""Start-up and cost in the reports: medians with their range, the order of the steps, and nothing that was not measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from bench.contract.errors import BadInput
from bench.contract.records import StartRow, Verdict
from reports.charts.speed import start_chart
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.cost import NOT_MEASURED, cost_grid
from reports.sections.report import build_report
from reports.sections.startup import ANSWER, PORT, READY, WARM, start_section
from reports.store import documents
from tests.reports.records import NASTY, a_record, a_run, a_stored_run, every_verdict, some_starts, unmeasured
from tests.reports.store.test_documents import schema  # noqa: F401 - a fixture


def texts(rows: tuple[StartRow, ...], **backends: dict[str, Any]) -> dict[str, dict[str, str]]:
    """By backend and column's key."""
    grid = start_section(rows, backends).grid
    return {row[0]: {column.key: text for column, text in zip(grid.columns, row, strict=True)} for row in grid.rows}


def test_table_has_medians_and_ranges_first_answers_first() -> None:
    """A step that no start reached is left out; size is what is known of the backend."""
    shown = texts(some_starts(), flask={"size_bytes": 162e6})
    assert list(shown) == ["flask", "triton", "litserve", "tensorflow-serving"]
    assert shown["flask"] == {
        "backend": "flask",
        "starts": "3",
        "launch": "0.006",
        "port": "0.161 (0.151–0.171)",
        "ready": "–",
        "answer": "0.912 (0.800–1.20)",
        "warm": "0.900 (0.850–0.950), 2 of 3",
        "stop": "0.310",
        "size": "162 MB",
    }
    assert shown["triton"]["ready"] == "1.88"
    assert (shown["litserve"]["starts"], shown["litserve"]["port"], shown["litserve"]["answer"]) == ("0 of 1", "0.300", "–")
    assert shown["tensorflow-serving"]["starts"] == "not started"


def test_problems_are_told_below() -> None:
    """On one line each, cut where a log's end is long."""
    section = start_section(some_starts(), {})
    assert section.problems == (
        "litserve, start 1: no right answer within 60 s log's end",
        "tensorflow-serving: needs a container engine",
    )
    (long,) = start_section([StartRow("a", "docker", 2, 0.1, problem="x" * 5000)], {}).problems
    assert len(long) < 500


def test_steps_follow_each_other_and_never_go_back() -> None:
    """A step that not all starts reached has no end beside the others': those that settled may have been the quick ones."""
    lines = {line.backend: line for line in start_section(some_starts(), {}).timelines}
    assert set(lines) == {"flask", "triton"}
    steps = dict(lines["flask"].steps)
    assert steps[PORT] == pytest.approx(0.161 - 0.0061)
    assert steps[ANSWER] == pytest.approx(0.912 - 0.161)
    assert WARM not in steps, "two of three settled, and 0.900 would be before 0.912"
    assert READY not in steps
    assert dict(lines["triton"].steps)[READY] == pytest.approx(1.88 - 0.9)
    assert lines["triton"].text == "1.91 s, warm 2.17 s"
    assert [step for step, _ in lines["triton"].steps][-2:] == [ANSWER, WARM]


def test_picture_names_every_backend_that_answered() -> None:
    """In both layouts, with its figures; nasty names are only long."""
    chart = start_chart(start_section((*some_starts(), *some_starts(NASTY)[:1]), {}))
    assert chart is not None
    for picture in (chart.svg, chart.narrow):
        shown = ["".join(element.itertext()) for element in ET.fromstring(picture).iter() if element.tag.endswith("text")]
        assert {"flask", "triton", "1.91 s, warm 2.17 s", "says ready", "warm"} <= set(shown)
        assert "litserve" not in shown
    assert "triton 1.91 s, warm 2.17 s" in chart.alt
    assert start_chart(start_section(some_starts()[-2:], {})) is None


def test_a_run_without_starts_or_costs_has_no_such_section() -> None:
    """Neither heads nor links to them."""
    records = [replace(record, server_cpu_s_per_image=None, server_peak_memory_bytes=None) for record in every_verdict()]
    view = build_report(a_stored_run(records, startup=()))
    page, markdown = render_html(view, {}), render_markdown(view, {})
    for word in ('id="startup"', 'href="#startup"', 'id="cost"', 'href="#cost"'):
        assert word not in page
    assert "## Start-up" not in markdown
    assert "## Cost" not in markdown


def test_cost_is_for_a_thousand_images_and_says_what_was_not_measured() -> None:
    """Cheapest first; peak memory is the backend's largest of all scenarios; no instruments, nothing that did not run."""
    records = [
        a_record(energy_j_per_image=0.0123, server_peak_memory_bytes=None),
        a_record(scenario="batch128", batch_size=128, server_cpu_s_per_image=0.0002, server_peak_memory_bytes=90_000_000),
        a_record(endpoint="raw", server_cpu_s_per_image=0.0004, server_peak_memory_bytes=80_000_000),
        a_record(backend="null", role="ceiling"),
        a_record(backend="remote", server_cpu_s_per_image=None, server_peak_memory_bytes=None),
        unmeasured("tensorflow-serving", "single"),
    ]
    grid = cost_grid(records)
    assert [row[0] for row in grid.rows] == ["flask-raw", "flask-rest", "remote-rest"]
    assert grid.rows[0] == ("flask-raw", "0.400", NOT_MEASURED, NOT_MEASURED, NOT_MEASURED, "90.0 MB")
    assert grid.rows[1] == ("flask-rest", "1.41", "0.200", "12.3", NOT_MEASURED, "90.0 MB")
    assert grid.rows[2] == ("remote-rest", *[NOT_MEASURED] * 5)
    assert cost_grid(records[-2:]).rows == ()


def test_what_a_wrong_answer_costs_is_told_of_nobody() -> None:
    """Not the cheapest, though its figure is the lowest."""
    liar = a_record(backend="liar", verdict=Verdict.WRONG_ANSWERS, reason="x", server_cpu_s_per_image=0.0001)
    rows = cost_grid([liar, a_record()]).rows
    assert [row[0] for row in rows] == ["flask-rest", "liar-rest"]
    assert rows[1][1] == rows[1][3] == "wrong"


def test_a_median_of_fewer_starts_than_there_were_says_so() -> None:
    """Two of three did not settle: the third's time to be warm is not all of them's."""
    rows = [
        StartRow("flask", "process", repeat, launch_s=0.1, first_answer_s=1.0, warm_s=2.0 if repeat == 1 else None)
        for repeat in (1, 2, 3)
    ]
    (texts,) = start_section(rows, {}).grid.rows
    assert texts[5:7] == ("1.00", "2.00, 1 of 3")


def test_starts_survive_the_results_file_and_fit_its_schema(schema: dict[str, object]) -> None:  # noqa: F811
    """Written, read back, the same; a row that was edited by hand is refused by name."""
    run = a_run()
    document = documents.results_document(run, [a_record(energy_j_per_image=0.01)])
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert documents.run_from_document(document, "results.json").startup == some_starts()
    document["run"]["startup"][0]["sideways"] = 1
    with pytest.raises(BadInput, match=r"results\.json is damaged"):
        documents.run_from_document(document, "results.json")
