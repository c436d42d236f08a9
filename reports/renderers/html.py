"""report.html: the view and its charts in one file that asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.contract.records import Verdict
from reports.across_runs.comparison import Comparison
from reports.across_runs.history import History
from reports.charts.canvas import Chart
from reports.sections import cost, footprint, glossary, published_2018, replay_2018, soak, startup, variants
from reports.sections.report import View
from reports.sections.under_load import MatrixRow
from reports.tables.clean_text import cut, one_line
from reports.tables.tables import Row, Table

_TEMPLATES = Path(__file__).parents[1] / "templates"
_REASON_WIDTH = 220

AnyRow = TypeVar("AnyRow", Row, MatrixRow)


@dataclass(frozen=True, slots=True)
class Section:
    """One scenario on the page: its table and what there are of pictures."""

    table: Table
    bars: Chart | None
    latency: Chart | None
    parts: Chart | None
    rounds: Chart | None


def render_html(view: View, charts: Mapping[str, Chart]) -> str:
    """The page; `charts` by name (`throughput-<scenario>`, `latency-<scenario>`, `startup`)."""
    environment = _environment()
    sections = [
        Section(table, *(charts.get(f"{kind}-{table.scenario}") for kind in ("throughput", "latency", "parts", "rounds")))
        for table in view.speed
    ]
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    page = environment.get_template("report.html.j2")
    return page.render(
        view=view,
        sections=sections,
        reading=glossary.READING,
        verdicts=glossary.VERDICTS,
        baseline_note=published_2018.NOTE,
        study_note=replay_2018.NOTE,
        upkeep_note=footprint.NOTE,
        charts=charts,
        glossary=glossary,
        startup_note=startup.NOTE,
        cost_note=cost.NOTE,
        soak_note=soak.NOTE,
        start_chart=charts.get("startup"),
        variants_note=variants.NOTE,
        values_of=lambda texts: _values(*texts),
        script=Markup(script),  # noqa: S704 - our own file, with nothing of the run in it
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def render_page(template: str, page: Comparison | History) -> str:
    """A page of another kind: `comparison` or `history`."""
    return _environment().get_template(f"{template}.html.j2").render(page=page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = _markup
    environment.filters["compact"] = _compact
    environment.filters["why"] = _why
    environment.filters["by_protocol"] = _by_protocol
    environment.filters["by_protocol_of_endpoint"] = _by_protocol_of_endpoint
    environment.filters["verdict_class"] = _verdict_class
    environment.filters["one_line"] = one_line
    environment.filters["values"] = _values
    return environment


def _markup(svg: str) -> Markup:
    """An SVG of ours, in which matplotlib has escaped every text."""
    return Markup(svg)  # noqa: S704


def _compact(table: Table) -> Table:
    """Without protocol and runtime: they stand below the name, as columns they would make the table wider than a page."""
    return table.select([column.key for column in table.columns if column.key not in ("protocol", "runtime")])


def _values(*texts: str) -> str:
    """What a row can be filtered by, as an attribute."""
    return json.dumps([one_line(text) for text in texts if one_line(text)])


def _why(row: Row) -> str:
    """The reason in short, for a table; its whole text stands in a section of its own."""
    return cut(row.record.reason, _REASON_WIDTH)


def _by_protocol(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows of one protocol together, as in the chart: JSON on one server and binary on another are two races."""
    return _grouped(rows, lambda row: row.record.protocol)


def _by_protocol_of_endpoint(rows: Sequence[MatrixRow]) -> list[tuple[str, list[MatrixRow]]]:
    return _grouped(rows, lambda row: row.endpoint.first.protocol)


def _grouped(rows: Sequence[AnyRow], protocol_of: Callable[[AnyRow], str]) -> list[tuple[str, list[AnyRow]]]:
    groups: dict[str, list[AnyRow]] = {}
    for row in rows:
        groups.setdefault(one_line(protocol_of(row)), []).append(row)
    return list(groups.items())


def _verdict_class(verdict: str) -> str:
    if verdict == Verdict.VALID:
        return "good"
    return "bad" if verdict in (Verdict.WRONG_ANSWERS, Verdict.FAILED, Verdict.CACHED) else "warn"
