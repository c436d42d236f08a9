"""The measuring side against a stand-in of GraphPipe's reference server in Go: readiness, right and wrong answers, errors."""

import struct
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests

from bench.contract.errors import ConnectionLost, ErrorStatus, MalformedAnswer
from bench.contract.tensors import FloatArray
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

# The stock package was written for flatbuffers 1.9.
stock = pytest.mark.filterwarnings("ignore:numElems is deprecated:DeprecationWarning")


@pytest.fixture
def server() -> Iterator[GraphPipeServer]:
    """A running stand-in."""
    with graphpipe(PREDICT, WIDTH) as running:
        yield running


@pytest.fixture
def images() -> FloatArray:
    """Three images of the little dataset."""
    return images_of(little_dataset())[:3]


@pytest.fixture
def convert() -> ModuleType:
    """The stock package's helpers."""
    return _stock("graphpipe.convert")


def _stock(name: str) -> ModuleType:
    module: ModuleType = pytest.importorskip(name, reason="needs `pip install --no-deps graphpipe==1.0.4`")
    return module


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


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (WIDTH - 1, rf"HTTP status 400.*Matrix size-incompatible: In\[0\]: \[2,{WIDTH - 1}\], In\[1\]: \[{WIDTH},512\]"),
        (1, r"Matrix size-incompatible: In\[0\]: \[2,1\]"),
    ],
)
def test_bad_input_reaches_us_as_the_server_words_it(server: GraphPipeServer, columns: int, words: str) -> None:
    """A refusal is an ErrorStatus with its plain text, and the connection lives on."""
    transport = connected(server)
    bad = Payload(CODEC.encode(np.zeros((2, columns), np.float32))[0], "application/octet-stream", (0, 1))
    good = Payload(CODEC.encode(np.zeros((1, WIDTH), np.float32))[0], "application/octet-stream", (0,))
    with pytest.raises(ErrorStatus, match=words):
        transport.exchange(transport.prepare(bad))
    transport.ensure_connected()
    assert CODEC.decode(transport.exchange(transport.prepare(good))).shape == (1, CLASSES)
    transport.close()


@pytest.mark.parametrize(
    "body", [b"", b"\x01", b"garbage" * 100, b"\xff" * 64, struct.pack("<I", 1 << 30), b'{"instances": [[0.5]]}']
)
def test_garbage_closes_the_connection(server: GraphPipeServer, body: bytes) -> None:
    """The Go server panics on what is no flatbuffer and hangs up: a lost connection for us, and the server lives on."""
    with pytest.raises(ConnectionLost, match="closed before an answer"):
        exchange(started(ENDPOINT, server.server_port), body)
    answer = exchange(started(ENDPOINT, server.server_port), CODEC.encode(images_of(little_dataset())[:1])[0])
    assert CODEC.decode(answer).shape == (1, CLASSES)


def test_a_cut_off_request_gives_no_wrong_scores(server: GraphPipeServer, images: FloatArray) -> None:
    """A refusal or a hang-up, at whatever byte it was cut."""
    whole = CODEC.encode(images)[0]
    for length in range(0, len(whole), 7):
        try:
            answer = exchange(started(ENDPOINT, server.server_port), whole[:length])
        except (ConnectionLost, ErrorStatus):
            continue
        # All of the tensor was there: only what nobody reads was cut off.
        np.testing.assert_array_equal(CODEC.decode(answer), PREDICT(images))


def test_what_is_no_inference_is_answered_with_metadata(server: GraphPipeServer) -> None:
    """Any other kind of request gets a MetadataResponse, which our codec does not take for scores."""
    answer = exchange(started(ENDPOINT, server.server_port), bytes(64))
    assert b"graphpipe-tf" in answer
    with pytest.raises(MalformedAnswer):
        CODEC.decode(answer)


def get(server: GraphPipeServer, path: str) -> requests.Response:
    with requests.Session() as control:
        control.trust_env = False
        return control.get(f"http://127.0.0.1:{server.server_port}{path}", timeout=10)


def test_control_paths(server: GraphPipeServer) -> None:
    """Ready and alive are said in text; a server on its way out is not ready any more."""
    for path in ("/control/is_ready", "/control/is_alive"):
        assert (get(server, path).status_code, get(server, path).text) == (200, "ok\n")
    server.ready = False
    assert (get(server, "/control/is_ready").status_code, get(server, "/control/is_ready").text) == (503, "not ready\n")
    assert get(server, "/control/is_alive").status_code == 200


def test_a_get_tells_the_metadata(server: GraphPipeServer) -> None:
    """On any other path, as JSON."""
    told = get(server, "/").json()
    assert told["Server"] == "graphpipe-tf"
    assert {"Name": "images:0", "Description": "", "Shape": [-1, WIDTH], "Type": 10} in told["Inputs"]


@stock
def test_the_stock_client_understands_the_stand_in(server: GraphPipeServer, images: FloatArray) -> None:
    """Scores and metadata, by the package that the 2018 study used."""
    remote = _stock("graphpipe.remote")
    uri = f"http://127.0.0.1:{server.server_port}/"
    np.testing.assert_array_equal(remote.execute(uri, images), PREDICT(images))
    np.testing.assert_array_equal(remote.execute(uri, images, "images", "scores"), PREDICT(images))
    np.testing.assert_array_equal(remote.execute(uri, images, "images:0", "scores:0"), PREDICT(images))
    told = remote.metadata(uri)
    assert told.Server() == b"graphpipe-tf"
    assert [told.Inputs(index).Name() for index in range(told.InputsLength())] == [b"images:0", b"scores:0"]


@stock
def test_refusals_of_the_reference_server(server: GraphPipeServer, images: FloatArray, convert: ModuleType) -> None:
    """Names and types that the graph has not are refused; a second tensor without a name is out of the defaults' bounds."""

    def request(*tensors: Any, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> bytes:
        return bytes(convert.serialize_infer_request(convert.InferReq(None, list(tensors), list(inputs), list(outputs))))

    for body, words in (
        (request(images, inputs=("pixels",)), "Could not find input 'pixels:0'"),
        (request(images, outputs=("labels",)), "Could not find output 'labels:0'"),
        (request(images.astype(np.float64)), "to be float but type 11 is provided"),
        (request(images[0]), "is not a matrix"),
        (request(), "You must feed a value for placeholder tensor 'images'"),
    ):
        with pytest.raises(ErrorStatus, match="HTTP status 400") as refused:
            exchange(started(ENDPOINT, server.server_port), body)
        assert words in str(refused.value)
    with pytest.raises(ConnectionLost):
        exchange(started(ENDPOINT, server.server_port), request(images, images))
