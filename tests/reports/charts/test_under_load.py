"""The pictures of cells under load: every endpoint is named, doubt shows, no label covers another, no name breaks them."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from matplotlib.figure import Figure

from bench.contract.records import Record, Verdict
from reports.charts.canvas import NARROW, WIDE, Chart, Layout
from reports.charts.curves import Plot, draw_plot, pieces_of, spread
from reports.charts.ticks import log_axis
from reports.renderers.files import draw_charts
from reports.sections.report import build_report
from tests.reports.charts.test_speed import assert_well_drawn, texts
from tests.reports.drawn import charts_of
from tests.reports.load_records import a_load_record, under_load
from tests.reports.records import a_stored_run

NAMES = {"load-clients", "load-percentiles", "load-levels", "load-slo15ms"}


@pytest.fixture(scope="module")
def charts() -> dict[str, Chart]:
    """Of ten endpoints in three protocols."""
    return {name: chart for name, chart in charts_of("load").items() if name.startswith("load-")}


def drawn(*cells: Record) -> dict[str, Chart]:
    """Of these cells alone."""
    return draw_charts(build_report(a_stored_run(list(cells), startup=())))


def test_a_picture_for_each_question(charts: dict[str, Chart]) -> None:
    """Clients, percentiles at equal load, tails by load, and each limit."""
    assert set(charts) == NAMES
    assert drawn() == {}
    assert set(drawn(a_load_record("slo"))) == {"load-slo15ms"}
    assert set(drawn(a_load_record("open-loop"))) == {"load-percentiles"}, "one level is no curve"


def test_every_endpoint_is_named_in_both_layouts(charts: dict[str, Chart]) -> None:
    """Also one whose tail its number of requests does not support, with why; who could not be had at all has no row."""
    servers = {f"{r.backend}-{r.endpoint}" for r in under_load() if r.role == "server" and r.verdict != Verdict.NOT_MEASURED}
    for name in ("load-clients", "load-levels", "load-percentiles"):
        for picture in (charts[name].svg, charts[name].wide, charts[name].narrow):
            shown = " ".join(texts(picture))
            assert all(server in shown for server in servers)
            assert "null, the ceiling" in shown
    assert any(text.endswith("112/s, no p99") for text in texts(charts["load-clients"].svg))
    assert any(text.startswith("ray-serve-rest") and text.endswith("no p99") for text in texts(charts["load-levels"].svg))


def test_axes_carry_their_units(charts: dict[str, Chart]) -> None:
    """Requests a second, milliseconds, percentiles."""
    assert {"1,000/s", "10 ms"} <= set(texts(charts["load-clients"].svg))
    assert {"50 %", "90 %", "99 %", "10 ms"} <= set(texts(charts["load-percentiles"].svg))
    assert {"30 %", "90 %", "10 ms"} <= set(texts(charts["load-levels"].svg))


def test_labels_do_not_cover_each_other(charts: dict[str, Chart]) -> None:
    """Rows of a key and names at the ends of lines keep their distance."""
    for chart in charts.values():
        for picture in (chart.wide, chart.narrow):
            places = [
                (float(node.attrib["x"]), float(node.attrib["y"]))
                for node in ET.fromstring(picture).iter()
                if node.tag.endswith("text") and "x" in node.attrib and "y" in node.attrib and "".join(node.itertext()).strip()
            ]
            assert len(places) > 10
            by_x: dict[int, list[float]] = {}
            for x, y in places:
                by_x.setdefault(round(x), []).append(y)
            for column in by_x.values():
                column.sort()
                assert all(lower - upper > 9 for upper, lower in pairwise(column))


@pytest.mark.parametrize("wanted", [[5.0], [0.0, 0.0, 0.0], [10.0, 11.0, 300.0], [200.0] * 8, [-50.0, 400.0], []])
def test_labels_are_spread_within_their_panel(wanted: list[float]) -> None:
    """In their order, 18 pixels apart, as long as there is room for all."""
    found = spread(wanted, 0, 236)
    assert len(found) == len(wanted)
    assert all(later - earlier >= 17.999 for earlier, later in pairwise(found))
    assert all(-1e-9 <= place <= 236 for place in found)


def test_doubtful_points_are_hollow_and_their_lines_dashed(charts: dict[str, Chart]) -> None:
    """In the theme's own ground, so that they are hollow in the dark too."""
    honest = drawn(*(a_load_record("clients", scenario=f"c{n:02}", concurrency=n, images_per_s=100.0 * n) for n in (1, 2)))
    doubt = drawn(
        *(
            a_load_record(
                "clients",
                scenario=f"c{n:02}",
                concurrency=n,
                images_per_s=100.0 * n,
                verdict=Verdict.CLIENT_BOUND,
                reason="x",
            )
            for n in (1, 2)
        )
    )
    assert "stroke-dasharray" not in honest["load-clients"].wide
    assert "stroke-dasharray" in doubt["load-clients"].wide
    assert "fill: var(--chart-panel, #ffffff)" in doubt["load-clients"].wide


def test_what_is_no_servers_has_neither_line_nor_bar() -> None:
    """An open loop whose client fell behind, a search of such; wrong answers, failures."""
    bound: dict[str, Any] = {"verdict": Verdict.CLIENT_BOUND, "reason": "late"}
    assert drawn(a_load_record("open-loop", **bound)) == {}
    bars = drawn(a_load_record("slo", **bound))["load-slo15ms"]
    assert "CLIENT_BOUND: late" in texts(bars.svg)
    assert not any("/s" in text for text in texts(bars.svg))
    for verdict in (Verdict.WRONG_ANSWERS, Verdict.FAILED):
        assert drawn(a_load_record("clients", verdict=verdict)) == {}


def test_one_level_a_line_is_no_picture_and_who_has_none_is_named() -> None:
    """Points without a second one have nothing to be read from; a verdict that takes figures away is said."""
    one = a_load_record("open-loop", scenario="poisson30", load=0.3)
    other = a_load_record("open-loop")
    bound = [replace(record, backend="slow", verdict=Verdict.CLIENT_BOUND, reason="late") for record in (one, other)]
    assert "load-levels" not in drawn(one, bound[1])
    pictures = drawn(one, other, *bound)
    for name in ("load-levels", "load-percentiles"):
        assert any(text.startswith("slow-rest") and text.endswith("CLIENT_BOUND") for text in texts(pictures[name].svg))


def test_no_line_leads_over_a_level_that_there_is_none_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a figure would be read where none could be believed: the points on both sides stand alone, a ceiling's as well."""
    levels = [a_load_record("open-loop", scenario=f"poisson{n}", load=n / 100) for n in (30, 50, 70)]
    levels[1] = replace(levels[1], verdict=Verdict.CLIENT_BOUND, reason="late")
    others = [replace(record, backend="whole", verdict=Verdict.VALID, reason="") for record in levels]
    plots: list[Plot] = []

    def kept(plot: Plot, layout: Layout) -> Figure:
        plots.append(plot)
        return draw_plot(plot, layout)

    monkeypatch.setattr("reports.charts.load.panels.draw_plot", kept)
    drawn(*levels, *others)
    (panel,) = next(plot for plot in plots if plot.x.marks[0][1] == "30 %").panels
    lines = {line.label.split()[0]: line for line in panel.facets[0][1]}
    assert (lines["fastapi-rest"].x, lines["fastapi-rest"].gaps) == ((30.0, 70.0), frozenset({0}))
    assert (lines["whole-rest"].x, lines["whole-rest"].gaps) == ((30.0, 50.0, 70.0), frozenset())
    assert pieces_of(lines["fastapi-rest"]) == []
    assert pieces_of(lines["whole-rest"]) == [(0, 2, False)]
    doubtful = replace(lines["whole-rest"], doubtful=(False, False, True))
    assert pieces_of(doubtful) == [(0, 1, False), (1, 2, True)]
    assert pieces_of(replace(doubtful, gaps=frozenset({0}))) == [(1, 2, True)]


def test_a_damaged_histogram_costs_only_its_own_curve() -> None:
    """The others are drawn; alone it is no picture."""
    damaged = a_load_record("open-loop", backend="broken", latency_hdr="HISTFAAAnonsense")
    assert drawn(damaged) == {}
    assert "load-percentiles" in drawn(damaged, a_load_record("open-loop"))


def test_alternative_text_says_the_numbers(charts: dict[str, Chart]) -> None:
    """Who cannot see the picture gets what it shows."""
    assert "mosec-rest 2,111/s" in charts["load-clients"].alt
    assert "bentoml-rest p99 32.7 ms" in charts["load-percentiles"].alt
    assert "kserve-grpc 538/s" in charts["load-slo15ms"].alt


@pytest.mark.parametrize("name", ["nasty load", "forty under load"])
def test_odd_runs_can_be_drawn(name: str) -> None:
    """Well-formed XML, whatever the names and however many."""
    assert_well_drawn({key: chart for key, chart in charts_of(name).items() if key.startswith("load-")}, 0)


@pytest.mark.parametrize("values", [[1.0], [3.0, 3.0], [0.001, 5000.0], [0.9, 1.1]])
def test_axis_holds_its_values_and_has_marks(values: list[float]) -> None:
    """One value, equal values, seven decades."""
    for layout in (WIDE, NARROW):
        axis = log_axis(values, " ms", 8 if layout.beside else 4)
        assert axis.low < min(values) <= max(values) < axis.high
        assert len(axis.marks) >= 1
