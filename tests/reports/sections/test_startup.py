"""Start-up and cost in the reports: medians with their range, the order of the steps, and nothing that was not measured."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.records import Record, Verdict
from bench.contract.rows import StartRow
from reports.charts.startup import ANSWER, PORT, READY, WARM, timeline_chart
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.cells.cost import KINDS, NOT_MEASURED, cost_table
from reports.sections.report import build_report
from reports.sections.startup import section, start_table, timelines
from reports.tables.names import of_kinds
from tests.reports.blocks import rows_of, texts_of
from tests.reports.records import NASTY, a_record, a_stored_run, every_verdict, some_starts, unmeasured


def texts(rows: tuple[StartRow, ...], **backends: BackendFacts) -> dict[str, dict[str, str]]:
    """By backend and column's key."""
    table = start_table(rows, backends)
    return {row[0]: {c.key: text for c, text in zip(table.columns, row, strict=True)} for row in rows_of(table)}


def costs(records: list[Record]) -> list[tuple[str, ...]]:
    """The rows of the table of costs."""
    return rows_of(cost_table(of_kinds(records, KINDS), records))


def test_table_has_medians_and_ranges_first_answers_first() -> None:
    """A step that no start reached is left out; size is what is known of the backend."""
    shown = texts(some_starts(), flask=BackendFacts(size_bytes=162_000_000))
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


def test_the_runs_own_starts_have_their_own_words() -> None:
    """One of each, of which the first answer is known: no empty columns, no medians."""
    rows = (StartRow("a", "process", 0, first_answer_s=0.5), StartRow("b", "process", 1, problem="needs an engine"))
    shown = section(a_stored_run(startup=rows))
    assert "when this run started the server" in texts_of(shown)[0]
    table = start_table(rows, {})
    assert [column.key for column in table.columns] == ["backend", "starts", "answer"]
    assert rows_of(table) == [("a", "1", "0.500"), ("b", "not started", "–")]


def test_problems_are_told_below() -> None:
    """On one line each, cut where a log's end is long."""
    assert texts_of(section(a_stored_run(startup=some_starts())))[-2:] == [
        "litserve, start 1: no right answer within 60 s log's end",
        "tensorflow-serving: needs a container engine",
    ]
    long = texts_of(section(a_stored_run(startup=(StartRow("a", "docker", 2, 0.1, problem="x" * 5000),))))[-1]
    assert long.startswith("a, start 2: xxx")
    assert len(long) < 500


def test_steps_follow_each_other_and_never_go_back() -> None:
    """A step that not all starts reached has no end beside the others': those that settled may have been the quick ones."""
    lines = timelines(some_starts())
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
    chart = timeline_chart(tuple(timelines((*some_starts(), *some_starts(NASTY)[:1])).values()))
    assert chart is not None
    for picture in (chart.svg, chart.narrow):
        shown = ["".join(element.itertext()) for element in ET.fromstring(picture).iter() if element.tag.endswith("text")]
        assert {"flask", "triton", "1.91 s, warm 2.17 s", "says ready", "warm"} <= set(shown)
        assert "litserve" not in shown
    assert "triton 1.91 s, warm 2.17 s" in chart.alt
    assert timeline_chart(tuple(timelines(some_starts()[-2:]).values())) is None


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
    grid = costs(records)
    assert [row[0] for row in grid] == ["flask-raw", "flask-rest", "remote-rest"]
    assert grid[0] == ("flask-raw", "0.400", NOT_MEASURED, NOT_MEASURED, NOT_MEASURED, "90.0 MB")
    assert grid[1] == ("flask-rest", "1.41", "0.200", "12.3", NOT_MEASURED, "90.0 MB")
    assert grid[2] == ("remote-rest", *[NOT_MEASURED] * 5)
    assert costs(records[-2:]) == []


def test_what_a_wrong_answer_costs_is_told_of_nobody() -> None:
    """Not the cheapest, though its figure is the lowest."""
    liar = a_record(backend="liar", verdict=Verdict.WRONG_ANSWERS, reason="x", server_cpu_s_per_image=0.0001)
    rows = costs([liar, a_record()])
    assert [row[0] for row in rows] == ["flask-rest", "liar-rest"]
    assert rows[1][1] == rows[1][3] == "wrong"


def test_a_median_of_fewer_starts_than_there_were_says_so() -> None:
    """Two of three did not settle: the third's time to be warm is not all of them's."""
    rows = [
        StartRow("flask", "process", repeat, launch_s=0.1, first_answer_s=1.0, warm_s=2.0 if repeat == 1 else None)
        for repeat in (1, 2, 3)
    ]
    (texts,) = rows_of(start_table(rows, {}))
    assert texts[-2:] == ("1.00", "2.00, 1 of 3")
