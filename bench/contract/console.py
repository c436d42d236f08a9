"""Lines and live lines to the real terminal, past pytest's capturing; shared by the plugins."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

import pytest


class Console:
    """Writes where a person looks: pytest's own terminal once it is there, before that standard error."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        self.live = sys.stderr.isatty()

    def line(self, text: str) -> None:
        """A line of its own, under the project's name."""
        with self.uncaptured():
            reporter = self._plugins.getplugin("terminalreporter")
            if reporter is None:
                print(f"servebench {text}", file=sys.stderr, flush=True)
                return
            reporter.ensure_newline()
            reporter.write_line(f"servebench {text}")
            reporter.flush()

    def rewrite(self, text: str) -> None:
        """Replace the line that the cursor is in; for terminals only (`live`)."""
        with self.uncaptured():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    def uncaptured(self) -> AbstractContextManager[None]:
        """While it lasts, what is written to the standard streams is seen, by this process and those that it starts."""
        capture = self._plugins.getplugin("capturemanager")
        found: AbstractContextManager[None] = nullcontext() if capture is None else capture.global_and_fixture_disabled()
        return found
