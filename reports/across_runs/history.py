"""Each cell's speed over the runs in one folder, with its 95 % interval, by date and commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from bench.contract.errors import BadInput
from bench.contract.options import may_be_read
from bench.contract.records import Record
from bench.contract.system import Role
from reports.charts.canvas import GRID, NARROW, WIDE, Chart, Dashes, Group, chart_of, style
from reports.charts.panels import Curves, draw_panels
from reports.charts.speed import protocol_colours
from reports.sections.cells.speed import KINDS
from reports.store.store import LATEST, StoredRun, load_run
from reports.tables.clean_text import one_line
from reports.tables.columns import Column
from reports.tables.names import endpoint_name, of_kinds, scenarios_of, title_of
from reports.tables.numbers import MISSING, number, with_interval
from reports.tables.table import Table, text_table

_MOST_LABELS = 8
_SUBS = (1, 1.2, 1.5, 2, 3, 5, 7)  # ticks of a decade: a few are shown even if runs differ by little


@dataclass(frozen=True, slots=True)
class HistorySection:
    """One scenario: its chart, and a table with a row for each run."""

    title: str
    chart: Chart | None
    table: Table


@dataclass(frozen=True, slots=True)
class History:
    """The history of runs of one model and dataset; `skipped` names the other runs in the folder, and why they are left out."""

    title: str
    lead: str
    sections: tuple[HistorySection, ...]
    skipped: tuple[str, ...]


def read_runs(folder: Path) -> tuple[list[StoredRun], list[str]]:
    """Read the runs in a folder, oldest first; raises BadInput if none can be read.

    Returns those with the images and the model of the newest run, and for each other one why it was skipped.
    """
    runs, skipped = [], []
    for path in sorted(folder.glob("*/")) if folder.is_dir() else []:
        try:
            with may_be_read(str(path)):
                is_run = any(path.glob("run*.json")) or (path / "results.json").is_file()
            if is_run and path.name != LATEST and not path.is_symlink():
                runs.append(load_run(path))
        except BadInput as error:
            skipped.append(one_line(str(error)))
    if not runs:
        raise BadInput(
            f"{folder} holds no run that can be read: expected folders with results.json, as --report-dir makes them"
        )
    runs.sort(key=lambda stored: stored.run.started_utc)
    newest = runs[-1].run
    fitting = []
    for stored in runs:
        same = all(
            getattr(stored.run, what).get("sha256") == getattr(newest, what).get("sha256") for what in ("dataset", "model")
        )
        if same:
            fitting.append(stored)
        else:
            skipped.append(f"{one_line(stored.run.id)}: measured with other images or another model than the newest run")
    return fitting, skipped


def history_of(runs: Sequence[StoredRun], skipped: Sequence[str]) -> History:
    """Charts and tables over all runs, a section for each scenario."""
    runs = [replace(stored, records=tuple(of_kinds(stored.records, KINDS))) for stored in runs]
    scenarios = scenarios_of([record for stored in runs for record in stored.records])
    first, last = runs[0].run.started_utc[:10], runs[-1].run.started_utc[:10]
    return History(
        title="History",
        lead=f"{len(runs)} run{'' if len(runs) == 1 else 's'}, {first} to {last}",
        sections=tuple(_section(scenario, runs) for scenario in scenarios),
        skipped=tuple(skipped),
    )


def label_of(stored: StoredRun) -> str:
    """`11-24 10:23 1a2b3c4`: when the run started, and its commit."""
    commit = str(stored.run.environment.get("commit") or "")
    return one_line(f"{stored.run.started_utc[5:16].replace('T', ' ')} {commit[:7]}")


def _section(scenario: str, runs: Sequence[StoredRun]) -> HistorySection:
    of_cell: dict[tuple[str, str], dict[int, Record]] = {}
    for place, stored in enumerate(runs):
        for record in stored.records:
            if record.scenario == scenario and record.images_per_s and record.role in (Role.SERVER, Role.REFERENCE):
                of_cell.setdefault((record.backend, record.endpoint), {})[place] = record
    newest = {key: by_run[max(by_run)] for key, by_run in of_cell.items()}
    columns = (
        Column("run", "Run", "When, and of which commit.", numeric=False),
        *(
            Column(f"{n}", f"{endpoint_name(record)}", "Images/s with the 95 % interval.")
            for n, record in enumerate(newest.values())
        ),
    )
    rows = [
        (label_of(stored), *(_speed(by_run.get(place)) for by_run in of_cell.values())) for place, stored in enumerate(runs)
    ]
    title = next(title_of(record) for stored in runs for record in stored.records if record.scenario == scenario)
    return HistorySection(
        title, _chart(title, runs, newest, of_cell), text_table(title, columns, rows, scenario, sortable=False)
    )


def _speed(record: Record | None) -> str:
    if record is None:
        return MISSING
    speed = with_interval(record.images_per_s, record.images_per_s_low, record.images_per_s_high)
    return f"{speed} {record.verdict.doubt}".rstrip()


def _chart(
    title: str,
    runs: Sequence[StoredRun],
    newest: dict[tuple[str, str], Record],
    of_cell: dict[tuple[str, str], dict[int, Record]],
) -> Chart | None:
    if not newest:
        return None
    colours = protocol_colours(list(newest.values()))
    protocols = list(dict.fromkeys(record.protocol for record in newest.values()))
    panels = [
        Group(protocol, tuple(r for r in newest.values() if r.protocol == protocol), None, colours.get(protocol, GRID))
        for protocol in protocols
    ]
    labels = [label_of(stored) for stored in runs]
    alt = f"Images per second of each cell over {len(runs)} runs, {title.lower()}; all numbers are in the table."
    scenario = next(iter(newest.values())).scenario
    with style():
        curves = Curves(_styled(labels), _plotter(of_cell), lambda record: f"{number(record.images_per_s)} /s")
        drawn = [draw_panels(panels, curves, layout) for layout in (WIDE, NARROW)]
        return chart_of(f"history-{scenario}", f"{title} · over {len(runs)} runs", alt, *drawn)


def _plotter(of_cell: dict[tuple[str, str], dict[int, Record]]) -> Callable[[Axes, Record, str, Dashes], None]:
    def plot(ax: Axes, record: Record, colour: str, dashes: Dashes) -> None:
        by_run = of_cell[record.backend, record.endpoint]
        x = np.array(sorted(by_run), dtype=np.float64)
        speeds = [by_run[int(place)] for place in x]
        middle = [each.images_per_s or 0.0 for each in speeds]
        low = [each.images_per_s_low or each.images_per_s or 0.0 for each in speeds]
        high = [each.images_per_s_high or each.images_per_s or 0.0 for each in speeds]
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(x, middle, color=colour, linestyle=dashes, linewidth=1.6, marker="o", markersize=4)

    return plot


def _styled(labels: Sequence[str]) -> Callable[[Axes, int], None]:
    def styled(ax: Axes, most_ticks: int) -> None:
        ax.set_yscale("log")
        ax.set_xlim(-0.5, len(labels) - 0.5)
        step = -(-len(labels) // min(max(most_ticks // 2, 2), _MOST_LABELS))
        shown = list(range(0, len(labels), step))
        ax.set_xticks(shown, [labels[place] for place in shown])
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}")
        ax.yaxis.set_major_locator(LogLocator(subs=_SUBS))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.grid(color=GRID)

    return styled
