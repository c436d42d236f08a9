"""Bisection for the highest load at which a server stays within its latency limit, with probes that may err.

Other users of the machine can spoil a single probe, so two of three probes decide on a load; a single one that fails by more
than such a disturbance can cause is enough.
"""

from dataclasses import dataclass, field

from bench.load.closed_loop import Slice

_FIRST = 0.7
_RESOLUTION = 0.05
_LEAST = 0.1  # of the peak: a server that holds the limit only below this does not hold it
_HIGHEST = 4.0  # times the peak: a server that carries more was not measured at its peak
_NEEDED = 2  # of three
_MOST_PROBES = 40


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The state of a search; loads are parts of the peak.

    `low` is the highest load that held the limit, 0 if none did; `high` the lowest that did not, None if all did; `held` are
    the probes of `low` that held it. `undecided` is the load at which the search stopped because a probe could not tell, else
    None; `ended` is whether the search is over.
    """

    low: float
    high: float | None
    held: tuple[Slice, ...]
    undecided: float | None
    ended: bool


@dataclass(slots=True)
class Search:
    """A search under way: `load` is to be probed next, None once it is over; for other fields see `SearchResult`."""

    load: float | None = _FIRST
    low: float = 0.0
    high: float | None = None
    held: list[Slice] = field(default_factory=list)
    undecided: float | None = None
    probes: int = 0
    _passed: list[Slice] = field(default_factory=list)
    _failed: int = 0

    @property
    def result(self) -> SearchResult:
        """What the search has found so far."""
        return SearchResult(self.low, self.high, tuple(self.held), self.undecided, ended=self.load is None)

    def note(self, passed: bool | None, probe: Slice, *, clearly: bool = False) -> None:
        """Note whether the probe of `load` held the limit, None if it cannot tell; `clearly`: this failed probe alone decides.

        A probe that cannot tell had too few requests, so it ends the search: lower loads would have even fewer. Raises
        ValueError once the search is over.
        """
        if self.load is None:
            raise ValueError("the search is over: expected no further probe")
        self.probes += 1
        if passed is None:
            self.undecided, self.load = self.load, None
            return
        if passed:
            self._passed.append(probe)
        else:
            self._failed += 1
        if len(self._passed) >= _NEEDED:
            self.low, self.held = self.load, self._passed
            self._next()
        elif self._failed >= _NEEDED or (clearly and not passed):
            self.high = self.load
            self._next()
        elif self.probes >= _MOST_PROBES:
            self.load = None

    def _next(self) -> None:
        self._passed, self._failed = [], 0
        if self.probes >= _MOST_PROBES or (self.high is None and self.low >= _HIGHEST):
            self.load = None
        elif self.high is None:
            # As long as nothing failed: go half of the way to the peak, then beyond it.
            self.load = (self.low + 1) / 2 if self.low < 1 - 2 * _RESOLUTION else self.low * 1.25
        elif self.high - self.low <= _RESOLUTION * max(self.high, _FIRST) or self.high <= _LEAST:
            self.load = None
        else:
            self.load = (self.low + self.high) / 2
