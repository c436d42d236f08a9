"""The replay of 2018 in the reports: published figures beside today's, two sentences, or nothing at all."""

import re
from dataclasses import replace

from bench.contract.rows import StudyRow, StudyStep
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections import replay_2018
from reports.sections.report import build_report
from tests.reports.blocks import rows_of, tables_of, texts_of
from tests.reports.records import NASTY, a_stored_run

FACTORS = {StudyStep.AS_IN_2018: 1.0, StudyStep.KEPT_CONNECTION: 1.5, StudyStep.PREPARED: 3.0, StudyStep.WARMED_UP: 3.0}


def rows(**speeds: float) -> list[StudyRow]:
    """Every step of both scenarios for each backend; flask gains from what is removed, the others do not."""
    return [
        StudyRow(
            backend=backend.replace("_", "-"),
            endpoint="rest",
            protocol="v1-json",
            scenario=scenario,
            batch_size=size,
            engine="process",
            step=step,
            client="requests, json",
            images_per_s=speed * size * (FACTORS.get(step, 3.0) if backend == "flask" else 1.0),
            images_per_s_low=speed * size * 0.9,
            images_per_s_high=speed * size * 1.1,
            exchanges=100,
            agreement=1.0,
        )
        for scenario, size in (("single", 1), ("batch128", 128))
        for step in StudyStep
        for backend, speed in speeds.items()
    ]


def test_table_has_the_published_figures_above_todays_steps() -> None:
    """TensorFlow Serving's 207.7 and Flask's 125.0, then a row for each step, and who led whom."""
    tables = replay_2018.replay_tables(rows(flask=100.0, tensorflow_serving=200.0))
    single, batch = (rows_of(table) for _, table in tables)
    assert [row[0] for row in single][:2] == ["published in 2018", "today, measured as in 2018"]
    assert single[0][1:] == ("125.0", "207.7", "1.66 times")
    assert len(single) == 1 + len(StudyStep)
    assert single[1][-1] == "tensorflow-serving-rest, 2.00 times"
    assert single[-1][-1] == "flask-rest, 1.50 times"
    assert batch[0][1:3] == ("1,372", "2,159")


def test_text_is_two_sentences_that_name_the_change_of_the_lead_and_the_heaviest_flaw() -> None:
    """Geometric means over systems: 3 times for one of two systems in the step from 1.5 to 3 is 1.41."""
    first, second = replay_2018.sentences(rows(flask=100.0, tensorflow_serving=200.0))
    assert "tensorflow-serving-rest led flask-rest 2.00 times with the study's method" in first
    assert "flask-rest led tensorflow-serving-rest 1.50 times without its flaws" in first
    assert second.startswith("Taking encoding and decoding out of the clock moved the figures most, by 1.41")
    assert "keeping the connection by 1.22" in second


def test_one_system_alone_has_a_table_and_no_text_about_a_lead() -> None:
    """Nobody leads nobody."""
    assert replay_2018.sentences(rows(flask=100.0)) == ()
    found = rows_of(replay_2018.replay_tables(rows(flask=100.0))[0][1])
    assert found[0][-1] == found[1][-1] == "–"


def test_a_problem_is_named_and_has_no_figure() -> None:
    """A step that failed stands as failed, with its reason below."""
    broken = [replace(row, images_per_s=None, problem="all\nwrong") for row in rows(flask=100.0)[:1]]
    section = replay_2018.section(a_stored_run(study=(*broken, *rows(flask=100.0)[1:])))
    assert rows_of(tables_of(section)[0])[1][1] == "failed"
    assert "flask-rest, single images, today, measured as in 2018: all wrong" in texts_of(section)


def test_both_reports_show_it_and_survive_nasty_names() -> None:
    """Markdown and HTML have the same figures."""
    study = (*rows(flask=100.0, tensorflow_serving=200.0), *[replace(row, backend=NASTY) for row in rows(flask=7.0)])
    view = build_report(a_stored_run(study=study))
    markdown, page = render_markdown(view, {}), render_html(view, {})
    for text in ("published in 2018", "+ interleaved in short slices", "207.7"):
        assert text in markdown.replace("\\", "")
        assert text in page
    assert "<script>alert" not in page
    shown = build_report(a_stored_run())
    assert "flaw by flaw" not in render_markdown(shown, {}) + render_html(shown, {})
    assert not re.search(r"\{\{|\{%", page)
