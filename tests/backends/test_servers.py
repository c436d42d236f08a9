"""The contract of the house's own HTTP servers: right answers, clear refusals, and connections that are kept."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.backends.launch import Server, exchange, nnef_model, running, some_images, truth
from tests.flat import flat_codec as codec

pytestmark = pytest.mark.integration

BACKENDS = ("flask", "fastapi", "fastapi-granian", "nnef", "openvino")
ATOL = 1e-5  # another runtime sums in another order
PROTOCOLS = {"rest": "v1-json", "raw": "raw"}
JSON, RAW = "application/json", "application/octet-stream"


@pytest.fixture(scope="module", params=BACKENDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """Each backend in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, model, exports=exports_for(request.param, model)) as started:
        yield started


def exports_for(backend: str, model: Path) -> dict[str, Path]:
    """The formats that a backend needs beside ONNX."""
    return {"nnef": nnef_model(model, model.parent / "nnef")} if backend == "nnef" else {}


def instances(rows: object) -> bytes:
    """A v1 JSON request; NaN and infinity as Python's json writes them."""
    return json.dumps({"instances": rows}).encode()


@pytest.mark.parametrize("endpoint", PROTOCOLS)
@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_answers_are_the_models(server: Server, model: Path, endpoint: str, batch_size: int) -> None:
    """Every endpoint answers what the model says in process, in the order asked."""
    images = some_images(batch_size)
    body, content_type, _ = codec(PROTOCOLS[endpoint]).encode(images)
    reply = server.ask("POST", server.path(endpoint), body, content_type)
    assert reply.status == 200
    np.testing.assert_allclose(codec(PROTOCOLS[endpoint]).decode(reply.body), truth(model, images), atol=ATOL)


def test_the_root_path_predicts_too(server: Server, model: Path) -> None:
    """`POST /` is the address that the study of 2018 used; a charset in the content type is no obstacle."""
    body, _, _ = codec("v1-json").encode(some_images(1))
    reply = server.ask("POST", "/", body, "application/json; charset=utf-8")
    np.testing.assert_allclose(codec("v1-json").decode(reply.body), truth(model, some_images(1)), atol=ATOL)


@pytest.mark.parametrize(
    ("endpoint", "body", "problem"),
    [
        pytest.param("rest", instances([[0.5] * 783]), "784", id="json-wrong-width"),
        pytest.param("rest", instances([0.5] * 784), "784", id="json-no-rows"),
        pytest.param("rest", instances([[0.5] * 784, [0.5]]), "equal length", id="json-ragged"),
        pytest.param("rest", instances([["a"] * 784]), "numbers", id="json-strings"),
        pytest.param("rest", instances([]), "784", id="json-empty-batch"),
        pytest.param("rest", b'{"instances": [[0.5', "", id="json-broken"),
        pytest.param("rest", b"", "", id="json-no-body"),
        pytest.param("rest", b"[]", "instances", id="json-no-object"),
        pytest.param("rest", b'{"inputs": [[1]]}', "instances", id="json-other-key"),
        pytest.param("raw", struct.pack("<I783f", 1, *[0.5] * 783), "784", id="raw-wrong-width"),
        pytest.param("raw", struct.pack("<I784f", 3, *[0.5] * 784), "3 rows", id="raw-wrong-rows"),
        pytest.param("raw", struct.pack("<I", 0), "rows", id="raw-empty-batch"),
        pytest.param("raw", b"", "4 bytes", id="raw-no-body"),
    ],
)
def test_bad_input_is_refused_and_named(server: Server, endpoint: str, body: bytes, problem: str) -> None:
    """A 400 whose JSON names the problem; the server answers the next request as ever."""
    reply = server.ask("POST", server.path(endpoint), body, JSON if endpoint == "rest" else RAW)
    assert (reply.status, reply.content_type) == (400, JSON)
    assert problem in json.loads(reply.body)["error"]
    assert_lives(server)


def test_values_are_the_models_business(server: Server, model: Path) -> None:
    """Seconds since 1970, or a large batch of them: what the model can compute is answered."""
    images = some_images(5000) * np.float32(1.7e9)
    reply = server.ask("POST", server.path("raw"), codec("raw").encode(images)[0], RAW)
    assert reply.status == 200
    np.testing.assert_allclose(codec("raw").decode(reply.body), truth(model, images), atol=ATOL)


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/v1/models/other:predict", 404), ("GET", "/raw", 405)])
def test_unknown_paths_and_methods_are_json_errors(server: Server, method: str, path: str, status: int) -> None:
    """In the framework's own words."""
    reply = server.ask(method, path, b"{}" if method == "POST" else None)
    assert (reply.status, reply.content_type) == (status, JSON)
    assert json.loads(reply.body)


def test_health_answers(server: Server) -> None:
    """What a start waits for."""
    assert json.loads(server.ask("GET", "/healthz").body) == {"status": "ok"}


def test_kept_connections_of_both_endpoints_take_turns(server: Server, model: Path) -> None:
    """A campaign keeps a connection an endpoint: an idle one neither blocks the other nor is closed between its turns."""
    images = some_images(1)
    expected = truth(model, images)
    connections = {endpoint: server.connect() for endpoint in PROTOCOLS}
    sockets = []
    slowest_s = 0.0
    for turn in range(100):
        for endpoint, connection in connections.items():
            body, content_type, _ = codec(PROTOCOLS[endpoint]).encode(images)
            begin_s = time.perf_counter()
            reply = exchange(connection, "POST", server.path(endpoint), body, content_type)
            slowest_s = max(slowest_s, time.perf_counter() - begin_s) if turn else 0.0
            np.testing.assert_allclose(codec(PROTOCOLS[endpoint]).decode(reply.body), expected, atol=ATOL)
            sockets.append(connection.sock)
    assert len({id(used) for used in sockets}) == 2
    # No speed is asserted: the stalls that this looks for (a worker waiting on a silent client) last whole seconds.
    assert slowest_s < 1.0
    for connection in connections.values():
        connection.close()


def test_a_stop_leaves_nothing_behind(tmp_path: Path, model: Path, server: Server) -> None:
    """SIGTERM ends the server with a client connected; its port is free, no file is left."""
    with running(server.name, tmp_path, model, exports=exports_for(server.name, model)) as own:
        connection = own.connect()
        assert exchange(connection, "GET", "/healthz").status == 200
        own.process.terminate()
        own.process.wait(30)
        connection.close()
        with pytest.raises(OSError, match="refused"):
            own.ask("GET", "/healthz")
    assert {path.name for path in tmp_path.iterdir()} == {"app", "log.txt"}


def assert_lives(server: Server) -> None:
    """It still answers a real prediction."""
    body, content_type, _ = codec("raw").encode(some_images(1))
    assert server.ask("POST", server.path("raw"), body, content_type).status == 200
