"""Writes the reports of a run into its folder: report.md, report.html and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.charts import speed
from reports.charts.canvas import Chart
from reports.charts.soak import soak_charts
from reports.charts.under_load import load_charts
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.report import View, build_view
from reports.store.store import StoredRun, write_atomic

HTML, MARKDOWN, CHARTS = "report.html", "report.md", "charts"


def write_reports(folder: Path, stored: StoredRun) -> None:
    """Everything that a person reads; raises OSError if the folder cannot be written."""
    view = build_view(stored)
    drawn = draw_charts(view, stored)
    write_charts(folder / CHARTS, list(drawn.values()))
    files = {key: f"{CHARTS}/{chart.name}.svg" for key, chart in drawn.items()}
    write_atomic(folder / MARKDOWN, render_markdown(view, files).encode())
    write_atomic(folder / HTML, render_html(view, drawn).encode())


def write_charts(folder: Path, charts: Sequence[Chart]) -> None:
    """Each as SVG and as PNG; raises OSError."""
    folder.mkdir(exist_ok=True)
    for chart in charts:
        write_atomic(folder / f"{chart.name}.svg", chart.svg)
        write_atomic(folder / f"{chart.name}.png", chart.png)


def draw_charts(view: View, stored: StoredRun) -> dict[str, Chart]:
    """All pictures of a report by name: `throughput-`, `latency-`, `parts-`, `rounds-SCENARIO`, `startup`, `load-`, `soak-`."""
    colours = speed.protocol_colours(view.speed)
    drawn = {"startup": speed.start_chart(view.startup)}
    for table in view.speed:
        drawn[f"throughput-{table.scenario}"] = speed.bar_chart(table, colours)
        drawn[f"latency-{table.scenario}"] = speed.latency_chart(table, stored.samples, colours)
        drawn[f"parts-{table.scenario}"] = speed.parts_chart(table)
        drawn[f"rounds-{table.scenario}"] = speed.trace_chart(table, stored.samples, colours)
    known = {key: chart for key, chart in drawn.items() if chart is not None}
    return known | load_charts(view.load, colours) | soak_charts(view.soak)
