"""Writes the reports of a run into its folder: report.md, report.html and the charts."""

from collections.abc import Sequence
from pathlib import Path

from reports.charts.canvas import Chart
from reports.renderers.html import render_html
from reports.renderers.markdown import render_markdown
from reports.sections.report import build_report
from reports.sections.section import Report
from reports.store.store import StoredRun, write_atomic

HTML, MARKDOWN, CHARTS = "report.html", "report.md", "charts"


def write_reports(folder: Path, stored: StoredRun) -> None:
    """Write report.md, report.html and the charts; raises OSError if the folder cannot be written."""
    report = build_report(stored)
    drawn = draw_charts(report)
    write_charts(folder / CHARTS, list(drawn.values()))
    files = {key: f"{CHARTS}/{chart.name}.svg" for key, chart in drawn.items()}
    write_atomic(folder / MARKDOWN, render_markdown(report, files).encode())
    write_atomic(folder / HTML, render_html(report, drawn).encode())


def write_charts(folder: Path, charts: Sequence[Chart]) -> None:
    """Write each chart as SVG and as PNG; raises OSError."""
    folder.mkdir(exist_ok=True)
    for chart in charts:
        write_atomic(folder / f"{chart.name}.svg", chart.svg)
        write_atomic(folder / f"{chart.name}.png", chart.png)


def draw_charts(report: Report) -> dict[str, Chart]:
    """Draw all charts that the sections name; returns them by name, without those for which there is nothing to draw."""
    drawn = {picture.name: picture.draw() for picture in report.pictures()}
    return {name: chart for name, chart in drawn.items() if chart is not None}
