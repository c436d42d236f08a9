"""report.md: the view as GitHub Markdown for pull requests and job summaries; charts are linked files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum

from tabulate import tabulate

from reports.across_runs.comparison import Comparison
from reports.sections import cost, glossary, published_2018, replay_2018, soak, startup, variants
from reports.sections.problems import Trouble
from reports.sections.report import View
from reports.sections.under_load import Matrix
from reports.tables.clean_text import cut, one_line, shortened
from reports.tables.columns import Column
from reports.tables.tables import Table

MOST_BYTES = 60_000
_LONGEST_CELL = 120
_LONGEST_REASON = 700
_LEANEST_KEYS = ("rank", "cell", "images_per_s", "ratio", "p50", "p99", "accuracy", "agreement", "verdict")


class Lean(IntEnum):
    """How much is left out."""

    NOTHING = 0
    BACKGROUND = 1  # setup, commands, how to read this
    REASONS = 2  # their ends
    REPLAY = 3
    COLUMNS = 4


def _reason_width(lean: Lean) -> int:
    return _LONGEST_REASON if lean < Lean.REASONS else 120


def render_markdown(view: View, chart_files: Mapping[str, str]) -> str:
    """The report, under 60 kB; `chart_files` are paths of pictures by chart name, relative to the report.

    Where it is too long, what explains gives way before what was measured, and long texts before rows: no cell is lost.
    """
    for lean in Lean:
        text = "\n\n".join(block for block in _blocks(view, chart_files, lean) if block) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return _cut(text)


def render_comparison(comparison: Comparison) -> str:
    """The comparison of two runs, under 60 kB."""
    blocks = [f"# {escape(comparison.title)}", escape(comparison.lead), *map(escape, comparison.sentences)]
    blocks += [f"- {escape(warning)}" for warning in comparison.warnings]
    for table in comparison.tables:
        blocks += [f"## {escape(table.title)}", pipe_table(table.grid.columns, table.grid.rows), escape(table.yardstick)]
    return _cut("\n\n".join(block for block in blocks if block) + "\n")


def escape(text: str) -> str:
    """Text in which nothing is markup: neither in a table cell nor in a paragraph."""
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


def pipe_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table; empty without rows."""
    if not rows:
        return ""
    body = [[escape(shortened(text, _LONGEST_CELL)) for text in row] for row in rows]
    align = ["right" if column.numeric else "left" for column in columns]
    # Numbers are texts already: tabulate must neither parse nor round them again.
    return tabulate(body, [escape(column.title) for column in columns], tablefmt="pipe", disable_numparse=True, colalign=align)


def _blocks(view: View, chart_files: Mapping[str, str], lean: Lean) -> Iterator[str]:
    yield f"# {escape(view.title)}"
    yield escape(view.lead)
    if view.banner:
        yield f"> **{escape(view.banner)}**"
    yield from (escape(sentence) for sentence in (*view.answers, *view.by_group))
    yield escape(view.unranked)
    if view.warnings:
        yield "**Before you believe it**"
        yield "\n".join(f"- {escape(cut(warning, _LONGEST_REASON))}" for warning in view.warnings)
    if view.gate.grid.rows:
        yield "## Gate"
        yield from (escape(sentence) for sentence in view.gate.sentences)
        yield pipe_table(view.gate.grid.columns, view.gate.grid.rows)
    for table in view.speed:
        yield f"## {escape(table.title)}"
        yield _picture(f"throughput-{table.scenario}", f"{table.title}, images per second", chart_files)
        yield from _table(table, lean)
        yield _picture(f"latency-{table.scenario}", f"{table.title}, latency of an exchange", chart_files)
    if view.load.endpoints:
        yield from _load(view, chart_files, lean)
    if view.troubles:
        yield "## What could not be measured or believed, and why"
        yield "\n".join(_trouble(trouble, _reason_width(lean)) for trouble in view.troubles)
    if view.accuracy is not None:
        yield "## Accuracy"
        yield from _table(view.accuracy, lean)
        yield escape(view.accuracy_note)
    yield from _mistakes(view)
    yield from _variants(view, lean)
    yield from _startup_and_cost(view, chart_files, lean)
    yield from _soak(view, chart_files, lean)
    if view.upkeep.rows:
        yield "## What each backend asks of its owner"
        yield pipe_table(view.upkeep.columns, view.upkeep.rows)
    if view.then_and_now.rows:
        yield "## 2018 and today"
        yield escape(published_2018.NOTE)
        yield pipe_table(view.then_and_now.columns, view.then_and_now.rows)
    if lean < Lean.REPLAY:
        yield from _study(view)
    if lean < Lean.BACKGROUND:
        yield from _background(view)
    else:
        yield "Shortened to fit: report.html and results.json have everything."


def _load(view: View, chart_files: Mapping[str, str], lean: Lean) -> Iterator[str]:
    """What was measured under load: each table with its picture before it, and its explanation where there is room."""
    load, explained = view.load, lean < Lean.BACKGROUND
    yield "## Under load"
    yield escape(glossary.INTRO) if explained else ""
    yield escape(load.unranked)
    yield escape(glossary.CLIENTS) if explained and load.sweep else ""
    yield _picture("load-clients", "Latency against throughput by the number of clients", chart_files)
    for matrix in load.sweep if lean < Lean.COLUMNS else load.sweep[:1]:
        yield from _matrix(matrix)
    yield escape(glossary.OPEN_LOOP) if explained and load.levels else ""
    yield escape(load.tails)
    yield _picture("load-percentiles", "Percentiles of latency at equal load", chart_files)
    yield _picture("load-levels", "p99 of latency by offered load", chart_files)
    for matrix in load.levels:
        yield from _matrix(matrix)
    for matrix in load.limits:
        yield from _matrix(
            matrix, _picture(f"load-{matrix.key}", matrix.title, chart_files), glossary.LIMIT if explained else ""
        )
    if load.loops is not None:
        yield from _matrix(load.loops, escape(glossary.LOOPS))


def _matrix(matrix: Matrix, *before: str) -> Iterator[str]:
    yield f"### {escape(matrix.title)}"
    yield from before
    yield pipe_table(matrix.columns, [row.texts for row in matrix.rows])
    if matrix.instruments:
        yield "Instruments, measured alike, not compared:"
        yield pipe_table(matrix.columns, [row.texts for row in matrix.instruments])
    yield escape(matrix.note)


def _mistakes(view: View) -> Iterator[str]:
    """What the model takes for what, and who differed from it."""
    if view.mistakes.pairs:
        yield "### What the model takes for what"
        yield escape(view.mistakes.intro)
        yield pipe_table(view.mistakes.columns, [pair.texts for pair in view.mistakes.pairs])
    if view.mistakes.disagreements.rows:
        yield "### Where servers differ from the reference"
        yield pipe_table(view.mistakes.disagreements.columns, view.mistakes.disagreements.rows)


def _startup_and_cost(view: View, chart_files: Mapping[str, str], lean: Lean) -> Iterator[str]:
    """Each where the run has it."""
    if view.startup.grid.rows:
        yield "## Start-up"
        yield escape(startup.NOTE) if lean < Lean.BACKGROUND else ""
        yield _picture("startup", "Start-up, step by step", chart_files)
        yield pipe_table(view.startup.grid.columns, view.startup.grid.rows)
        yield "\n".join(f"- {escape(cut(problem, _reason_width(lean)))}" for problem in view.startup.problems)
    if view.cost.rows and lean < Lean.COLUMNS:
        yield "## Cost"
        yield escape(cost.NOTE) if lean < Lean.BACKGROUND else ""
        yield pipe_table(view.cost.columns, view.cost.rows)


def _soak(view: View, chart_files: Mapping[str, str], lean: Lean) -> Iterator[str]:
    """What was held over the time, where the run is a soak."""
    if not view.soak.grid.rows:
        return
    yield "## Soak"
    yield escape(soak.NOTE) if lean < Lean.BACKGROUND else ""
    yield from (escape(sentence) for sentence in view.soak.sentences)
    yield _picture("soak-memory", "Memory held, lap after lap", chart_files)
    yield _picture("soak-files", "Open files, lap after lap", chart_files)
    yield pipe_table(view.soak.grid.columns, view.soak.grid.rows)
    yield "\n".join(f"- {escape(cut(problem, _reason_width(lean)))}" for problem in view.soak.problems)


def _variants(view: View, lean: Lean) -> Iterator[str]:
    """What another setting changes, where the run has one; the sentences hold what the table says at its ends."""
    if not view.variants.differs:
        return
    yield "## Variants: what another setting changes"
    yield escape(variants.NOTE)
    yield from (escape(sentence) for sentence in view.variants.sentences)
    if lean < Lean.REPLAY:
        yield pipe_table(view.variants.grid.columns, view.variants.grid.rows)
    yield "\n".join(f"- **{escape(name)}**: {escape(differs)}" for name, differs in view.variants.differs)


def _study(view: View) -> Iterator[str]:
    """The replay of 2018, where the run has one."""
    if not view.study.tables:
        return
    yield "### 2018 replayed, flaw by flaw"
    yield from (escape(sentence) for sentence in view.study.sentences)
    for table in view.study.tables:
        yield f"**{escape(table.title)}**"
        yield pipe_table(table.grid.columns, table.grid.rows)
    yield "\n".join(f"- {escape(cut(problem, _LONGEST_REASON))}" for problem in view.study.problems)
    yield escape(replay_2018.NOTE)


def _background(view: View) -> Iterator[str]:
    """What explains the numbers; it goes first where the report is too long."""
    yield "## How to read this"
    yield "\n".join(f"- **{escape(term)}**: {escape(meaning)}" for term, meaning in glossary.READING)
    yield "\n".join(f"- **{escape(verdict)}**: {escape(meaning)}" for verdict, meaning in glossary.VERDICTS.items())
    yield "## Setup"
    yield f"The whole run: {code(view.command)}"
    for name, pairs in (*view.facts, *view.backends):
        yield f"**{escape(name)}**"
        yield "\n".join(f"- {escape(key)}: {escape(cut(value, 200))}" for key, value in pairs)
    if view.again:
        yield "## Measure a cell again"
        yield "\n".join(f"- {escape(cell)}: {code(command)}" for cell, command in view.again)


def _trouble(trouble: Trouble, width: int) -> str:
    cells, reason = cut(", ".join(trouble.cells), _LONGEST_REASON), cut(trouble.reason, width)
    return f"- **{escape(trouble.verdict)}** {escape(cells)}: {escape(reason)}"


def _table(table: Table, lean: Lean) -> Iterator[str]:
    if lean >= Lean.COLUMNS:
        table = table.select([column.key for column in table.columns if column.key in _LEANEST_KEYS])
    yield pipe_table(table.columns, [row.texts for row in table.rows])
    yield escape(table.note)
    if table.instruments:
        yield "Instruments, measured alike, not compared:"
        yield pipe_table(table.columns, [row.texts for row in table.instruments])


def _picture(name: str, alt: str, chart_files: Mapping[str, str]) -> str:
    return f"![{escape(alt)}]({chart_files[name]})" if name in chart_files else ""


def _cut(text: str) -> str:
    """Cut at a line's end, so that tables stay tables: GitHub refuses longer job summaries and comments."""
    if len(text.encode()) < MOST_BYTES:
        return text
    note = "\n\nCut here for length: report.html and results.json have everything.\n"
    kept = text.encode()[: MOST_BYTES - len(note.encode()) - 1].decode(errors="ignore")
    return kept[: kept.rindex("\n")].rstrip() + note
