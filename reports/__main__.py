"""`python -m reports`: renders an old run again, compares two, or draws the history of many; measures nothing.

python -m reports RUN            the reports of a run again, also of one that did not end
python -m reports RUN RUN2       what changed from the first to the second: comparison.html and .md in RUN2
python -m reports history DIR    each cell over all runs in DIR: history.html and pictures in DIR
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.contract.console import encodable
from bench.contract.errors import BadInput
from bench.contract.options import given_path, may_be_read
from reports.across_runs.comparison import compare
from reports.across_runs.history import history_of, read_runs
from reports.renderers.files import CHARTS, HTML, write_charts, write_reports
from reports.renderers.html import render_page
from reports.renderers.markdown import render_comparison
from reports.store.store import RESULTS, StoredRun, complete, load_run, resolve_latest, write_atomic

HISTORY = "history"
COMPARISON_HTML, COMPARISON_MARKDOWN, HISTORY_HTML = "comparison.html", "comparison.md", "history.html"


def main(arguments: Sequence[str]) -> int:
    """Render; returns 0, 2 (no run, runs that cannot be compared, wrong arguments) or 3 (the folder cannot be written)."""
    parser = argparse.ArgumentParser(
        prog="python -m reports", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", help="the folder of one run, or .../latest; or the word history")
    parser.add_argument(
        "second", metavar="RUN2", nargs="?", help="a later run, to compare with; after history, the folder of runs"
    )
    given = parser.parse_args(arguments)
    if given.run == HISTORY and given.second is None and not Path(HISTORY).is_dir():
        parser.error("history needs the folder of runs")
    try:
        written = _act(given.run, given.second)
    except BadInput as error:
        print(f"python -m reports: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"python -m reports: cannot be written: {error}. Copy the run to where you may write.", file=sys.stderr)
        return 3
    print(written)
    return 0


def _act(run: str, second: str | None) -> Path:
    if second is None:
        return _again(_run(run))
    return _history(given_path("DIR", second, Path())) if run == HISTORY else _compared(_run(run), _run(second))


def _run(given: str) -> Path:
    with may_be_read(f"RUN {given}"):
        return resolve_latest(given_path("RUN", given, Path()))


def _again(folder: Path) -> Path:
    stored = load_run(folder)
    if not (folder / RESULTS).exists():
        complete(folder, _with_notes(stored))
    write_reports(folder, stored)
    return folder / HTML


def _compared(before: Path, after: Path) -> Path:
    comparison = compare(load_run(before), load_run(after))
    write_atomic(after / COMPARISON_MARKDOWN, render_comparison(comparison).encode())
    write_atomic(after / COMPARISON_HTML, render_page("comparison", comparison).encode())
    for line in (*comparison.sentences, *comparison.warnings):
        print(encodable(line))
    return after / COMPARISON_HTML


def _history(folder: Path) -> Path:
    history = history_of(*read_runs(folder))
    write_charts(folder / CHARTS, [section.chart for section in history.sections if section.chart is not None])
    write_atomic(folder / HISTORY_HTML, render_page("history", history).encode())
    for reason in history.skipped:
        print(encodable(f"left out: {reason}"))
    return folder / HISTORY_HTML


def _with_notes(stored: StoredRun) -> StoredRun:
    """The run with its notes as warnings: once results.json exists, only they tell what is missing."""
    return replace(stored, run=replace(stored.run, warnings=(*stored.notes, *stored.run.warnings)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
