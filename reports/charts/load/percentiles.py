"""The percentiles of latency at equal load, from the histograms."""

import math

from bench.statistics.histogram import percentile_curve
from reports.charts.canvas import Chart, few
from reports.charts.curves import Plot
from reports.charts.load.panels import Points, label_of, panels_of, plot_chart, values_of
from reports.charts.ticks import Axis, log_axis
from reports.tables.load_cells import CellsUnderLoad, Level, Loaded, equal_load, has_latency, is_shown
from reports.tables.numbers import milliseconds

_NINES = ((0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"))


def percentiles_title(level: Level) -> str:
    """The chart's title: what is drawn, and at which load."""
    return f"Percentiles of latency · {_at(level)}"


def _at(level: Level) -> str:
    return f"{level.arrival.capitalize()} arrivals at {level.title} of each one's own peak"


def percentiles_chart(cells: CellsUnderLoad) -> Chart | None:
    """Percentiles of latency, a panel for each protocol; None if no cell has a histogram to show."""
    level = equal_load(cells.endpoints)
    if level is None:
        return None

    def points(endpoint: Loaded) -> Points:
        record = endpoint.cells.get(level.scenario)
        if record is None or not is_shown(record) or not record.latency_hdr:
            return []
        try:
            percentiles, seconds = percentile_curve(record.latency_hdr)
        except ValueError:  # one damaged histogram must not cost the others their chart
            return []
        return [(_nines(float(p)), float(s), record) for p, s in zip(percentiles, seconds, strict=True)]

    def label(endpoint: Loaded) -> str:
        record = endpoint.cells.get(level.scenario)
        return f"p99 {milliseconds(record.latency_p99_s)} ms" if has_latency(record) and record and record.latency_p99_s else ""

    panels = panels_of(cells, [("", points)], label, {level.scenario})
    if not panels:
        return None
    named = [f"{x.name} {text}" for x in cells.endpoints if (text := label_of(x, label(x), {level.scenario}))]
    alt = f"Percentiles of latency, {_at(level)}, a panel a protocol: {few(named)}."
    ends = max(values_of(panels, "x"))
    marks = tuple((_nines(at), text) for at, text in _NINES if _nines(at) <= ends * 1.02)
    x = Axis(_nines(0.5), max(ends, marks[-1][0]) * 1.02, marks, logarithmic=False)
    plot = Plot(panels, x, log_axis(values_of(panels, "y"), " ms", 10))
    return plot_chart("load-percentiles", percentiles_title(level), alt, lambda _: plot)


def _nines(percentile: float) -> float:
    """The place of a percentile (0 to 1) on an axis where each further nine takes the same space: 90 % at 1, 99 % at 2."""
    return -math.log10(1 - percentile)
