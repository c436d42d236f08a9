"""A lane's bookkeeping: which answers are kept, and when it takes no further part."""

import math
from dataclasses import replace

import pytest

from bench.contract.errors import ConnectionLost, ExchangeError, ExchangeTimeout
from bench.contract.wire import Endpoint, Payload
from bench.load.closed_loop import Slice
from bench.load.connection_pool import ConnectionPool
from bench.load.lane import Goals, Lane, Part
from bench.load.load_patterns import Clients
from bench.load.payload_sources import CyclingPayloads
from bench.load.senders import OwnSender
from tests.bench.scripted import ScriptedSystem, backend


def a_lane(clients: int = 1) -> Lane:
    """One that nothing was measured with yet."""
    source = CyclingPayloads([Payload(b"", "", (0,))], lambda payload: payload)
    pattern = Clients(OwnSender(ConnectionPool([])), clients)
    return Lane(Part.MEASURE, ScriptedSystem(backend("one"), None), pattern, source, Goals(1.0), clients=clients)


def record(lane: Lane, done: Slice, round_index: int = 0) -> None:
    """A slice of a server whose usage cannot be read."""
    lane.record_slice(done, round_index, round_index, None, None, None, None)


def test_a_slow_models_warm_up_has_as_long_as_its_requests_may_take() -> None:
    """A fifth of the deadline for each of them; where that is little, ten minutes in all."""
    lane = a_lane()
    slow = Endpoint("one", "raw", "raw", deadline_s=100.0)
    lane = replace(lane, endpoint=slow.id, system=ScriptedSystem(backend("one"), slow))
    assert lane.warm_up_limit_s(1000) == 20_000
    assert lane.warm_up_limit_s(2) == 600


def test_equal_answers_share_their_bytes() -> None:
    """Of thousands of answers to one payload only the distinct ones take memory."""
    lane = a_lane()
    bodies = [bytes([1, 2, 3]) + bytes([n // 2]) for n in range(4)]
    record(lane, Slice([0.1] * 4, [(0, body) for body in bodies], seconds=0.4, exchanges=4))
    kept = [body for _, body in lane.results.answers]
    assert kept == bodies
    assert kept[0] is kept[1]
    assert kept[2] is kept[3]


def test_a_slice_says_how_fast_it_was() -> None:
    """One client's median duration; the seconds for each answer of several."""
    one, several = a_lane(), a_lane(clients=4)
    for lane in (one, several):
        record(lane, Slice([0.1, 0.2, 0.9], [(0, b"")] * 4, seconds=1.2, exchanges=3), round_index=7)
        record(lane, Slice(error=ConnectionLost("gone")), round_index=8)
    (result,) = one.results.slices
    assert (result.round_index, result.exchanges, result.answered, result.cpu_s) == (7, 3, 4, None)
    assert result.pace_s == 0.2
    assert several.results.slices[0].pace_s == pytest.approx(0.4)
    assert one.results.measured_s == 1.2
    assert one.results.round_index == [7, 7, 7]


@pytest.mark.parametrize(
    ("errors", "retires_at"),
    [([ConnectionLost("gone")] * 7, 6), ([ExchangeTimeout("late")] * 3, 2)],
    ids=["errors", "time-outs"],
)
def test_a_lane_without_answers_retires(errors: list[ExchangeError], retires_at: int) -> None:
    """After six errors in a row; a time-out counts as three."""
    lane = a_lane()
    for number, error in enumerate(errors, start=1):
        lane.record_error(error, alive=True)
        assert bool(lane.state.retired) is lane.over is (number >= retires_at)
    assert "log's end" in lane.state.retired
    assert lane.results.errors == errors


def test_answers_between_errors_keep_a_lane_up_but_for_time_outs() -> None:
    """Six time-outs in all are enough: each holds up every other lane."""
    lane = a_lane()
    for _ in range(10):
        lane.record_error(ConnectionLost("gone"), alive=True)
        record(lane, Slice([0.1], [(0, b"")], seconds=0.1, exchanges=1))
    assert not lane.over
    for _ in range(6):
        assert not lane.over
        lane.record_error(ExchangeTimeout("late"), alive=True)
        record(lane, Slice([0.1], [(0, b"")], seconds=0.1, exchanges=1))
    assert "6 time-outs" in lane.state.retired


def test_a_dead_server_retires_its_lane_at_once() -> None:
    """Whatever the error was."""
    lane = a_lane()
    lane.record_error(ConnectionLost("gone"), alive=False)
    assert lane.state.retired.startswith("the server died")


def test_the_margin_shrinks_with_the_samples() -> None:
    """Infinite before there are two."""
    lane = a_lane()
    assert lane.results.relative_margin(0.95) == math.inf
    margins = []
    for _ in range(3):
        record(lane, Slice([0.1, 0.2], [], seconds=0.3, exchanges=2))
        margins.append(lane.results.relative_margin(0.95))
    assert margins == sorted(margins, reverse=True)
