"""report.html: the report and its charts in one file that loads nothing from the network."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.contract.records import Verdict
from reports.across_runs.comparison import Comparison
from reports.across_runs.history import History
from reports.charts.canvas import Chart
from reports.sections.section import PAGE, Block, Picture, Report, Section, Tabular, walk
from reports.tables.clean_text import ends, one_line
from reports.tables.table import Row, Table

_TEMPLATES = Path(__file__).parents[1] / "templates"
_REASON_WIDTH = 220
_TONES = {str(verdict): str(verdict.tone) for verdict in Verdict}


def render_html(report: Report, charts: Mapping[str, Chart]) -> str:
    """The HTML page; `charts` by the names that the sections give them; charts that were not drawn are left out."""
    environment = _environment()
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    sections = [section for section in report.sections if section.on(PAGE)]
    return environment.get_template("report.html.j2").render(
        report=report,
        sections=sections,
        runs=[(filtered, list(run)) for filtered, run in groupby(sections, lambda section: section.filtered)],
        anchors={section.anchor for section in sections},
        charts=charts,
        is_empty=lambda section: _is_empty(section, charts),
        sets_of=lambda record: _values(*report.sets.get(record.backend, ())),
        script=Markup(script),  # noqa: S704 - our own file, with nothing of the run in it
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def render_page(template: str, page: Comparison | History) -> str:
    """The page of another `template`: `comparison` or `history`."""
    return _environment().get_template(f"{template}.html.j2").render(page=page)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = _markup
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["compact"] = _compact
    environment.filters["why"] = _why
    environment.filters["by_protocol"] = _by_protocol
    environment.filters["tone"] = _tone
    environment.filters["one_line"] = one_line
    environment.filters["values"] = lambda text: _values(text)
    environment.filters["all_values"] = lambda texts: _values(*texts)
    environment.filters["on_page"] = _on_page
    environment.filters["headed"] = lambda section: PAGE in section.heading_on
    return environment


def _on_page(section: Section) -> list[Block]:
    return section.on(PAGE)


def _is_empty(section: Section, charts: Mapping[str, Chart]) -> bool:
    """Whether the section shows neither a table nor a chart."""
    blocks = list(walk(section.on(PAGE)))
    return not any(isinstance(b, Tabular) or (isinstance(b, Picture) and b.name in charts) for b in blocks)


def _markup(svg: str) -> Markup:
    """Mark one of our SVGs as safe: matplotlib has escaped every text in it."""
    return Markup(svg)  # noqa: S704


def _compact(table: Table) -> Table:
    """A table of cells without protocol and runtime: to save width, the page shows them above and below the cell's name."""
    return table.without("protocol", "runtime") if table.rows_are else table


def _values(*texts: str) -> str:
    """The values that a row can be filtered by, as JSON for an HTML attribute."""
    return json.dumps([one_line(text) for text in texts if one_line(text)])


def _why(row: Row) -> str:
    """A cell's reason, shortened for a table; its full text is in a section of its own."""
    return ends(row.record.reason, _REASON_WIDTH)


def _by_protocol(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Rows grouped by protocol, as in the chart: JSON on one server is not to be compared with binary on another."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(one_line(row.record.protocol), []).append(row)
    return list(groups.items())


def _tone(text: str) -> str:
    """The CSS class of a verdict's colour; empty for any other text."""
    return _TONES.get(text, "")
