"""The highest rate under a latency limit."""

from collections.abc import Mapping, Sequence
from functools import partial

from bench.contract.records import Record
from reports.charts.load.limits import limit_chart
from reports.sections.load.figures import Figure, endpoint_table, figure, tail_text
from reports.sections.section import Block, Heading, Lean, Picture, Tabular, Text
from reports.tables.columns import COLUMNS, Column
from reports.tables.load_cells import CellsUnderLoad, Loaded, limits_of
from reports.tables.names import limit_title, title_of
from reports.tables.numbers import MISSING, number
from reports.tables.table import Table

KINDS = ("slo",)
TITLE = "Search for the highest rate"
NOTE = (
    "The highest rate of Poisson arrivals at which 99 of 100 requests were shown to keep within the limit, found by bisection. "
    "At the lower end of the bracket (the whisker) that could be shown, with confidence 99 % in each of two probes, at its "
    "upper end it could not: a search that believed less would end a little higher. Two whose brackets overlap cannot be told "
    "apart. Goodput counts the answers within the limit."
)


def blocks(cells: CellsUnderLoad, colours: Mapping[str, str]) -> list[Block]:
    """Chart and table for each limit that was searched; `colours` by protocol."""
    shown: list[Block] = []
    for scenario in limits_of(cells.endpoints):
        table = limit_table(scenario, cells.endpoints)
        draw = partial(limit_chart, scenario, cells.endpoints, colours)
        shown += [
            Heading(table.title),
            Text(NOTE, "intro", until=Lean.BACKGROUND),
            Picture(f"load-{scenario}", table.title, draw),
            Tabular(table),
        ]
    return shown


def limit_table(scenario: str, endpoints: Sequence[Loaded]) -> Table:
    """The highest rate under one limit, the fastest of each protocol first."""
    mine = [x for x in endpoints if scenario in x.cells]
    order = {protocol: n for n, protocol in enumerate(dict.fromkeys(x.first.protocol for x in mine))}
    mine.sort(key=lambda x: (order[x.first.protocol], -(x.cells[scenario].images_per_s or 0.0)))
    limit = limit_title(mine[0].cells[scenario].slo_s or 0.0)
    figures: list[Figure] = [
        (Column(key, title, hint, numeric), lambda x, text=text: figure(x.cells[scenario], text))  # type: ignore[misc]
        for key, title, hint, numeric, text in (
            ("rate", "Highest rate/s", f"Poisson requests/s at which p99 stayed under {limit}.", True, rate_text),
            (
                "bracket",
                "Bracket",
                "The search ended between these rates: the lower one was shown to hold the limit, the upper one not.",
                True,
                _bracket_text,
            ),
            ("goodput", "Goodput/s", f"Requests/s that were answered within {limit}, at that rate.", True, _goodput_text),
            ("p99", "p99 ms", "Latency at that rate that 99 of 100 requests kept within.", True, tail_text),
            (
                "share",
                "Of its peak",
                "That rate as a share of what it carries in a closed loop of several clients.",
                True,
                _share_text,
            ),
        )
    ]
    figures.append((COLUMNS["verdict"], lambda x: str(x.cells[scenario].verdict)))
    return endpoint_table(scenario, title_of(mine[0].cells[scenario]), figures, CellsUnderLoad(mine, ()))


def rate_text(record: Record) -> str:
    """The highest rate, or that no rate held the limit."""
    return "none held it" if record.images_per_s == 0 else number(record.images_per_s)


def _bracket_text(record: Record) -> str:
    if not record.images_per_s:
        return MISSING
    if record.images_per_s_high is None:
        return f"from {number(record.images_per_s_low)}, no end found"
    return f"{number(record.images_per_s_low)} to {number(record.images_per_s_high)}"


def _goodput_text(record: Record) -> str:
    return number(record.goodput_per_s)


def _share_text(record: Record) -> str:
    if not record.peak_per_s or not record.images_per_s:
        return MISSING
    return f"{number(100 * (record.load or record.images_per_s / record.batch_size / record.peak_per_s), digits=2)} %"
