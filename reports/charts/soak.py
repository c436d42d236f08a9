"""The pictures of a soak: a line for each holder over the minutes; flat is what they should be."""

from __future__ import annotations

from collections.abc import Sequence

from reports.charts.canvas import NARROW, PALETTE, WIDE, Chart, style
from reports.charts.curves import MARKERS, Axis, Line, Panel, Plot, draw_plot, log_axis
from reports.charts.speed import chart_of, few
from reports.sections.soak import Course, SoakSection
from reports.tables.clean_text import shortened
from reports.tables.tables import number

_MARKS = 6


def soak_charts(section: SoakSection) -> dict[str, Chart]:
    """By name; what the run has no lines for is left out."""
    drawn = {
        "soak-memory": _chart("soak-memory", "Memory held", " MiB", section.memory_mib),
        "soak-files": _chart("soak-files", "Open files", "", section.files),
    }
    return {name: chart for name, chart in drawn.items() if chart is not None}


def _chart(name: str, title: str, unit: str, courses: Sequence[Course]) -> Chart | None:
    if not any(len(course.minutes) > 1 for course in courses):
        return None  # single points are no line
    lines = tuple(_line(course, unit, n) for n, course in enumerate(courses))
    end = max(minute for course in courses for minute in course.minutes)
    step = max(1, round(end / _MARKS))
    x = Axis(0.0, 1.02 * end, tuple((float(at), f"{at} min") for at in range(0, int(end) + 1, step)), logarithmic=False)
    y = log_axis([value for course in courses for value in course.values], unit, 8)
    plot = Plot((Panel("Over the minutes of the soak", (("", lines),)),), x, y)
    named = [f"{course.holder} {number(course.values[0])} to {number(course.values[-1])}{unit}" for course in courses]
    alt = f"{title} by minutes since the start of the soak: {few(named)}."
    with style():
        return chart_of(name, f"{title}, lap after lap", alt, *(draw_plot(plot, layout) for layout in (WIDE, NARROW)))


def _line(course: Course, unit: str, n: int) -> Line:
    label = f"{shortened(course.holder, 20)}  {number(course.values[-1])}{unit}"
    marker = MARKERS[n // len(PALETTE) % len(MARKERS)]
    return Line(label, PALETTE[n % len(PALETTE)], marker, course.minutes, course.values, (False,) * len(course.minutes))
