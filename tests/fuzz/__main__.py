"""`tox -e fuzz -- --seconds 600`: every target for so long by each tool that suits it; a row each, exit code 1 on a crash."""

import argparse
import importlib.util
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz import with_atheris, with_hypothesis
from tests.fuzz.targets import targets

TOOLS = ("atheris", "hypothesis")
SUMMARY = Path("reports/out/fuzz.md")
HEAD = "| target | tool | date | length | inputs | crashes |\n|---|---|---|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Job:
    """A target and who fuzzes it."""

    tool: str
    target: str

    def run(self, seconds: float, seed: int) -> tuple[int, list[str]]:
        """Inputs tried, and what broke."""
        if self.tool == "atheris":
            return with_atheris.fuzz(self.target, seconds, seed)
        with targets() as known:
            return with_hypothesis.fuzz(known[self.target], seconds, seed)


def main() -> int:
    """Run the jobs one after the other."""
    options = _options()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**31)
    jobs = [job for job in _jobs(options.tool) if options.target in job.target]
    if not jobs:
        print(f"no target has {options.target!r} in its name for the tools {', '.join(options.tool)}", file=sys.stderr)
        return 2
    print(f"{len(jobs)} jobs of {options.seconds:g} s, seed {seed}\n{HEAD}", end="", flush=True)
    rows, broken = [], []
    for job in jobs:
        begin_s = time.perf_counter()
        tried, failures = job.run(options.seconds, seed)
        length = f"{time.perf_counter() - begin_s:.0f} s"
        date = datetime.now(UTC).date().isoformat()
        rows.append(f"| {job.target} | {job.tool} | {date} | {length} | {tried:,} | {len(failures)} |")
        print(rows[-1], flush=True)
        broken += [f"{job.target} by {job.tool}: {failure}" for failure in failures]
    options.summary.parent.mkdir(parents=True, exist_ok=True)
    options.summary.write_text(HEAD + "\n".join(rows) + "\n" + "".join(f"\n{text}\n" for text in broken), "utf-8")
    print("\n".join(broken), file=sys.stderr)
    print(f"{len(broken)} crashes; summary in {options.summary}")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tox -e fuzz --", description="Fuzz what reads bytes that others send.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target and tool (default: %(default)s)")
    parser.add_argument("--tool", action="append", choices=TOOLS, help="only this one; may be repeated (default: all)")
    parser.add_argument("--target", default="", help="only targets with this in their name")
    parser.add_argument("--seed", type=int, help="to repeat a run (default: a new one, which is printed)")
    parser.add_argument("--summary", type=Path, default=SUMMARY, help="where the table is written (default: %(default)s)")
    options = parser.parse_args()
    options.tool = options.tool or list(TOOLS)
    return options


def _jobs(tools: list[str]) -> Iterator[Job]:
    with targets() as known:
        names = list(known)
    for tool in tools:
        if tool == "atheris" and importlib.util.find_spec(tool) is None:
            print(f"left out: {tool} is not installed", file=sys.stderr)
        else:
            yield from (Job(tool, name) for name in names)


if __name__ == "__main__":
    sys.exit(main())
