"""p99 of latency against the offered load, as a part of each endpoint's own peak."""

from bench.contract.scenarios import Arrival
from reports.charts.canvas import Chart
from reports.charts.curves import Plot
from reports.charts.load.panels import Points, panels_of, plot_chart, values_of
from reports.charts.ticks import Axis, log_axis
from reports.tables.load_cells import CellsUnderLoad, Loaded, has_latency, levels_of

TITLE = "p99 by the part of its own peak that is offered, Poisson arrivals"


def levels_chart(cells: CellsUnderLoad) -> Chart | None:
    """p99 by offered load, a panel for each protocol; None if no server has two points."""
    levels = [level for level in levels_of(cells.endpoints) if level.of_peak and level.arrival is Arrival.POISSON]
    levels = [level for level in levels if level.batch_size == levels[0].batch_size]  # smallest: two sizes are not one curve
    if len(levels) < 2:
        return None

    def points(endpoint: Loaded) -> Points:
        found = [(100 * level.value, endpoint.cells.get(level.scenario)) for level in levels]
        return [(at, cell.latency_p99_s if has_latency(cell) else None, cell) for at, cell in found if cell is not None]

    panels = panels_of(cells, [("", points)], lambda _: "", {level.scenario for level in levels})
    if not any(len(line.x) > 1 for panel in panels for _, lines in panel.facets for line in lines):
        return None  # single points are no curve
    first, last = levels[0], levels[-1]
    alt = f"p99 of latency at {first.title} to {last.title} of each one's own peak, a panel a protocol."
    room = 0.04 * (last.value - first.value)
    marks = tuple((100 * level.value, level.title) for level in levels)
    x = Axis(100 * (first.value - room), 100 * (last.value + room), marks, logarithmic=False)
    plot = Plot(panels, x, log_axis(values_of(panels, "y"), " ms", 10))
    return plot_chart("load-levels", TITLE, alt, lambda _: plot)
