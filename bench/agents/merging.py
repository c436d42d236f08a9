"""Merges the raw samples of several agents into one slice: all samples pooled, never averages of averages.

A duration is the difference of two readings of one agent's clock. Only for the borders of a closed loop's window, which all
agents must share, are times converted to this process's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.agents.clocks import ALLOWED, ClockFit
from bench.contract.tensors import FloatArray64
from bench.load.closed_loop import Slice
from bench.load.open_loop import Schedule, kept_schedule


@dataclass(frozen=True, slots=True)
class Samples:
    """What one agent sent; times are seconds by its own clock since its start, which is `began_s` on that clock.

    `trace` [n, 3] are the rows of a `Trace`, in the order answered; `lag_s` [due in the window] is how late each request of a
    schedule was sent. `fit` is the agent's clock.
    """

    trace: FloatArray64
    lag_s: FloatArray64
    began_s: float
    fit: ClockFit

    def here(self, since_s: FloatArray64) -> FloatArray64:
        """Times since the agent's start, [n] seconds, converted to this process's clock."""
        fit = self.fit
        return fit.here(self.began_s) + since_s / (1 + fit.drift)

    def here_s(self, since_s: float) -> float:
        """The same for a single time."""
        return self.fit.here(self.began_s + since_s)


def of_schedule(parts: Sequence[tuple[Schedule, Samples]]) -> Slice:
    """Merge each agent's part of a schedule and its samples; each is timed in its schedule's window, by its own clock."""
    merged = Slice(seconds=parts[0][0].window_s)
    for plan, samples in parts:
        end_s = plan.lead_in_s + plan.window_s
        due_s, answered_s = samples.trace[:, 0], samples.trace[:, 2]
        timed = (due_s >= plan.lead_in_s) & (due_s < end_s)
        merged.duration_s += (answered_s - due_s)[timed].tolist()
        merged.lag_s += samples.lag_s.tolist()
        merged.exchanges += int(np.count_nonzero((answered_s >= plan.lead_in_s) & (answered_s < end_s)))
        merged.scheduled += int(np.count_nonzero((plan.due_s >= plan.lead_in_s) & (plan.due_s < end_s)))
    return merged


def late_ones(parts: Sequence[Samples]) -> list[int]:
    """Indices of the agents that did not keep their schedule."""
    return [place for place, samples in enumerate(parts) if not kept_schedule(samples.lag_s.tolist())]


def of_clients(parts: Sequence[Samples], *, slice_s: float, lead_in_s: float) -> Slice | None:
    """Merge clients in closed loops into one window, by the rule of `run_clients`: from answer to answer while all send.

    None if there is no such window: some agents were done before others had their first answers (see `ready_s`).
    """
    ready = [max(ready_s(samples), lead_in_s) for samples in parts]
    own = [_window(np.sort(samples.trace[:, 2]), from_s, slice_s) for samples, from_s in zip(parts, ready, strict=True)]
    answered = np.sort(np.concatenate([samples.here(samples.trace[:, 2]) for samples in parts]))
    from_s = max(samples.here_s(each) for samples, each in zip(parts, ready, strict=True))
    window = _window(answered, from_s, slice_s)
    until = [samples.here_s(each.closed) for samples, each in zip(parts, own, strict=True) if each is not None]
    allowed_s = max(ALLOWED * slice_s, *(2 * samples.fit.error_s for samples in parts))
    if window is None or len(until) < len(own) or window.closed > min(until) + allowed_s:
        return None  # an agent is sure to send only until its own window closes, by its own clock
    merged = Slice(seconds=window.closed - window.opened, exchanges=window.answers)
    for samples in parts:
        sent = samples.here(samples.trace[:, 1])
        timed = (sent >= window.opened) & (sent < window.closed)
        merged.duration_s += (samples.trace[:, 2] - samples.trace[:, 1])[timed].tolist()
    return merged


@dataclass(frozen=True, slots=True)
class _Window:
    opened: float
    closed: float
    answers: int


def _window(answered: FloatArray64, from_s: float, slice_s: float) -> _Window | None:
    """From the first answer at `from_s` or later to the first one at least `slice_s` after it; `answered` [n] ascending."""
    first = int(np.searchsorted(answered, from_s))
    if first >= len(answered):
        return None
    opened = float(answered[first])
    last = max(first + 1, int(np.searchsorted(answered, opened + slice_s)))
    return _Window(opened, float(answered[last]), last - first) if last < len(answered) else None


def ready_s(samples: Samples) -> float:
    """Seconds from an agent's start until each of its clients had its first answer; 0 without samples."""
    numbers, firsts = np.unique(samples.trace[:, 0], return_index=True)
    return float(samples.trace[firsts, 2].max()) if len(numbers) else 0.0
