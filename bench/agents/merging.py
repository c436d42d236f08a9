"""From the raw samples of several agents to one slice: all samples together, never averages of averages.

A duration is the difference of two readings of one agent's clock. Only the borders of a closed loop's window, which all agents
must share, are put on this process's clock.
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
    """What one agent sent, by its own clock in seconds since it began, at `began_s`.

    `trace` [n, 3] are the rows of a `Trace`, as they were answered; `lag_s` [due in the window] how late each request of a
    schedule left. `fit` is the agent's clock.
    """

    trace: FloatArray64
    lag_s: FloatArray64
    began_s: float
    fit: ClockFit

    def here(self, since_s: FloatArray64) -> FloatArray64:
        """When that was, by this process's clock."""
        fit = self.fit
        return fit.here(self.began_s) + since_s / (1 + fit.drift)

    def here_s(self, since_s: float) -> float:
        """The same of one moment."""
        return self.fit.here(self.began_s + since_s)


def of_schedule(parts: Sequence[tuple[Schedule, Samples]]) -> Slice:
    """Each agent's part of a schedule with what came of it; the windows are those that were named to the agents."""
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
    """Places of those that did not keep their schedule."""
    return [place for place, samples in enumerate(parts) if not kept_schedule(samples.lag_s.tolist())]


def of_clients(parts: Sequence[Samples], *, slice_s: float, lead_in_s: float) -> Slice | None:
    """A window of clients in closed loops, by the rule of `run_clients`: from an answer to an answer, while all are sending.

    None where there is none: some were done before others had their first answers (see `ready_s`).
    """
    ready = [max(ready_s(samples), lead_in_s) for samples in parts]
    own = [_window(np.sort(samples.trace[:, 2]), from_s, slice_s) for samples, from_s in zip(parts, ready, strict=True)]
    answered = np.sort(np.concatenate([samples.here(samples.trace[:, 2]) for samples in parts]))
    from_s = max(samples.here_s(each) for samples, each in zip(parts, ready, strict=True))
    window = _window(answered, from_s, slice_s)
    until = [samples.here_s(each.closed) for samples, each in zip(parts, own, strict=True) if each is not None]
    allowed_s = max(ALLOWED * slice_s, *(2 * samples.fit.error_s for samples in parts))
    if window is None or len(until) < len(own) or window.closed > min(until) + allowed_s:
        return None  # an agent sends until its own window is over, by its own clock, and need not any longer
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
    """From the first answer at `from_s` or later to the first one after `slice_s`; `answered` [n] ascending."""
    first = int(np.searchsorted(answered, from_s))
    if first >= len(answered):
        return None
    opened = float(answered[first])
    last = max(first + 1, int(np.searchsorted(answered, opened + slice_s)))
    return _Window(opened, float(answered[last]), last - first) if last < len(answered) else None


def ready_s(samples: Samples) -> float:
    """Seconds until each of an agent's clients had had an answer."""
    numbers, firsts = np.unique(samples.trace[:, 0], return_index=True)
    return float(samples.trace[firsts, 2].max()) if len(numbers) else 0.0
