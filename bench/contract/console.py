"""Output for the person at the terminal: lines and live lines, past pytest's capturing, and how long each phase took."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter

import pytest

ENVIRONMENTS, SERVERS, MEASURING, REPORT = "environments", "servers", "measuring", "report"
"""Phases of a session: environments made or looked up; servers started and waited for; campaigns, the replay and fresh starts
measured; results and reports written."""


_IN_ASCII = str.maketrans({"–": "-", "±": "~", "·": "|", "…": "~", "×": "x", "→": ">", "µ": "u"})
"""One character for one, so that a table's columns stay aligned; ` ± ` between figures has room for `+/-`."""


def encodable(text: str) -> str:
    """The text as the terminal can show it: if that has no UTF-8, with ASCII in place of characters that it cannot show."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace(" ± ", "+/-").translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
    return text


class Console:
    """Writes to pytest's terminal reporter once it exists, before that to standard error."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        with self.uncaptured():
            self.live = sys.stderr.isatty()

    def line(self, text: str) -> None:
        """Write a line of its own, which begins with the project's name."""
        self.plain(f"servebench {text}")

    def plain(self, text: str) -> None:
        """Write a line of its own."""
        text = encodable(text)
        with self.uncaptured():
            reporter = self._plugins.getplugin("terminalreporter")
            if reporter is None:
                print(text, file=sys.stderr, flush=True)
                return
            reporter.ensure_newline()
            reporter.write_line(text)
            reporter.flush()

    def rewrite(self, text: str) -> None:
        """Replace the line that the cursor is in; for terminals only (`live`)."""
        with self.uncaptured():
            sys.stderr.write(f"\r\x1b[K{encodable(text)}")
            sys.stderr.flush()

    def uncaptured(self) -> AbstractContextManager[None]:
        """Suspend pytest's capturing inside this context: output of this process and its children reaches the terminal."""
        capture = self._plugins.getplugin("capturemanager")
        context: AbstractContextManager[None] = nullcontext() if capture is None else capture.global_and_fixture_disabled()
        return context


class Stopwatch:
    """Measures how long the phases of a session take; it starts when it is created."""

    def __init__(self) -> None:
        self._began_s = perf_counter()
        self._spent_s: dict[str, float] = {}
        self._within_s: list[float] = []  # for each open phase, the time of the phases nested in it

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time inside for `name`; the time of a nested phase counts for that one only."""
        start_s = perf_counter()
        self._within_s.append(0.0)
        try:
            yield
        finally:
            whole_s = perf_counter() - start_s
            own_s = whole_s - self._within_s.pop()
            self._spent_s[name] = self._spent_s.get(name, 0.0) + own_s
            if self._within_s:
                self._within_s[-1] += whole_s

    def told(self) -> str:
        """`environments 41 s, servers 9 s, measuring 118 s, report 4 s, the rest 6 s`; empty if there was no phase."""
        if not self._spent_s:
            return ""
        rest_s = perf_counter() - self._began_s - sum(self._spent_s.values())
        return ", ".join(f"{name} {spent_s:.0f} s" for name, spent_s in (*self._spent_s.items(), ("the rest", rest_s)))


def stopwatch_of(config: pytest.Config) -> Stopwatch:
    """The session's stopwatch; created, and so started, by the first call."""
    return config.stash.setdefault(_STOPWATCH, Stopwatch())


_STOPWATCH = pytest.StashKey[Stopwatch]()
