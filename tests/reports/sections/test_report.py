"""A report is a list of sections: every renderer shows any section, without knowing it."""

import importlib
import pkgutil
import re
from dataclasses import replace

import pytest

import reports.sections
from bench.contract.records import Verdict
from reports.charts.canvas import Chart
from reports.renderers.files import draw_charts
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.renderers.terminal import summary_lines
from reports.sections.report import SECTIONS, build_report
from reports.sections.section import (
    EVERYWHERE,
    MARKDOWN,
    PAGE,
    TERMINAL,
    Commands,
    Details,
    Heading,
    Items,
    Pairs,
    Picture,
    Problem,
    Problems,
    Report,
    Section,
    Tabular,
    Text,
)
from reports.store.store import StoredRun
from reports.tables.columns import Column
from reports.tables.table import text_table
from tests.reports.pages import Page, markdown_tables
from tests.reports.records import a_record, a_stored_run

COLUMNS = (Column("cell", "Who", "Whom."), Column("told", "What", "A figure."))
CHART = Chart("a-chart", "A chart", "a chart of nothing", b"<svg/>", b"", "<svg id='wide'></svg>", "<svg id='narrow'></svg>")


def a_section() -> Section:
    """One with a block of every type."""
    blocks = (
        Text("An intro.", "intro"),
        Heading("A heading"),
        Text("Everywhere & anywhere.", on=EVERYWHERE),
        Items(("one item", "another item")),
        Pairs((("term", "meaning"),)),
        Commands((("cell", "pytest -k x"),), listed=True),
        Problems((Problem(Verdict.FAILED, ("a-rest",), "it broke"),), on=EVERYWHERE),
        Tabular(text_table("A table", COLUMNS, [("a-rest", "4711")]), on=EVERYWHERE),
        Picture("a-chart", "What the chart shows", lambda: CHART, heading="Drawn"),
        Picture("none", "Nothing to draw", lambda: None, heading="Never drawn"),
        Details("Folded", (Text("Within."),)),
        Text("On the page alone.", on=PAGE),
        Text("In Markdown alone.", on=MARKDOWN),
        Text("In the terminal alone.", on=TERMINAL),
    )
    return Section("new", "A new section", blocks, finding="New.")


@pytest.fixture(scope="module")
def report() -> Report:
    """A run with the new section in the middle."""
    plain = build_report(a_stored_run([a_record()]))
    return replace(plain, sections=(*plain.sections[:3], a_section(), *plain.sections[3:]))


def test_the_page_shows_any_section(report: Report) -> None:
    """Its heading and what it found, every block; what was not drawn has no heading either."""
    charts = {"a-chart": CHART}
    text = render_html(report, charts)
    page = Page(text)
    assert page.open_tags == []
    assert "new" in page.ids
    assert '<span class="finding">New.</span>' in text
    for words in ("A new section", "An intro.", "one item", "meaning", "pytest -k x", "it broke", "4711", "Folded", "Drawn"):
        assert words in page.all_text
    assert 'aria-label="a chart of nothing"' in text
    assert "On the page alone." in page.all_text
    assert not re.search("Never drawn|In Markdown alone|In the terminal alone", page.all_text)


def test_markdown_shows_any_section(report: Report) -> None:
    """Headings below the section's own, tables as tables, pictures as linked files."""
    text = render_markdown(report, {"a-chart": "charts/a-chart.svg"})
    for words in ("## A new section", "### A heading", "#### Folded", "- one item", "- **term**: meaning", "`pytest -k x`"):
        assert words in text
    assert "![What the chart shows](charts/a-chart.svg)" in text
    assert [["Who", "What"], ["a-rest", "4711"]] in list(markdown_tables(text))
    assert "In Markdown alone." in text
    assert not re.search("Nothing to draw|On the page alone|In the terminal alone", text)


def test_the_terminal_shows_what_of_a_section_is_for_it(report: Report) -> None:
    """Tables, then problems, last the sentences."""
    text = "\n".join(summary_lines(report))
    places = [text.index(words) for words in ("4711", "FAILED: a-rest: it broke", "Everywhere & anywhere.")]
    assert places == sorted(places)
    assert "In the terminal alone." in text
    assert not re.search("An intro|On the page alone|In Markdown alone", text)


def test_charts_are_those_that_the_sections_name(report: Report) -> None:
    """One that has nothing to draw is left out, and a name that another one has is refused: one would hide the other."""
    assert {"throughput-single", "latency-single", "a-chart"} <= set(draw_charts(replace(report, sections=report.sections[:5])))

    with pytest.raises(ValueError, match="two pictures are named 'a-chart'"):
        draw_charts(replace(report, sections=(a_section(), a_section())))


def test_every_section_of_the_folder_is_in_the_report() -> None:
    """A file that makes a section is in the list; each has an anchor of its own."""
    names = [module.name for module in pkgutil.walk_packages(reports.sections.__path__, "reports.sections.")]
    made = {getattr(importlib.import_module(name), "section", None) for name in names}
    of_run = {each for each in made if callable(each)}
    assert of_run == set(SECTIONS)
    anchors = [section(StoredRun(a_stored_run([]).run, (), {})).anchor for section in SECTIONS]
    assert len(anchors) == len(set(anchors))
