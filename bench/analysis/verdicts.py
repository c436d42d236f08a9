"""May this cell be believed, and if not, why not: the rules, and the words that stand beside the number."""

from __future__ import annotations

from dataclasses import dataclass

from bench.contract.records import Verdict
from bench.statistics import Interval

CLIENT_BOUND_ABOVE = 0.7  # of the ceiling
CACHED_ABOVE = 1.1  # times faster on one repeated image than on images never seen
_SURE = 3.29 / 1.96  # from the half-width of an interval of 95 % to that of 99.9 %, as logarithms
UNSTABLE_BEYOND = 0.05  # halves that differ by less are not worth a flag, however narrow the interval
LATE_ABOVE = 0.01  # of the scheduled requests
LAG_ABOVE = 0.1  # of the latency's 99th percentile
OVERSUBSCRIBED_ABOVE = 1.3  # runnable threads for each CPU that the server has
INTERRUPTED = "the run was interrupted before this cell had its measuring time"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that speaks for or against one cell; None = could not be found out, and then it is not held against it.

    `same_sample_speedup` is the speed on one repeated image over that on images never seen, of the same rounds;
    `same_sample_medians` the ratio of the medians of their durations, the other way round.

    Of an open loop: `scheduled` requests, of which the client sent `late_sends` late; 99 of 100 left within `lag_s` of their
    time, which is held against the latency `latency_s`; `carried` is the part that was answered in time, None if all was.
    `undecided` is why a search cannot tell what it looked for.
    """

    exchanges: int
    errors: int = 0
    first_error: str = ""
    retired: str = ""
    answers: int = 0
    wrong: int = 0
    first_wrong: str = ""
    same_sample_speedup: Interval | None = None
    same_sample_medians: float | None = None
    ceiling_fraction: float | None = None
    halves_ratio: Interval | None = None
    runnable_threads: float | None = None
    server_cpus: int = 1
    throttled: int = 0
    interrupted: bool = False
    scheduled: int = 0
    late_sends: int = 0
    lag_s: float | None = None
    latency_s: float | None = None
    carried: float | None = None
    undecided: str = ""


def decide(evidence: Evidence) -> tuple[Verdict, str]:
    """The worst verdict that holds, and the reasons of all that hold, worst first."""
    found = {
        Verdict.FAILED: _failed(evidence),
        Verdict.WRONG_ANSWERS: _wrong(evidence),
        Verdict.CACHED: _cached(evidence),
        Verdict.OVERSUBSCRIBED: _oversubscribed(evidence),
        Verdict.CLIENT_BOUND: _client_bound(evidence),
        Verdict.SATURATED: _saturated(evidence),
        Verdict.NOT_MEASURED: _not_measured(evidence),
        Verdict.UNSTABLE: _unstable(evidence),
    }
    holding = [verdict for verdict, reason in found.items() if reason]
    reasons = "; ".join(found[verdict] for verdict in holding)
    return (holding[0] if holding else Verdict.VALID), reasons


def _failed(evidence: Evidence) -> str:
    if evidence.retired:
        return evidence.retired
    if evidence.errors:
        total = evidence.errors + evidence.answers
        return f"{evidence.errors} of {total} exchanges failed; the first: {evidence.first_error}"
    explained = evidence.interrupted or evidence.carried is not None
    return "" if evidence.exchanges or explained else "no exchange was timed"


def _wrong(evidence: Evidence) -> str:
    return f"{evidence.wrong} of {evidence.answers} answers are wrong; {evidence.first_wrong}" if evidence.wrong else ""


def _cached(evidence: Evidence) -> str:
    """An accusation that a run makes of dozens of cells: at 95 % each, a restless machine would find an innocent one.

    A cache makes nearly all answers faster, so the medians must say so too; what a busy neighbour holds up is a few.
    """
    speedup = evidence.same_sample_speedup
    if speedup is None or speedup.low is None:
        return ""
    surely = speedup.value * (speedup.low / speedup.value) ** _SURE
    medians = evidence.same_sample_medians
    if surely <= CACHED_ABOVE or (medians is not None and medians <= CACHED_ABOVE):
        return ""
    median = "" if medians is None else f", by the medians {medians:.2f}"
    return (
        f"{speedup.value:.2f} times faster on one repeated image than on images never seen (at least {surely:.2f} with "
        f"99.9 % confidence{median}; {CACHED_ABOVE:g} is allowed): the server answers from a cache"
    )


def _oversubscribed(evidence: Evidence) -> str:
    reasons = []
    runnable = evidence.runnable_threads
    if runnable is not None and runnable > OVERSUBSCRIBED_ABOVE * evidence.server_cpus:
        reasons.append(
            f"while it was asked, {runnable:.1f} of its threads were runnable on average, on {evidence.server_cpus} CPU(s)"
        )
    if evidence.throttled:
        reasons.append(f"its cgroup was throttled in {evidence.throttled} periods")
    return " and ".join(reasons)


def _client_bound(evidence: Evidence) -> str:
    fraction = evidence.ceiling_fraction
    if evidence.scheduled:
        return _behind_schedule(evidence)
    if fraction is None or fraction <= CLIENT_BOUND_ABOVE:
        return ""
    return (
        f"reaches {fraction:.0%} of what this client can do at all against null (believed up to {CLIENT_BOUND_ABOVE:.0%}): "
        "the client is what was measured"
    )


def _behind_schedule(evidence: Evidence) -> str:
    """Late sends count where they are more than one in a hundred, and a part of the latency that a reader would notice."""
    late, lag_s, latency_s = evidence.late_sends, evidence.lag_s, evidence.latency_s
    if late <= LATE_ABOVE * evidence.scheduled or (lag_s and latency_s and lag_s < LAG_ABOVE * latency_s):
        return ""
    lag = f", 99 of 100 within {1e3 * lag_s:.1f} ms of their time" if lag_s is not None else ""
    return (
        f"the client sent {late} of {evidence.scheduled} requests late{lag}: it could not keep its schedule, and what was "
        "measured is not the server's alone"
    )


def _saturated(evidence: Evidence) -> str:
    if evidence.carried is None:
        return ""
    return (
        f"the server fell behind: {evidence.carried:.1%} of what was offered was answered in time, so the queue grew and the "
        "latencies tell how long the run was"
    )


def _not_measured(evidence: Evidence) -> str:
    """Nothing is wrong with the server; there is just no figure of it."""
    return INTERRUPTED if evidence.interrupted and not evidence.exchanges else evidence.undecided


def _unstable(evidence: Evidence) -> str:
    if evidence.interrupted:
        return INTERRUPTED if evidence.exchanges else ""
    halves = evidence.halves_ratio
    if halves is None or halves.low is None or halves.high is None:
        return ""
    # The whole interval must lie beyond the tolerated band, on one side of it.
    if halves.low > 1 + UNSTABLE_BEYOND or halves.high < 1 / (1 + UNSTABLE_BEYOND):
        return (
            f"its second half ran at {halves.value:.2f} times the speed of its first (from {halves.low:.2f} to "
            f"{halves.high:.2f}), the machine's own drift taken out"
        )
    return ""
