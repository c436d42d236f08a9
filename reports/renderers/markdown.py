"""report.md: the report as GitHub Markdown for pull requests and job summaries; charts are linked files."""

import re
from collections.abc import Iterator, Mapping, Sequence

from tabulate import tabulate

from reports.across_runs.comparison import Comparison
from reports.sections.section import (
    MARKDOWN,
    Beside,
    Block,
    Commands,
    Details,
    Heading,
    Items,
    Lean,
    Pairs,
    Picture,
    Problem,
    Problems,
    Report,
    Section,
    Tabular,
    Text,
)
from reports.tables.clean_text import cut, ends, one_line, shortened
from reports.tables.columns import Column
from reports.tables.table import Row, Table

MOST_BYTES = 60_000
_LONGEST_CELL = 120
_LONGEST_REASON = 700
_SHORTEST_REASON = 120
_LONGEST_FACT = 200
_FOLDED_LEVEL = 4


def render_markdown(report: Report, chart_files: Mapping[str, str]) -> str:
    """The report, under 60 kB; `chart_files` are paths of image files by chart name, relative to the report.

    If it is too long, explanations are left out before measurements, and long texts are cut before rows, to lose no cell.
    """
    for lean in Lean:
        text = "\n\n".join(text for text in _Writer(chart_files, lean).report(report) if text) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return _cut(text)


def render_comparison(comparison: Comparison) -> str:
    """The comparison of two runs, under 60 kB."""
    blocks = [f"# {escape(comparison.title)}", escape(comparison.lead), *map(escape, comparison.sentences)]
    blocks += [f"- {escape(warning)}" for warning in comparison.warnings]
    for each in comparison.tables:
        blocks += [f"## {escape(each.title)}", pipe_table(each.table.columns, each.table.rows), escape(each.yardstick)]
    return _cut("\n\n".join(block for block in blocks if block) + "\n")


def escape(text: str) -> str:
    """Escape text, so that nothing in it is markup, in a table cell or in a paragraph."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#@])", _escaped, text)


def _escaped(found: re.Match[str]) -> str:
    # GitHub links @names and #numbers even behind a backslash.
    return {"@": "&#64;", "#": "&#35;"}.get(found.group(), f"\\{found.group()}")


def code(text: str) -> str:
    """A code span that holds any text, backticks too."""
    text = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def pipe_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """A table in GitHub Markdown; an empty string without rows."""
    if not rows:
        return ""
    body = [[escape(shortened(text, _LONGEST_CELL)) for text in row.texts] for row in rows]
    align = ["right" if column.numeric else "left" for column in columns]
    # Numbers are texts already: tabulate must neither parse nor round them again.
    return tabulate(body, [escape(column.title) for column in columns], tablefmt="pipe", disable_numparse=True, colalign=align)


class _Writer:
    """Writes each kind of block as Markdown, with the charts that have a file, as short as `lean` asks."""

    def __init__(self, chart_files: Mapping[str, str], lean: Lean) -> None:
        self.chart_files = chart_files
        self.lean = lean
        self.reason_width = _LONGEST_REASON if lean < Lean.REASONS else _SHORTEST_REASON

    def report(self, report: Report) -> Iterator[str]:
        yield f"# {escape(report.title)}"
        yield escape(report.lead)
        if report.banner:
            yield f"> **{escape(report.banner)}**"
        for section in report.sections:
            yield from self.section(section)
        if self.lean >= Lean.BACKGROUND:
            yield "Shortened to fit: report.html and results.json have everything."

    def section(self, section: Section) -> Iterator[str]:
        blocks = [block for block in section.on(MARKDOWN) if self._keeps(block)]
        if not blocks:
            return
        headed = MARKDOWN in section.heading_on
        # If the section's own heading is not shown, the headings within it move up, so that no level is skipped.
        present = sorted({2 for _ in range(headed)} | {level for block in blocks if (level := _level(block))})
        levels = {level: "#" * (place + 2) for place, level in enumerate(present)}
        if headed:
            yield f"{levels[2]} {escape(section.title)}"
        for block in blocks:
            yield from self.block(block, levels)

    def _keeps(self, block: Block) -> bool:
        return block.until is None or self.lean < block.until

    def block(self, block: Block, levels: Mapping[int, str]) -> Iterator[str]:
        match block:
            case Heading():
                yield f"{levels[block.level]} {escape(block.text)}"
            case Text():
                yield escape(block.text)
            case Items():
                width = self.reason_width if block.shrinks else _LONGEST_REASON
                yield "\n".join(f"- {escape(cut(text, width))}" for text in block.texts)
            case Pairs(facts=True):
                yield "\n".join(f"- {escape(name)}: {escape(cut(value, _LONGEST_FACT))}" for name, value in block.pairs)
            case Pairs():
                yield "\n".join(f"- **{escape(name)}**: {escape(value)}" for name, value in block.pairs)
            case Commands():
                mark = "- " if block.listed else ""
                yield "\n".join(f"{mark}{escape(name)}: {code(command)}" for name, command in block.pairs)
            case Problems():
                yield "\n".join(map(self.problem, block.problems))
            case Tabular():
                yield from self.table(block.table)
            case Picture():
                yield f"![{escape(block.caption)}]({self.chart_files[block.name]})" if block.name in self.chart_files else ""
            case Beside():
                for inner in (inner for group in block.groups for inner in group):
                    yield from self.block(inner, levels)
            case Details():
                yield f"{levels[_FOLDED_LEVEL]} {escape(block.summary)}"
                for inner in block.blocks:
                    yield from self.block(inner, levels)

    def problem(self, problem: Problem) -> str:
        cells, reason = cut(", ".join(problem.cells), _LONGEST_REASON), ends(problem.reason, self.reason_width)
        return f"- **{escape(problem.verdict)}** {escape(cells)}: {escape(reason)}"

    def table(self, table: Table) -> Iterator[str]:
        if table.core and self.lean >= Lean.COLUMNS:
            table = table.select([column.key for column in table.columns if column.key in table.core])
        yield pipe_table(table.columns, table.rows)
        if table.instruments:
            yield "Instruments, measured alike, not compared:"
            yield pipe_table(table.columns, table.instruments)
        yield escape(table.note)


def _level(block: Block) -> int:
    """Level of the heading that a block writes; 0 if it writes none."""
    return block.level if isinstance(block, Heading) else _FOLDED_LEVEL if isinstance(block, Details) else 0


def _cut(text: str) -> str:
    """Cut too long a text at a line's end, so that tables stay intact: GitHub refuses longer job summaries and comments."""
    if len(text.encode()) < MOST_BYTES:
        return text
    note = "\n\nCut here for length: report.html and results.json have everything.\n"
    kept = text.encode()[: MOST_BYTES - len(note.encode()) - 1].decode(errors="ignore")
    return kept[: kept.rindex("\n")].rstrip() + note
