"""`python -m reports RUN`: renders the reports of an old run again, also of one that did not end; measures nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.contract import BadInput
from reports.render import HTML, write_reports
from reports.store import RESULTS, StoredRun, complete, load_run, resolve_latest


def main(arguments: Sequence[str]) -> int:
    """0: rendered; 1: the folder cannot be written; 2: no run in it, or wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m reports", description="Render the reports of a run again.")
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of one run, or .../latest")
    folder = resolve_latest(parser.parse_args(arguments).run)
    try:
        stored = load_run(folder)
    except BadInput as error:
        print(f"python -m reports: {error}", file=sys.stderr)
        return 2
    try:
        if not (folder / RESULTS).exists():
            complete(folder, _with_notes(stored))
        write_reports(folder, stored)
    except OSError as error:
        print(f"python -m reports: {folder} cannot be written: {error}. Copy the run to where you may write.", file=sys.stderr)
        return 1
    print(folder / HTML)
    return 0


def _with_notes(stored: StoredRun) -> StoredRun:
    """What is missing must stay known once results.json exists."""
    return replace(stored, run=replace(stored.run, warnings=(*stored.notes, *stored.run.warnings)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
