"""A soak in the reports: who held what, what grew, and nothing where the run was none."""

import xml.etree.ElementTree as ET

from bench.contract.rows import SoakRow
from reports.charts.canvas import Chart
from reports.renderers.files import draw_charts
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.report import build_report
from reports.sections.soak import section, sentences, soak_table
from tests.reports.blocks import rows_of, texts_of
from tests.reports.records import NASTY, a_stored_run, some_soak


def drawn(rows: tuple[SoakRow, ...]) -> dict[str, Chart]:
    """The pictures of a soak."""
    return draw_charts(build_report(a_stored_run([], startup=(), soak=rows)))


def test_table_has_what_each_holder_held_and_what_grew() -> None:
    """Medians of the second and of the last quarter; one figure where they are the same."""
    assert rows_of(soak_table(some_soak())) == [
        ("servebench", "32,000", "700.0", "100", "1", "4", "3", "flat"),
        ("flask", "16,000", "85.0", "26 → 34", "2", "9", "–", "files"),
    ]
    assert sentences(some_soak()) == ("16.0 minutes, 16 laps, 32,000 timed exchanges.", "Grew: flask (files).")
    assert texts_of(section(a_stored_run(soak=some_soak())))[-1] == "Lap 5: flask-rest-single: FAILED: gone"


def test_flat_lines_are_called_flat_and_few_laps_nothing() -> None:
    """Who cannot tell does not say that all is well."""
    suite = [row for row in some_soak() if row.holder == "servebench"]
    assert sentences(suite)[1].startswith("All lines are flat")
    assert sentences(suite[:3])[1] == "Too short to tell what grows: that takes 8 laps."
    assert soak_table(suite[:3]).rows[0].texts[2:] == ("700.0", "100", "1", "4", "3", "–")


def test_pictures_name_every_holder_and_where_it_ended() -> None:
    """Memory and files, in both layouts; a single lap is no line."""
    charts = drawn(some_soak(NASTY))
    assert set(charts) == {"soak-memory", "soak-files"}
    for picture in (charts["soak-memory"].svg, charts["soak-memory"].narrow):
        shown = ["".join(element.itertext()) for element in ET.fromstring(picture).iter() if element.tag.endswith("text")]
        assert "servebench  700 MiB" in shown
        assert any(text.endswith("  85.0 MiB") for text in shown)
    assert "servebench 100 to 100" in charts["soak-files"].alt
    assert drawn(some_soak()[:2]) == {}


def test_only_a_soak_has_such_a_section() -> None:
    """None in any other run."""
    plain, soaked = (build_report(a_stored_run(soak=rows)) for rows in ((), some_soak()))
    assert 'id="soak"' not in render_html(plain, {})
    assert "## Soak" not in render_markdown(plain, {})
    page, markdown = render_html(soaked, drawn(some_soak())), render_markdown(soaked, {"soak-memory": "charts/m.svg"})
    assert 'id="soak"' in page
    assert "Grew: flask (files)." in page
    assert "26 → 34" in markdown
    assert "![Memory held, lap after lap](charts/m.svg)" in markdown
