"""Open loops, in which requests do not wait for answers: tail latency by offered load."""

from collections.abc import Sequence
from functools import partial
from statistics import fmean

from bench.contract.scenarios import Arrival
from reports.charts.load import levels, percentiles
from reports.sections.load.figures import Figure, endpoint_label, endpoint_table, of_level, tail_note
from reports.sections.section import Block, Details, Heading, Lean, Picture, Tabular, Text
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.load_cells import CellsUnderLoad, Level, Loaded, equal_load, has_latency, levels_of, protocols_of, tail
from reports.tables.names import batch_title
from reports.tables.numbers import milliseconds, number
from reports.tables.table import Table

KINDS = ("open-loop",)
TITLE = "Open loop"
NOTE = (
    "Requests leave on a schedule, whether or not the earlier ones were answered, and latency counts from when each should "
    "have left. Each server is offered the same part of what it carries itself in a closed loop of several clients, so that a "
    "fast and a slow one are equally busy, or a rate that is the same for all. A curve ends at the highest percentile that its "
    "number of requests supports."
)


def blocks(cells: CellsUnderLoad) -> list[Block]:
    """Charts and tables; empty if no open loop was measured."""
    tables = level_tables(cells)
    if not tables:
        return []
    first, *others = tables
    level = equal_load(cells.endpoints)
    return [
        Heading("Requests that do not wait for answers"),
        Text(NOTE, "intro", until=Lean.BACKGROUND),
        Text(tails(cells.endpoints)),
        Picture(
            "load-percentiles",
            "Percentiles of latency at equal load",
            partial(percentiles.percentiles_chart, cells),
            heading=percentiles.percentiles_title(level) if level is not None else "",
            level=4,
        ),
        Picture(
            "load-levels", "p99 of latency by offered load", partial(levels.levels_chart, cells), heading=levels.TITLE, level=4
        ),
        Heading(first.title, 4),
        Tabular(first),
        *(Details(table.title, (Tabular(table),)) for table in others),
    ]


def level_tables(cells: CellsUnderLoad) -> list[Table]:
    """A table for each arrival process and each size of request, separately for parts of the peak and for rates."""
    groups: dict[tuple[Arrival, bool, int], list[Level]] = {}
    for level in levels_of(cells.endpoints):
        groups.setdefault((level.arrival, level.of_peak, level.batch_size), []).append(level)
    tables = []
    for (arrival, of_peak, batch_size), mine in groups.items():
        what = "the part of its own peak" if of_peak else "the rate"
        figures: list[Figure] = [of_level(level) for level in mine]
        if of_peak:
            hint = "Requests/s that it carried in a closed loop of several clients just before: what the parts are parts of."
            figures.insert(0, (Column("peak", "Peak/s", hint), lambda x, mine=mine: _peak_text(x, mine)))  # type: ignore[misc]
        key, title = f"{arrival}-{'load' if of_peak else 'rate'}", f"p99 in ms by {what} that is offered, {arrival} arrivals"
        if batch_size > 1:
            key, title = f"{key}-batch{batch_size}", f"{title}, {batch_title(batch_size).lower()}"
        tables.append(endpoint_table(key, title, figures, cells, tail_note()))
    return tables


def _peak_text(endpoint: Loaded, mine: Sequence[Level]) -> str:
    """The mean of the peaks that these levels are parts of: the peak was measured anew for each."""
    cells = [endpoint.cells.get(level.scenario) for level in mine]
    peaks = [cell.peak_per_s for cell in cells if cell is not None and cell.verdict.answered and cell.peak_per_s]
    return number(fmean(peaks) if peaks else None)


def tails(endpoints: Sequence[Loaded]) -> str:
    """How far tail latencies are apart at equal load; they have no intervals, so no order is claimed."""
    level = equal_load(endpoints)
    if level is None:
        return ""
    parts = []
    for protocol, mine in protocols_of(endpoints).items():
        measured = [(tail(x.cells[level.scenario]), x) for x in mine if has_latency(x.cells.get(level.scenario))]
        ends = sorted((of[1], x.name, x) for of, x in measured if of is not None and of[0] == "p99")
        if len(ends) > 1:
            (low, _, first), (high, _, last) = ends[0], ends[-1]
            named = f"from {milliseconds(low)} ms ({endpoint_label(first)}) to {milliseconds(high)} ms ({endpoint_label(last)})"
            parts.append(f"{named} over {one_line(protocol)}")
    return f"At {100 * level.value:g} % of each one's own peak, p99 goes {'; '.join(parts)}." if parts else ""
