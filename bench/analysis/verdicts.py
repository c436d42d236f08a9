"""Verdicts: the rules for whether a cell's figures are credible, and the reasons shown beside them if they are not."""

from dataclasses import dataclass, field

from bench.agents.clocks import ALLOWED
from bench.contract.records import Verdict
from bench.load.open_loop import LATE_S
from bench.statistics import Interval

CLIENT_BOUND_ABOVE = 0.7  # of the ceiling's speed
CLIENT_SHARE_ABOVE = 0.5  # of the exchanges' time, for servers elsewhere, which have no ceiling on this machine
CACHED_ABOVE = 1.1  # times faster on one repeated image than on images never seen
_SURE = 3.29 / 1.96  # half-width of a 99.9 % interval over that of a 95 % interval, both as logarithms
UNSTABLE_BEYOND = 0.05  # halves that differ by less are not flagged, however narrow the interval
OVERSUBSCRIBED_ABOVE = 1.3  # runnable threads for each CPU that the server has
INTERRUPTED = "the run was interrupted before this cell had its measuring time"


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Counts of the exchanges of all lanes of a cell, and the first problems.

    `timed` counts those behind its figures. `errors` failed, the first with `first_error`; `retired` is why a lane was taken
    out, empty if none was. Of `answers` verified answers `wrong` were wrong; `first_wrong` describes the first of them.
    `unverified` is why it is unknown whether the expected answers are right, empty if they are known to be.
    """

    timed: int = 0
    errors: int = 0
    first_error: str = ""
    retired: str = ""
    answers: int = 0
    wrong: int = 0
    first_wrong: str = ""
    unverified: str = ""


@dataclass(frozen=True, slots=True)
class ScheduleEvidence:
    """How well client and server kept up with an open loop's schedule.

    In `late_windows` of its `windows` the client sent more than one request in a hundred late, although `repeated` windows
    had been measured again. `answered_fraction` is the fraction answered in time, None if the server did not fall behind.
    `undecided` is why a search has no result, empty if it has one. `behind` names the agents whose sends were late.
    """

    windows: int = 0
    late_windows: int = 0
    repeated: int = 0
    answered_fraction: float | None = None
    undecided: str = ""
    behind: str = ""


@dataclass(frozen=True, slots=True)
class ClockEvidence:
    """The clock error of several load agents, in seconds, in the worst window, which was `window_s` seconds long."""

    agents: int = 0
    error_s: float = 0.0
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for the verdict on one cell; None = unknown, and never counts against it.

    `same_sample_speedup` is the speed on one repeated image over that on images never seen, in the same rounds;
    `same_sample_medians` is the median duration on the latter over that on the former. `ceiling_fraction` is the speed over
    null's, None for a server elsewhere, of which null is no ceiling: then `client_share` decides, the fraction of the
    exchanges' time in which the client itself used its CPU. `halves_ratio` is the speed of the second half of the campaign
    over that of the first. `runnable_threads` is the mean number of the server's threads that were running or runnable while
    `clients` sent requests, on `server_cpus` CPUs; `shared_cpu` is a CPU that client and server share, if that is judged;
    `throttled` counts periods in which its cgroup was throttled. `interrupted`: the run ended before the cell's goals.
    """

    exchanges: Exchanges
    interrupted: bool = False
    same_sample_speedup: Interval | None = None
    same_sample_medians: float | None = None
    ceiling_fraction: float | None = None
    client_share: float | None = None
    halves_ratio: Interval | None = None
    runnable_threads: float | None = None
    clients: int = 1
    server_cpus: int = 1
    shared_cpu: int | None = None
    throttled: int = 0
    schedule: ScheduleEvidence = field(default_factory=ScheduleEvidence)
    clocks: ClockEvidence = field(default_factory=ClockEvidence)


def decide(evidence: Evidence) -> tuple[Verdict, str]:
    """The worst verdict that applies, and the reasons of all that apply, worst first."""
    reason_of = {  # worst first
        Verdict.FAILED: _failed(evidence),
        Verdict.WRONG_ANSWERS: _wrong(evidence),
        Verdict.CACHED: _cached(evidence),
        Verdict.DESYNCED: _desynced(evidence.clocks),
        Verdict.OVERSUBSCRIBED: _oversubscribed(evidence),
        Verdict.CLIENT_BOUND: _client_bound(evidence),
        Verdict.SATURATED: _saturated(evidence),
        Verdict.NOT_MEASURED: _not_measured(evidence),
        Verdict.NOT_VERIFIED: evidence.exchanges.unverified,
        Verdict.UNSTABLE: _unstable(evidence),
    }
    holding = [verdict for verdict, reason in reason_of.items() if reason]
    reasons = "; ".join(reason_of[verdict] for verdict in holding)
    return (holding[0] if holding else Verdict.VALID), reasons


def _failed(evidence: Evidence) -> str:
    exchanges = evidence.exchanges
    if exchanges.retired:
        return exchanges.retired
    if exchanges.errors:
        total = exchanges.errors + exchanges.answers
        return f"{exchanges.errors} of {total} exchanges failed; the first: {exchanges.first_error}"
    explained = evidence.interrupted or evidence.schedule.answered_fraction is not None
    return "" if exchanges.timed or explained else "no exchange was timed"


def _wrong(evidence: Evidence) -> str:
    exchanges = evidence.exchanges
    if not exchanges.wrong:
        return ""
    are = "are wrong"
    if exchanges.unverified:  # until it is known which one is wrong, the speed of neither counts
        are = "are others than those that they were held against, and one of the two is wrong"
    return f"{exchanges.wrong} of {exchanges.answers} answers {are}; {exchanges.first_wrong}"


def _cached(evidence: Evidence) -> str:
    """Needs 99.9 % confidence: a run judges dozens of cells, and at 95 % each a noisy machine would cause a false alarm.

    A cache makes nearly all answers faster, so the ratio of medians must exceed the limit too; a busy neighbour delays only a
    few answers.
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


def _desynced(clocks: ClockEvidence) -> str:
    if clocks.error_s <= ALLOWED * clocks.window_s:
        return ""
    return (
        f"the borders of its {clocks.agents} load agents' windows may lie {1e3 * clocks.error_s:.3g} ms apart, of windows of "
        f"{1e3 * clocks.window_s:.4g} ms (believed up to {ALLOWED:.0%}): nobody knows who asked together with whom"
    )


def _oversubscribed(evidence: Evidence) -> str:
    reasons = []
    # Several clients at once are expected to keep several threads busy; one client is not.
    runnable = evidence.runnable_threads if evidence.clients == 1 else None
    if runnable is not None and runnable > OVERSUBSCRIBED_ABOVE * evidence.server_cpus:
        reasons.append(
            f"while it was asked, {runnable:.1f} of its threads computed or wanted to on average, "
            f"on {evidence.server_cpus} CPU(s)"
        )
    if evidence.shared_cpu is not None:
        reasons.append(f"the client has CPU {evidence.shared_cpu} as well, so that they take time from each other")
    if evidence.throttled:
        reasons.append(f"its cgroup was throttled in {evidence.throttled} periods")
    return " and ".join(reasons)


def _client_bound(evidence: Evidence) -> str:
    fraction = evidence.ceiling_fraction
    if evidence.schedule.windows:
        return _behind_schedule(evidence.schedule)
    share = evidence.client_share
    if share is not None and share > CLIENT_SHARE_ABOVE:
        return (
            f"the client itself computed in {share:.0%} of the time of its exchanges (believed up to {CLIENT_SHARE_ABOVE:.0%}; "
            "null, on this machine, is no ceiling for a server elsewhere): the client is what was measured"
        )
    if fraction is None or fraction <= CLIENT_BOUND_ABOVE:
        return ""
    return (
        f"reaches {fraction:.0%} of what this client can do at all against null (believed up to {CLIENT_BOUND_ABOVE:.0%}): "
        "the client is what was measured"
    )


def _behind_schedule(schedule: ScheduleEvidence) -> str:
    """Applies if most windows were late: a few may be due to a busy moment, most of them are due to the client itself."""
    if 2 * schedule.late_windows <= schedule.windows:
        return ""
    again = f", {schedule.repeated} more had been measured again" if schedule.repeated else ""
    who = schedule.behind or "the client"
    return (
        f"{who} sent more than 1 % of the requests over {1e3 * LATE_S:g} ms late in {schedule.late_windows} of "
        f"{schedule.windows} windows{again}: it could not keep its schedule, and what was measured is not the server's alone"
    )


def _saturated(evidence: Evidence) -> str:
    answered = evidence.schedule.answered_fraction
    if answered is None:
        return ""
    return (
        f"the server fell behind: {answered:.1%} of what was offered was answered in time, so the queue grew and the "
        "latencies tell how long the run was"
    )


def _not_measured(evidence: Evidence) -> str:
    """Applies if the cell has no figures, through no fault of the server."""
    return INTERRUPTED if evidence.interrupted and not evidence.exchanges.timed else evidence.schedule.undecided


def _unstable(evidence: Evidence) -> str:
    if evidence.interrupted:
        return INTERRUPTED if evidence.exchanges.timed else ""
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
