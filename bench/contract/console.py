"""What whoever watches is told: lines and live lines to the real terminal, past pytest's capturing, and where the time went."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter

import pytest

ENVIRONMENTS, SERVERS, MEASURING, REPORT = "environments", "servers", "measuring", "report"
"""Made or looked up; started and waited for; campaigns, the replay and fresh starts; results and reports written."""


_IN_ASCII = str.maketrans({"–": "-", "±": "~", "·": "|", "…": "~", "×": "x", "→": ">", "µ": "u"})
"""One character for one, so that a table's columns stay; `±` between figures has room for more."""


def encodable(text: str) -> str:
    """The text as the terminal can show it: in a locale without UTF-8 with characters of ASCII in place of ours."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace(" ± ", "+/-").translate(_IN_ASCII).encode(encoding, "replace").decode(encoding)
    return text


class Console:
    """Writes where a person looks: pytest's own terminal once it is there, before that standard error."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        with self.uncaptured():
            self.live = sys.stderr.isatty()

    def line(self, text: str) -> None:
        """A line of its own, under the project's name."""
        self.plain(f"servebench {text}")

    def plain(self, text: str) -> None:
        """A line of its own."""
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
        """While it lasts, what is written to the standard streams is seen, by this process and those that it starts."""
        capture = self._plugins.getplugin("capturemanager")
        context: AbstractContextManager[None] = nullcontext() if capture is None else capture.global_and_fixture_disabled()
        return context


class Stopwatch:
    """Runs from its creation on."""

    def __init__(self) -> None:
        self._began_s = perf_counter()
        self._spent_s: dict[str, float] = {}
        self._within_s: list[float] = []  # of each phase that goes on, what phases within it took

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside for `name`; a phase within another is the inner one's alone."""
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
        """`environments 41 s, servers 9 s, measuring 118 s, report 4 s, the rest 6 s`; empty where there was no phase."""
        if not self._spent_s:
            return ""
        rest_s = perf_counter() - self._began_s - sum(self._spent_s.values())
        return ", ".join(f"{name} {spent_s:.0f} s" for name, spent_s in (*self._spent_s.items(), ("the rest", rest_s)))


def stopwatch_of(config: pytest.Config) -> Stopwatch:
    """The session's; it starts with the first call."""
    return config.stash.setdefault(_STOPWATCH, Stopwatch())


_STOPWATCH = pytest.StashKey[Stopwatch]()
