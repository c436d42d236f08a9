"""The measuring side against a stand-in of GraphPipe's reference server in Go: readiness, right and wrong answers, errors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests

from bench.contract.errors import ConnectionLost, ErrorStatus, MalformedAnswer
from bench.contract.records import Verdict
from bench.contract.scenarios import Scenario
from bench.contract.system import Backend
from bench.contract.tensors import FloatArray
from bench.contract.wire import Payload
from bench.load.scheduler import Settings
from bench.protocols import codec
from bench.transports.connect import open_transport
from bench.transports.http import HttpTransport
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe
from fixtures.specs.manifest import load_spec
from tests.bench.scripted import CLASSES, IMAGES, PREDICT, WIDTH, ScriptedSystem, little_dataset, measuring
from tests.standins.graphpipe import GraphPipeServer, graphpipe

CODEC = codec("graphpipe")
(ENDPOINT,) = load_spec(Path(__file__).parents[2] / "fixtures" / "backends" / "graphpipe" / "backend.toml").backend.endpoints
BATCH = Scenario("batch8", batch_size=8)
SETTINGS = Settings(max_time_s=0.3)

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
    return little_dataset().images[:3]


@pytest.fixture
def convert() -> ModuleType:
    """The stock package's helpers."""
    return _stock("graphpipe.convert")


def _stock(name: str) -> ModuleType:
    module: ModuleType = pytest.importorskip(name, reason="needs `pip install --no-deps graphpipe==1.0.4`")
    return module


def system(server: GraphPipeServer) -> ScriptedSystem:
    """The stand-in as a started backend."""
    located = ENDPOINT.located("127.0.0.1", server.server_port)
    return ScriptedSystem(Backend("graphpipe", "stand-in", "script", (ENDPOINT,)), located)


def connected(server: GraphPipeServer) -> HttpTransport:
    """The transport that a campaign uses, connected."""
    started = system(server)
    transport = open_transport(started, started.endpoints["graphpipe"])
    assert isinstance(transport, HttpTransport)
    transport.connect()
    return transport


def exchange(server: GraphPipeServer, body: bytes) -> bytes:
    """One exchange on its own connection."""
    transport = connected(server)
    try:
        return transport.exchange(transport.prepare(Payload(body, "application/octet-stream", (0,))))
    finally:
        transport.close()


def probe() -> Probe:
    """Asks for the little dataset's first image."""
    return Probe(PayloadFactory(little_dataset(), PREDICT), [1])


def test_it_is_ready_when_it_answers_rightly(server: GraphPipeServer) -> None:
    """A right answer is readiness; another model's answer is not."""
    probe()(system(server))
    server.predict = lambda images: PREDICT(images)[:, ::-1]
    with pytest.raises(MalformedAnswer, match="the reference says"):
        probe()(system(server))


def test_a_campaign_ends_valid_with_all_answers_verified(server: GraphPipeServer) -> None:
    """In batches over a kept connection: every answer right, the model's own accuracy."""
    campaigns, cells, records = measuring({"graphpipe": system(server)}, BATCH, SETTINGS)
    campaigns.result(cells["graphpipe"])
    record, _ = records["graphpipe"]
    assert record.verdict in (Verdict.VALID, Verdict.UNSTABLE), record.reason
    assert record.accuracy == pytest.approx((IMAGES - 1) / IMAGES)
    assert record.agreement == 1.0
    assert record.answers_verified >= record.exchanges > 0


def test_wrong_scores_are_wrong_answers(server: GraphPipeServer) -> None:
    """A server that is wrong in one of its answers loses its cell, and is told which image."""
    answered = iter(range(1 << 30))

    def predict(images: FloatArray) -> FloatArray:
        scores = PREDICT(images)
        return np.roll(scores, 1, axis=1) if next(answered) == 20 else scores

    server.predict = predict
    campaigns, cells, records = measuring({"graphpipe": system(server)}, BATCH, SETTINGS)
    campaigns.result(cells["graphpipe"])
    record, _ = records["graphpipe"]
    assert record.verdict is Verdict.WRONG_ANSWERS, record.reason
    assert "the reference says" in record.reason


def test_errors_fail_the_cell_in_the_servers_words(server: GraphPipeServer) -> None:
    """A server that begins to refuse in the middle of a campaign: errors are counted and told, no answer is invented."""
    answered = iter(range(1 << 30))

    def predict(images: FloatArray) -> FloatArray:
        server.width = WIDTH if next(answered) < 20 else 1
        return PREDICT(images)

    server.predict = predict
    campaigns, cells, records = measuring({"graphpipe": system(server)}, BATCH, SETTINGS)
    campaigns.result(cells["graphpipe"])
    record, _ = records["graphpipe"]
    assert record.verdict is Verdict.FAILED
    assert "HTTP status 400" in record.reason
    assert "Matrix size-incompatible" in record.reason


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
        exchange(server, body)
    probe()(system(server))


def test_a_cut_off_request_gives_no_wrong_scores(server: GraphPipeServer, images: FloatArray) -> None:
    """A refusal or a hang-up, at whatever byte it was cut."""
    whole = CODEC.encode(images)[0]
    for length in range(0, len(whole), 7):
        try:
            answer = exchange(server, whole[:length])
        except (ConnectionLost, ErrorStatus):
            continue
        # All of the tensor was there: only what nobody reads was cut off.
        np.testing.assert_array_equal(CODEC.decode(answer), PREDICT(images))


def test_what_is_no_inference_is_answered_with_metadata(server: GraphPipeServer) -> None:
    """Any other kind of request gets a MetadataResponse, which our codec does not take for scores."""
    answer = exchange(server, bytes(64))
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
            exchange(server, body)
        assert words in str(refused.value)
    with pytest.raises(ConnectionLost):
        exchange(server, request(images, images))
