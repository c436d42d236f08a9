"""What time it is at an agent: offsets from the quickest round trips before and after a window, and how sure they are.

A monotonic clock begins anywhere and may drift. Latency never needs this: it is the difference of two readings of one clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

PINGS = 12
"""Round trips of which the quickest one counts: it waited for the least."""

ALLOWED = 0.1
"""Of a window: where the borders of the agents' windows may lie farther apart, nobody knows who asked together with whom."""


@dataclass(frozen=True, slots=True)
class Offset:
    """An agent's clock less this one's, in seconds, at `at_s` of this one; it may be off by `error_s`, half a round trip."""

    at_s: float
    offset_s: float
    error_s: float


def offset_of(pings: Sequence[tuple[float, float, float]]) -> Offset:
    """By pings (sent by this clock, answered by the agent's, received by this one), at least one: the quickest decides."""
    sent_s, there_s, received_s = min(pings, key=lambda ping: ping[2] - ping[0])
    middle_s = (sent_s + received_s) / 2
    return Offset(middle_s, there_s - middle_s, (received_s - sent_s) / 2)


def measure_offset(ask: Callable[[], float], clock: Callable[[], float]) -> Offset:
    """Ask an agent for its time, PINGS times."""
    pings = []
    for _ in range(PINGS):
        sent_s = clock()
        there_s = ask()
        pings.append((sent_s, there_s, clock()))
    return offset_of(pings)


@dataclass(frozen=True, slots=True)
class ClockFit:
    """An agent's clock over a window, by its offsets before and after: a straight line between the two."""

    before: Offset
    after: Offset

    @property
    def drift(self) -> float:
        """Seconds that it gains in each of this clock's."""
        apart_s = self.after.at_s - self.before.at_s
        return (self.after.offset_s - self.before.offset_s) / apart_s if apart_s > 0 else 0.0

    @property
    def error_s(self) -> float:
        """By how much what was named by the first offset may lie beside what was meant, at any time until the second."""
        return max(self.before.error_s, self.after.error_s) + abs(self.after.offset_s - self.before.offset_s)

    def here(self, there_s: float) -> float:
        """This clock's time when that one shows `there_s`."""
        since_s = there_s - self.before.at_s - self.before.offset_s
        return self.before.at_s + since_s / (1 + self.drift)
