"""Offset and drift of an agent's clock, from the quickest round trips before and after a window, and their uncertainty.

A monotonic clock has an arbitrary zero and may drift. No latency depends on this: it is the difference of two readings of one
clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

PINGS = 12
"""Round trips for one offset; only the quickest counts, as it was delayed least."""

ALLOWED = 0.1
"""Part of a window that the agents' window borders may lie apart; beyond it, it is unknown which of them sent together."""


@dataclass(frozen=True, slots=True)
class Offset:
    """An agent's clock less this one, in seconds, when this one shows `at_s`; off by at most `error_s`, half a round trip."""

    at_s: float
    offset_s: float
    error_s: float


def offset_of(pings: Sequence[tuple[float, float, float]]) -> Offset:
    """The offset by the quickest of at least one ping: (sent by this clock, answered by the agent's, received by this one)."""
    sent_s, there_s, received_s = min(pings, key=lambda ping: ping[2] - ping[0])
    middle_s = (sent_s + received_s) / 2
    return Offset(middle_s, there_s - middle_s, (received_s - sent_s) / 2)


def measure_offset(ask: Callable[[], float], clock: Callable[[], float]) -> Offset:
    """Ask an agent for its time PINGS times; returns the offset of its clock."""
    pings = []
    for _ in range(PINGS):
        sent_s = clock()
        there_s = ask()
        pings.append((sent_s, there_s, clock()))
    return offset_of(pings)


@dataclass(frozen=True, slots=True)
class ClockFit:
    """An agent's clock over a window: linear between its offsets `before` and `after`."""

    before: Offset
    after: Offset

    @property
    def drift(self) -> float:
        """Seconds that the agent's clock gains in each second of this clock."""
        apart_s = self.after.at_s - self.before.at_s
        return (self.after.offset_s - self.before.offset_s) / apart_s if apart_s > 0 else 0.0

    @property
    def error_s(self) -> float:
        """Largest error, in seconds, of a time given to the agent by the offset `before`, anywhere until `after`."""
        return max(self.before.error_s, self.after.error_s) + abs(self.after.offset_s - self.before.offset_s)

    def here(self, there_s: float) -> float:
        """This clock's time when the agent's clock shows `there_s`."""
        since_s = there_s - self.before.at_s - self.before.offset_s
        return self.before.at_s + since_s / (1 + self.drift)
