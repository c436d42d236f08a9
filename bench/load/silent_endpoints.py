"""Retires all lanes of an endpoint that has stopped answering or wants fewer requests, before each finds out by itself.

Every time-out costs all other lanes its deadline, so the lanes of one endpoint share what is known about it.
"""

from collections import Counter
from collections.abc import Sequence

from bench.contract.errors import BackendFailed, ExchangeError, ExchangeTimeout, TurnedAway
from bench.load.closed_loop import Slice
from bench.load.lane import Lane
from bench.machine.idle_cpu import awake

_SILENT_AFTER = 2  # time-outs in a row at one endpoint, over all of its lanes


class SilentEndpoints:
    """Counts consecutive time-outs for each endpoint of a campaign's lanes."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._timeouts: Counter[tuple[str, str]] = Counter()  # in a row, by backend and endpoint

    def record(self, lane: Lane, done: Slice) -> None:
        """Count what a lane's slice got, an answer or an error; an error is recorded on the lane too.

        After TurnedAway all lanes of the endpoint retire.
        """
        key = _key(lane)
        if done.answers:
            self._timeouts[key] = 0
        if done.error is not None:
            lane.record_error(done.error, lane.system.is_alive())
            self._timeouts[key] += isinstance(done.error, ExchangeTimeout)
        if isinstance(done.error, TurnedAway):
            for each in self._lanes:
                if _key(each) == key and not each.over:
                    each.retire_turned_away(done.error)

    def retire_lanes(self, silent: Lane) -> None:
        """If this lane's endpoint has stopped answering, send one request to each endpoint of its server, its own first.

        The lanes of an endpoint that gives no answer retire. No-op while the endpoint is not silent, or answers again.
        """
        if self._timeouts[_key(silent)] < _SILENT_AFTER:
            return
        self._timeouts[_key(silent)] = 0
        left = [lane for lane in self._lanes if lane.system is silent.system and not lane.over]
        for endpoint in sorted({lane.endpoint for lane in left}, key=lambda name: (name != silent.endpoint, name)):
            lanes = [lane for lane in left if lane.endpoint == endpoint]
            error = _error_of_one_request(lanes[0])
            if isinstance(error, ExchangeTimeout):
                for lane in lanes:
                    lane.retire_silent(error)
            elif endpoint == silent.endpoint:
                return


def _key(lane: Lane) -> tuple[str, str]:
    return lane.system.backend.name, lane.endpoint


def _error_of_one_request(lane: Lane) -> ExchangeError | None:
    """Send one untimed request; returns its error, None if it was answered or the server could not be paused or resumed."""
    try:
        with awake(lane.paused_server):
            done = lane.pattern.ask_once(lane.source.requests(1))
    except BackendFailed as error:
        lane.retire_uncontrolled(error)
        return None
    lane.record_untimed(done)
    if done.error is not None:
        lane.results.errors.append(done.error)
    return done.error
