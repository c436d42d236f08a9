"""The measuring side against a stand-in of GraphPipe's reference server in Go: readiness, right and wrong answers, errors."""

from collections.abc import Iterator

import numpy as np
import pytest

from bench.contract.errors import ConnectionLost, ErrorStatus
from bench.contract.wire import Payload
from bench.transports.connect import open_connection
from bench.transports.http import HttpTransport
from tests.backends.contract import endpoints_of, exchange, started
from tests.bench.scripted import CLASSES, PREDICT, WIDTH, little_dataset
from tests.flat import flat_codec as codec
from tests.flat import images_of
from tests.standins.graphpipe import GraphPipeServer, graphpipe

CODEC = codec("graphpipe")
(ENDPOINT,) = endpoints_of("graphpipe")


@pytest.fixture
def server() -> Iterator[GraphPipeServer]:
    """A running stand-in."""
    with graphpipe(PREDICT, WIDTH) as running:
        yield running


def connected(server: GraphPipeServer) -> HttpTransport:
    """The transport that a campaign uses, connected."""
    system = started(ENDPOINT, server.server_port)
    transport = open_connection(system.endpoints["graphpipe"])
    assert isinstance(transport, HttpTransport)
    transport.connect()
    return transport


@pytest.mark.parametrize("batch_size", [1, 3, 200])
def test_small_and_chunked_answers_are_read(server: GraphPipeServer, batch_size: int) -> None:
    """Answers up to 2048 bytes have a Content-Length, larger ones come chunked; the connection carries both."""
    transport = connected(server)
    for count in (batch_size, 1, batch_size):
        asked = np.random.default_rng(count).random((count, WIDTH), dtype=np.float32)
        answer = transport.exchange(transport.prepare(Payload(CODEC.encode(asked)[0], "application/octet-stream", (0,))))
        np.testing.assert_array_equal(CODEC.decode(answer), PREDICT(asked))
        assert not transport.spent
    transport.close()


def test_after_a_refusal_the_connection_lives_on(server: GraphPipeServer) -> None:
    """It is an ErrorStatus, and the next request is answered on the same connection."""
    transport = connected(server)
    bad = Payload(CODEC.encode(np.zeros((2, 1), np.float32))[0], "application/octet-stream", (0, 1))
    good = Payload(CODEC.encode(np.zeros((1, WIDTH), np.float32))[0], "application/octet-stream", (0,))
    with pytest.raises(ErrorStatus, match=r"HTTP status 400.*Matrix size-incompatible: In\[0\]: \[2,1\]"):
        transport.exchange(transport.prepare(bad))
    transport.ensure_connected()
    assert CODEC.decode(transport.exchange(transport.prepare(good))).shape == (1, CLASSES)
    transport.close()


@pytest.mark.parametrize("body", [b"", b"garbage" * 100, b'{"instances": [[0.5]]}'])
def test_garbage_closes_the_connection(server: GraphPipeServer, body: bytes) -> None:
    """The Go server panics on what is no flatbuffer and hangs up: a lost connection for us, and the server lives on."""
    with pytest.raises(ConnectionLost, match="closed before an answer"):
        exchange(started(ENDPOINT, server.server_port), body)
    answer = exchange(started(ENDPOINT, server.server_port), CODEC.encode(images_of(little_dataset())[:1])[0])
    assert CODEC.decode(answer).shape == (1, CLASSES)


# The stock package was written for flatbuffers 1.9.
@pytest.mark.filterwarnings("ignore:numElems is deprecated:DeprecationWarning")
def test_the_stock_client_understands_the_stand_in(server: GraphPipeServer) -> None:
    """By the package that the 2018 study used."""
    remote = pytest.importorskip("graphpipe.remote", reason="needs `pip install --no-deps graphpipe==1.0.4`")
    images = images_of(little_dataset())[:3]
    np.testing.assert_array_equal(remote.execute(f"http://127.0.0.1:{server.server_port}/", images), PREDICT(images))
