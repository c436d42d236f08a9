"""Bars of the highest rate under a latency limit; the whisker is the bracket of the search."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.contract.records import Record
from reports.charts.bars import draw_bars
from reports.charts.canvas import NARROW, PALETTE, WIDE, Chart, Group, chart_of, few, style
from reports.tables.load_cells import Loaded, is_shown, protocols_of
from reports.tables.names import limit_title
from reports.tables.numbers import number


def limit_chart(scenario: str, endpoints: Sequence[Loaded], colours: Mapping[str, str]) -> Chart | None:
    """The highest rates that one search found, grouped by protocol; None if it has no cell. `colours` by protocol."""
    groups = []
    for protocol, mine in protocols_of(endpoints).items():
        cells = [x.cells[scenario] for x in mine if scenario in x.cells]
        # If the client fell behind its schedule, the rate that was found is not the server's.
        cells = [record if is_shown(record) else replace(record, images_per_s=None) for record in cells]
        cells.sort(key=lambda record: -(record.images_per_s or 0.0))
        if cells:
            groups.append(Group(protocol, tuple(cells), None, colours.get(protocol, PALETTE[0])))
    if not groups:
        return None
    limit = limit_title(groups[0].records[0].slo_s or 0.0)
    named = [f"{r.backend}-{r.endpoint} {rate_text(r)}" for group in groups for r in group.records]
    alt = f"Bar chart of the highest rate with p99 under {limit}: {few(named)}."
    with style():
        drawn = [draw_bars(groups, layout, rate_text) for layout in (WIDE, NARROW)]
        return chart_of(f"load-{scenario}", f"Highest rate with p99 under {limit}", alt, *drawn)


def rate_text(record: Record) -> str:
    """The text beside a bar: the rate, and the verdict if it is not VALID."""
    rate = "none held it" if record.images_per_s == 0 else f"{number(record.images_per_s)}/s" if record.images_per_s else ""
    return "  ".join(text for text in (rate, record.verdict.doubt) if text) or "no rate"
