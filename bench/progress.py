"""The live line of a campaign: step, round, cells, time left; on a terminal one line, elsewhere a line now and then."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from time import perf_counter

import pytest

from bench.load.interleave import Progress

_QUIET_EVERY_S = 20.0


def uncaptured(config: pytest.Config) -> Callable[[str], None]:
    """A writer to the real terminal, past pytest's capturing."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def write(text: str) -> None:
        if capture is None:
            sys.stderr.write(text)
            sys.stderr.flush()
            return
        with capture.global_and_fixture_disabled():
            sys.stderr.write(text)
            sys.stderr.flush()

    return write


class ProgressLine:
    """Shows `Progress` for one scenario; call `end` when it is over."""

    def __init__(self, scenario: str, write: Callable[[str], None], *, live: bool) -> None:
        self._scenario = scenario
        self._write = write
        self._live = live
        self._shown_at = -math.inf

    def __call__(self, progress: Progress) -> None:
        """Show where it stands."""
        now = perf_counter()
        if self._live:
            self._write(f"\r\x1b[K{self._text(progress)}")
        elif now - self._shown_at >= _QUIET_EVERY_S:
            self._shown_at = now
            self._write(f"\n{self._text(progress)}\n")

    def end(self, text: str) -> None:
        """Replace the live line by a last word."""
        self._write(f"\r\x1b[K{text}\n" if self._live else f"\n{text}\n")

    def _text(self, progress: Progress) -> str:
        if progress.step == "warm-up":
            return f"servebench {self._scenario}: warm-up, cell {progress.active} of {progress.lanes}"
        left = "" if math.isnan(progress.left_s) else f", about {progress.left_s:.0f} s left"
        return (
            f"servebench {self._scenario}: round {progress.round_index}, {progress.active} of {progress.lanes} lanes, "
            f"{progress.done_fraction:.0%}{left}"
        )
