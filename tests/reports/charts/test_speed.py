"""The pictures: every cell and verdict is in them, the same run gives the same bytes, no name breaks them."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.contract.records import Record, Samples, Verdict
from reports.charts.canvas import Chart
from reports.charts.drift import swing, trace_of
from reports.charts.request_parts import DECODE, ENCODE, MODEL, SERVING, WHOLE, WIRE, parts_of
from reports.renderers.files import draw_charts
from reports.sections.report import build_report
from reports.store.store import StoredRun
from reports.tables.cell_tables import speed_table
from reports.tables.clean_text import shortened
from reports.tables.names import endpoint_name
from tests.reports.drawn import charts_of
from tests.reports.records import NASTY, RUNS, a_record, a_stored_run, every_verdict, some_samples, unmeasured


def drawn(stored: StoredRun) -> dict[str, Chart]:
    """All charts of a run."""
    return draw_charts(build_report(stored))


def texts(svg: bytes | str) -> list[str]:
    """Every text of a picture, which is well-formed XML."""
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


@pytest.fixture(scope="module")
def charts() -> dict[str, Chart]:
    """Of the run that has everything."""
    return charts_of("every verdict")


def test_a_chart_of_each_kind_for_each_speed_scenario(charts: dict[str, Chart]) -> None:
    """Accuracy has no picture of its speed: its times rank nobody."""
    kinds = ("best", "throughput", "latency", "parts", "rounds")
    assert set(charts) == {"startup", *(f"{kind}-{scenario}" for kind in kinds for scenario in ("single", "batch128"))}


def test_every_verdict_is_named_and_only_valid_bars_are_solid(charts: dict[str, Chart]) -> None:
    """A bar that is not to be believed is hatched and says why; what has no speed stands as text."""
    chart = charts["throughput-single"]
    shown = " ".join(texts(chart.svg))
    for verdict in Verdict:
        assert (verdict in (Verdict.VALID, Verdict.NOT_MEASURED)) is not (verdict in shown)
    doubtful = [r for r in every_verdict() if r.scenario == "single" and r.images_per_s and r.verdict != Verdict.VALID]
    assert chart.svg.count(b"fill: url(#") == len(doubtful)


def test_every_cell_and_ceiling_is_there(charts: dict[str, Chart]) -> None:
    """Compared cells by name, null as the protocol's ceiling, in both layouts."""
    for picture in (charts["throughput-single"].svg, charts["throughput-single"].narrow):
        shown = texts(picture)
        for record in every_verdict():
            if record.scenario == "single" and record.role == "server" and record.verdict is not Verdict.NOT_MEASURED:
                assert shortened(endpoint_name(record), 24) in shown
        assert any("null ceiling 7,033" in text for text in shown)


def test_same_run_gives_the_same_bytes(charts: dict[str, Chart]) -> None:
    """SVG, PNG, and what goes into the page: golden tests and version control rely on it."""
    assert drawn(a_stored_run()) == charts


def test_pictures_ask_nothing_of_a_network_and_hold_no_date(charts: dict[str, Chart]) -> None:
    """No document type, no metadata, no reference beyond the file itself."""
    for chart in charts.values():
        assert b"DOCTYPE" not in chart.svg
        assert b"<metadata" not in chart.svg
        for element in ET.fromstring(chart.svg).iter():
            hrefs = [value for key, value in element.attrib.items() if key.endswith("href")]
            assert all(href.startswith("#") for href in hrefs)


def test_page_elements_follow_the_theme_and_share_no_id(charts: dict[str, Chart]) -> None:
    """Colours are variables of the page; ids are unique over all pictures of a page."""
    elements = [picture for chart in charts.values() for picture in (chart.wide, chart.narrow)]
    ids = [node.attrib["id"] for picture in elements for node in ET.fromstring(picture).iter() if "id" in node.attrib]
    assert len(ids) == len(set(ids))
    for picture in elements:
        assert "var(--chart-ink, #1f2428)" in picture
        assert picture.count("#1f2428") == picture.count("var(--chart-ink, #1f2428)")


def test_alternative_text_says_the_numbers(charts: dict[str, Chart]) -> None:
    """Who cannot see the picture gets what it shows."""
    assert "fastapi-raw 2,033 ± 0.80 %" in charts["throughput-single"].alt
    assert "flask-rest p50 1.58 ms" in charts["latency-single"].alt


def test_no_cell_is_no_picture() -> None:
    """Neither of nothing, nor of instruments alone."""
    assert drawn(a_stored_run([], startup=())) == {}
    assert drawn(a_stored_run([a_record(role="ceiling", rank=None)], startup=())) == {}


def test_cells_without_any_speed_still_have_their_rows() -> None:
    """All failed: the picture says so; there is no latency to draw."""
    cells = [unmeasured("b", "single"), unmeasured("b", "single", Verdict.FAILED, reason="", endpoint="raw")]
    charts = drawn(a_stored_run(cells))
    assert set(charts) == {"throughput-single", "startup"}
    shown = texts(charts["throughput-single"].svg)
    assert "FAILED" in shown
    assert any(text.startswith("NOT_MEASURED: image tensorflow/serving") for text in shown)


def test_records_without_samples_have_no_distribution_and_no_rounds() -> None:
    """Samples may be missing from an old or a damaged run."""
    assert set(drawn(replace(a_stored_run(), samples={}))) == {
        "throughput-single",
        "throughput-batch128",
        "best-single",
        "best-batch128",
        "parts-single",
        "parts-batch128",
        "startup",
    }


@pytest.mark.parametrize(
    "records",
    [
        [a_record(backend=NASTY, protocol=NASTY, runtime=NASTY), a_record(backend=NASTY + "2", protocol="")],
        [unmeasured(NASTY, "single", reason=NASTY), a_record(scenario=NASTY)],
        [a_record(images_per_s_low=None, images_per_s_high=None)],
        [a_record(images_per_s=1e-3, images_per_s_low=1e-4, images_per_s_high=2e-3)],
        [a_record(exchanges=1)],
    ],
    ids=["nasty", "nasty reasons", "no interval", "very slow", "one sample"],
)
def test_odd_runs_can_be_drawn(records: list[Record]) -> None:
    """Well-formed pictures, no warning (warnings are errors here), every cell in its row."""
    assert_well_drawn(drawn(a_stored_run(records)), len(records))


@pytest.mark.parametrize("name", ["one", "forty"])
def test_runs_of_any_size_can_be_drawn(name: str) -> None:
    """One cell, forty cells."""
    assert_well_drawn(charts_of(name), len(RUNS[name]))


def assert_well_drawn(charts: dict[str, Chart], cells: int) -> None:
    """XML and PNG are what they must be, and there are more texts than cells."""
    rows = 0
    for chart in charts.values():
        assert chart.png.startswith(b"\x89PNG")
        rows += len(texts(chart.svg)) if chart.name.startswith("throughput") else 0
        ET.fromstring(chart.wide)
        ET.fromstring(chart.narrow)
    assert rows > cells or not cells


def test_dollars_in_a_name_are_dollars() -> None:
    """matplotlib would read $x_1$ as a formula."""
    charts = drawn(a_stored_run([a_record(backend="cost$x_1$")]))
    assert "cost$x_1$-rest" in texts(charts["throughput-single"].svg)


def test_equal_samples_can_be_drawn() -> None:
    """A clock with coarse ticks gives a span of nothing, or zeros."""
    record = a_record()
    samples = some_samples(record, 10)
    for value in (0.001, 0.0):
        equal = replace(samples, duration_s=samples.duration_s * 0 + value)
        assert "latency-single" in drawn(StoredRun(a_stored_run().run, (record,), {record.id: equal}))


def test_time_is_divided_by_differences_and_only_where_that_can_be(charts: dict[str, Chart]) -> None:
    """Wire from null of the same protocol, model from the reference; more than the whole: undivided."""
    shared: dict[str, Any] = {"encode_s": 0.001, "decode_s": 0.0005}
    records = [
        a_record(latency_p50_s=0.010, **shared),
        a_record(backend="swift", latency_p50_s=0.0021, **shared),
        a_record(backend="other", protocol="v2-json", latency_p50_s=0.010, **shared),
        a_record(backend="null", role="ceiling", latency_p50_s=0.002, rank=None),
        a_record(backend="reference", role="reference", protocol="in-process", latency_p50_s=0.003, rank=None),
    ]
    found = {parts.record.backend: dict(parts.seconds) for parts in parts_of(speed_table(records))}
    assert found["flask"] == pytest.approx({ENCODE: 0.001, WIRE: 0.002, SERVING: 0.005, MODEL: 0.003, DECODE: 0.0005})
    assert found["swift"] == pytest.approx({ENCODE: 0.001, WHOLE: 0.0021, DECODE: 0.0005})
    assert WHOLE in found["other"], "no null speaks its protocol"
    assert "serving" in " ".join(texts(charts["parts-single"].svg))


def test_a_trace_shows_where_in_the_campaign_a_cell_was_slow() -> None:
    """Twice as slow in the last quarter; parts without a slice are left out."""
    rounds = np.array([r for r in range(80) if not 20 <= r < 24])
    samples = Samples(np.where(rounds >= 60, 0.002, 0.001), rounds)
    at, relative = trace_of(samples, 80)
    assert len(at) == 38
    assert set(relative[at < 75].round(6)) == {1.0}
    assert set(relative[at > 75].round(6)) == {2.0}
    assert swing(samples, 80) == "× 2.0"
