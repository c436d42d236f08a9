"""May this cell be believed, and if not, why not: the rules, and the words that stand beside the number."""

from dataclasses import dataclass, field

from bench.agents.clocks import ALLOWED
from bench.contract.records import Verdict
from bench.load.open_loop import LATE_S
from bench.statistics import Interval

CLIENT_BOUND_ABOVE = 0.7  # of the ceiling
CLIENT_SHARE_ABOVE = 0.5  # of the exchanges, where nothing on this machine is the ceiling
CACHED_ABOVE = 1.1  # times faster on one repeated image than on images never seen
_SURE = 3.29 / 1.96  # from the half-width of an interval of 95 % to that of 99.9 %, as logarithms
UNSTABLE_BEYOND = 0.05  # halves that differ by less are not worth a flag, however narrow the interval
OVERSUBSCRIBED_ABOVE = 1.3  # runnable threads for each CPU that the server has
INTERRUPTED = "the run was interrupted before this cell had its measuring time"


@dataclass(frozen=True, slots=True)
class Exchanges:
    """What became of the exchanges of all lanes of a cell.

    `timed` counts those behind its figures. `errors` failed, the first with `first_error`; `retired` is why a lane took no
    further part, empty if none did. Of the `answers` verified `wrong` were wrong; `first_wrong` says how the first one was.
    `unverified` is why nobody knows whether they are right, empty where they were held against what is.
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
    """How client and server kept up with an open loop's schedule.

    In `late_windows` of its `windows` the client sent more than one request in a hundred late, although `repeated` windows
    had been measured again for that. `answered_fraction` is the part that was answered in time, None if all was.
    `undecided` is why a search cannot tell what it looked for, empty if it can. `behind` are the agents whose sends were late.
    """

    windows: int = 0
    late_windows: int = 0
    repeated: int = 0
    answered_fraction: float | None = None
    undecided: str = ""
    behind: str = ""


@dataclass(frozen=True, slots=True)
class ClockEvidence:
    """How well the clocks of several load agents were known in the window of `window_s` seconds where it was worst."""

    agents: int = 0
    error_s: float = 0.0
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for or against one cell; None = unknown, and never counts against it.

    `same_sample_speedup` is the speed on one repeated image over that on images never seen, of the same rounds;
    `same_sample_medians` the ratio of the medians of their durations, the other way round. `ceiling_fraction` is the speed
    over null's, None of a server that null cannot stand for: then `client_share`, the part of the exchanges in which the
    client itself computed, decides. `halves_ratio` is the speed of the second half of the campaign over that of the first.
    `runnable_threads` is the mean number of the server's threads that computed or wanted to while `clients` sent requests, on
    `server_cpus` CPUs; `shared_cpu` is the client's where the server has it too, and that counts;
    `throttled` the periods in which its cgroup was throttled. `interrupted`: the run ended before the cell's goals.
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
    """The worst verdict that holds, and the reasons of all that hold, worst first."""
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
    if exchanges.unverified:  # neither's speed is worth anything until it is known which
        are = "are others than those that they were held against, and one of the two is wrong"
    return f"{exchanges.wrong} of {exchanges.answers} answers {are}; {exchanges.first_wrong}"


def _cached(evidence: Evidence) -> str:
    """Needs 99.9 % confidence: a run judges dozens of cells, and at 95 % each a noisy machine would accuse an innocent one.

    A cache makes nearly all answers faster, so the medians must agree; a busy neighbour delays only a few answers.
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
    # Several clients at once are meant to keep several threads busy; one client is not.
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
    """Few late windows are those of a busy moment; most of them are the client itself."""
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
    """There is no figure of it, through no fault of the server's."""
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
