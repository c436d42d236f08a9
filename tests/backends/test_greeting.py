"""An open loop against gunicorn's gthread with one thread, which waits for seconds on a client that connects and is silent."""

from pathlib import Path

import numpy as np
import pytest

from bench.contract.scenarios import Arrival
from bench.contract.wire import Endpoint, Payload
from bench.load.connection_pool import ConnectionPool
from bench.load.open_loop import run_schedule, schedule
from bench.load.payload_sources import CyclingPayloads
from bench.transports.http import HttpTransport
from tests.backends.launch import running, some_images, tiny_model
from tests.flat import flat_codec as codec

pytestmark = pytest.mark.integration


def test_open_connections_that_wait_for_their_turn_hold_up_nobody(tmp_path: Path) -> None:
    """Sixteen connections are opened ahead, few are needed: all requests are answered before the schedule is given up."""
    with running("flask", tmp_path / "flask", tiny_model(tmp_path / "tiny.onnx")) as server:
        endpoint = Endpoint("flask", "raw", "raw", server.path("raw"), server.port, "127.0.0.1")
        body, content_type, _ = codec("raw").encode(some_images(1))
        transports = [HttpTransport(endpoint) for _ in range(16)]
        source = CyclingPayloads([Payload(body, content_type, (0,))], transports[0].prepare)
        plan = schedule(Arrival.CONSTANT, 6.0, lead_in_s=0.1, window_s=1.0, rng=np.random.default_rng(1))
        pool = ConnectionPool(transports)
        done = run_schedule(pool, source.requests(0), plan, connections=16)
        pool.close()
    assert done.error is None
    assert len(done.duration_s) == done.scheduled == 6
