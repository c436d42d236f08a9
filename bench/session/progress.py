"""Shows a campaign's progress (step, round, cells, time left): one live line on a terminal, elsewhere a line now and then."""

import math
from time import perf_counter

from bench.contract.console import Console
from bench.load.scheduler import Progress

_QUIET_EVERY_S = 20.0
_LIVE_EVERY_S = 0.2  # no more often than anyone reads it, as writing it takes time between slices


class ProgressLine:
    """Shows the `Progress` of one campaign."""

    def __init__(self, scenario: str, console: Console) -> None:
        self._scenario = scenario
        self._console = console
        self._shown_at = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Show the progress, if that is due again."""
        now = perf_counter()
        if self._console.live:
            if progress.done or now - self._shown_at >= _LIVE_EVERY_S:
                self._shown_at = now
                self._console.rewrite("" if progress.done else f"servebench {self._text(progress)}")
        elif now - self._shown_at >= _QUIET_EVERY_S:
            self._shown_at = now
            self._console.line(self._text(progress))

    def _text(self, progress: Progress) -> str:
        if progress.step == "warm-up":
            return f"{self._scenario}: warm-up, cell {progress.active} of {progress.lanes}"
        left = "" if math.isnan(progress.left_s) else f", about {progress.left_s:.0f} s left"
        return (
            f"{self._scenario}: round {progress.round_index}, {progress.active} of {progress.lanes} lanes, "
            f"{progress.done_fraction:.0%}{left}"
        )
