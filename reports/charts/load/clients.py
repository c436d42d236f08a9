"""Latency against throughput: a point for each number of clients."""

from collections.abc import Callable
from functools import partial

from bench.contract.records import Record
from reports.charts.canvas import Chart, Layout, few
from reports.charts.curves import Guide, Plot
from reports.charts.load.panels import Points, label_of, panels_of, plot_chart, values_of
from reports.charts.ticks import Axis, log_axis
from reports.tables.load_cells import CellsUnderLoad, Loaded, concurrencies, is_shown
from reports.tables.names import clients_title
from reports.tables.numbers import number


def clients_chart(cells: CellsUnderLoad) -> Chart | None:
    """Latency against throughput, a panel for each protocol; None if no cell has a latency."""
    facets: tuple[tuple[str, Callable[[Record], float | None]], ...] = (
        ("p50; each thin line a number of clients", lambda record: record.latency_p50_s),
        ("p99", lambda record: record.latency_p99_s),
    )

    def points(endpoint: Loaded, of: Callable[[Record], float | None]) -> Points:
        swept = endpoint.clients.values()
        return [(record.images_per_s or 0.0, of(record) if is_shown(record) else None, record) for record in swept]

    def label(endpoint: Loaded) -> str:
        has_tail = any(is_shown(record) and record.latency_p99_s for record in endpoint.clients.values())
        return f"{number(endpoint.reached)}/s" + ("" if has_tail else ", no p99") if endpoint.clients else ""

    swept = {record.scenario for x in cells.endpoints for record in x.clients.values()}
    panels = panels_of(cells, [(title, partial(points, of=of)) for title, of in facets], label, swept)
    if not panels:
        return None
    numbers = concurrencies(cells.endpoints)
    shown = f"{numbers[0]} to {clients_title(numbers[-1])}"
    named = [f"{x.name} {label_of(x, label(x), swept)}" for x in cells.endpoints if x.clients]
    alt = f"Latency against throughput with {shown}, a panel a protocol; requests per second with most of them: {few(named)}."

    def plot(layout: Layout) -> Plot:
        x = log_axis(values_of(panels, "x"), "/s", 5 if layout.beside else 4, room=1.5)
        y = log_axis(values_of(panels, "y"), " ms", 10)
        guides = [_guide(clients, x, y) for clients in numbers]
        return Plot(panels, x, y, tuple(guide for guide in guides if guide is not None))

    return plot_chart("load-clients", f"Latency against throughput, {shown}", alt, plot)


def _guide(clients: int, x: Axis, y: Axis) -> Guide | None:
    """Where the mean latency of so many clients must lie (Little's law: clients = throughput x latency), within the axes."""
    left, right = max(x.low, 1e3 * clients / y.high), min(x.high, 1e3 * clients / y.low)
    if right <= left:
        return None
    return Guide(str(clients), (left, right), (1e3 * clients / left, 1e3 * clients / right))
