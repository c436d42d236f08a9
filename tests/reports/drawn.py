"""Charts of the runs that many tests look at, drawn once: it takes seconds."""

from functools import cache

from reports.charts.canvas import Chart
from reports.renderers.files import draw_charts
from reports.sections.report import build_report
from tests.reports.records import RUNS, a_stored_run


@cache
def charts_of(name: str) -> dict[str, Chart]:
    """Of a run in RUNS."""
    return draw_charts(build_report(a_stored_run(RUNS[name])))
