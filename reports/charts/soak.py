"""The charts of a soak: a line for each holder (the suite, a backend) over the minutes; all of them should be flat."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.charts.canvas import NARROW, PALETTE, WIDE, Chart, chart_of, few, style
from reports.charts.curves import MARKERS, Line, Panel, Plot, draw_plot
from reports.charts.ticks import Axis, log_axis
from reports.tables.clean_text import shortened
from reports.tables.numbers import number

_MARKS = 6


@dataclass(frozen=True, slots=True)
class Course:
    """One holder's line: minutes since the start, and the quantity held then, both [laps in which it is known]."""

    holder: str
    minutes: tuple[float, ...]
    values: tuple[float, ...]


def memory_chart(courses: Sequence[Course]) -> Chart | None:
    """Memory held, in MiB, a line for each holder; None if none has two points."""
    return _chart("soak-memory", "Memory held", " MiB", courses)


def files_chart(courses: Sequence[Course]) -> Chart | None:
    """Open files, a line for each holder; None if none has two points."""
    return _chart("soak-files", "Open files", "", courses)


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
