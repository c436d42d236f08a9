"""graphpipe-python, the house's codec and the stock `graphpipe` package: each of them understands the others."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
import pytest
import requests

from bench.contract.errors import MalformedAnswer
from tests.backends.launch import Server, exchange, running, some_images, truth
from tests.flat import flat_codec as codec

# The package was written for flatbuffers 1.9.
pytestmark = pytest.mark.filterwarnings("ignore:numElems is deprecated:DeprecationWarning")

RAW = "application/octet-stream"
CODEC = codec("graphpipe")


@pytest.fixture(scope="module")
def convert() -> ModuleType:
    """The stock package's helpers."""
    return _stock("graphpipe.convert")


@pytest.fixture(scope="module")
def remote() -> ModuleType:
    """The stock package's client."""
    return _stock("graphpipe.remote")


def _stock(name: str) -> ModuleType:
    module: ModuleType = pytest.importorskip(name, reason="needs `pip install --no-deps graphpipe==1.0.4`")
    return module


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """The running backend."""
    with running("graphpipe-python", tmp_path_factory.mktemp("graphpipe"), model) as started:
        yield started


@pytest.fixture(scope="module")
def predict(model: Path) -> Callable[[Any], Any]:
    """What the model itself says."""
    return partial(truth, model)


@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_the_stock_package_reads_our_requests_and_answers(convert: ModuleType, batch_size: int) -> None:
    """What we encode is to the package's own helpers what they would have encoded."""
    images = some_images(batch_size)
    request = convert.deserialize_request(CODEC.encode(images)[0])
    assert (request.config, request.input_names, request.output_names) == (b"", [], [])
    np.testing.assert_array_equal(request.input_tensors[0], images)
    tensors, errors = convert.deserialize_infer_response(CODEC.encode_answer(images))
    assert errors == []
    np.testing.assert_array_equal(tensors[0], images)


def test_our_codec_reads_errors_of_an_answer(convert: ModuleType) -> None:
    """An InferResponse with an error in it is no answer; its message is told."""
    with pytest.raises(MalformedAnswer, match="seen an error: no such output"):
        CODEC.decode(_response_with_error(convert, "no such output"))


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8])
def test_our_codec_refuses_tensors_of_another_type(convert: ModuleType, dtype: type) -> None:
    """Where the model's scores are float32, no others are; float64 alone loses nothing."""
    with pytest.raises(MalformedAnswer, match="float32"):
        CODEC.decode(_response(convert, np.ones((2, 62), dtype=dtype)))


@pytest.mark.parametrize("shape", [(62,), (1, 2, 31)])
def test_our_codec_refuses_tensors_of_another_shape(convert: ModuleType, shape: tuple[int, ...]) -> None:
    """Scores are rows of classes."""
    with pytest.raises(MalformedAnswer, match="shape"):
        CODEC.decode(_response(convert, np.ones(shape, dtype=np.float32)))


@pytest.mark.integration
@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_the_stock_client_gets_right_answers(
    server: Server, remote: ModuleType, predict: Callable[[Any], Any], batch_size: int
) -> None:
    """`graphpipe.remote.execute` against our server: the scores, and none of its errors."""
    images = some_images(batch_size)
    np.testing.assert_allclose(remote.execute(f"http://127.0.0.1:{server.port}/", images), predict(images), atol=1e-6)


@pytest.mark.integration
def test_the_stock_client_may_name_input_and_output(server: Server, remote: ModuleType, predict: Callable[[Any], Any]) -> None:
    """The names that the metadata tells are the names that a request may use."""
    uri = f"http://127.0.0.1:{server.port}/"
    names = remote.get_input_names(uri), remote.get_output_names(uri)
    assert names == (["images"], ["scores"])
    scores = remote.execute_multi(uri, [some_images(2)], *names)
    np.testing.assert_allclose(scores[0], predict(some_images(2)), atol=1e-6)


@pytest.mark.integration
def test_metadata_describes_the_model(server: Server, remote: ModuleType) -> None:
    """Shapes and types as the stock client asks for them, the batch left open."""
    uri = f"http://127.0.0.1:{server.port}/"
    assert remote.get_input_shapes(uri) == [[None, 784]]
    assert remote.get_output_shapes(uri) == [[None, 62]]
    assert remote.get_input_types(uri) == remote.get_output_types(uri) == [np.dtype(np.float32)]
    assert remote.metadata(uri).Server() == b"graphpipe-python"


@pytest.mark.integration
def test_our_codec_on_a_kept_connection(server: Server, predict: Callable[[Any], Any]) -> None:
    """What the measuring sends: prepared requests of several sizes, again and again on one connection."""
    connection = server.connect()
    for batch_size in (1, 3, 128, 1):
        images = some_images(batch_size)
        reply = exchange(connection, "POST", "/", *CODEC.encode(images)[:2])
        assert (reply.status, reply.content_type) == (200, RAW)
        np.testing.assert_allclose(CODEC.decode(reply.body), predict(images), atol=1e-6)
    connection.close()


def bad_requests(convert: ModuleType) -> dict[str, tuple[bytes, str]]:
    """By what is wrong with it: a request's body, and a word that the error must say."""

    def request(*tensors: Any, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> bytes:
        return bytes(convert.serialize_infer_request(convert.InferReq(None, list(tensors), list(inputs), list(outputs))))

    good = some_images(1)
    return {
        "wrong width": (request(good[:, :783]), "784"),
        "one dimension": (request(good[0]), "784"),
        "float64": (request(good.astype(np.float64)), "float32"),
        "whole numbers": (request(np.ones((1, 784), np.uint8)), "float32"),
        "empty batch": (request(np.empty((0, 784), np.float32)), "784"),
        "no tensor": (request(), "1 input tensor"),
        "two tensors": (request(good, good), "1 input tensor"),
        "wrong input name": (request(good, inputs=("pixels",)), "'images'"),
        "wrong output name": (request(good, outputs=("labels",)), "'scores'"),
        "an answer": (CODEC.encode_answer(good), ""),
        "garbage": (b"garbage" * 100, "flatbuffer"),
        "zeros": (bytes(1000), ""),
        "nothing": (b"", "flatbuffer"),
        "cut off": (CODEC.encode(good)[0][:-400], ""),
        "JSON": (b'{"instances": [[0.5]]}', "flatbuffer"),
    }


@pytest.mark.integration
def test_bad_input_is_refused_and_named(server: Server, convert: ModuleType) -> None:
    """A 400 whose JSON names the problem; the server answers the next request as ever."""
    for name, (body, problem) in bad_requests(convert).items():
        reply = server.ask("POST", "/", body, RAW)
        assert (reply.status, reply.content_type) == (400, "application/json"), name
        assert problem in json.loads(reply.body)["error"], name
        assert_lives(server)


@pytest.mark.integration
def test_the_stock_client_is_told_of_errors(server: Server, remote: ModuleType) -> None:
    """Its own error handling sees a refusal as what it is."""
    with pytest.raises(requests.HTTPError, match="400"):
        remote.execute(f"http://127.0.0.1:{server.port}/", some_images(1)[:, :10])


def assert_lives(server: Server) -> None:
    """It still answers a real prediction."""
    assert server.ask("POST", "/", *CODEC.encode(some_images(1))[:2]).status == 200


def _response(convert: ModuleType, values: Any) -> bytes:
    """An InferResponse of one tensor of any kind, from the package's own generated code."""
    InferResponse = _stock("graphpipe.graphpipefb.InferResponse")  # noqa: N806
    builder = flatbuffers.Builder(1024)
    tensor = convert.make_tensor(builder, values)
    InferResponse.InferResponseStartOutputTensorsVector(builder, 1)
    builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    InferResponse.InferResponseStart(builder)
    InferResponse.InferResponseAddOutputTensors(builder, tensors)
    return bytes(convert.output(builder, InferResponse.InferResponseEnd(builder)))


def _response_with_error(convert: ModuleType, message: str) -> bytes:
    """An InferResponse that holds an error, from the package's own generated code."""
    Error, InferResponse = _stock("graphpipe.graphpipefb.Error"), _stock("graphpipe.graphpipefb.InferResponse")  # noqa: N806
    builder = flatbuffers.Builder(1024)
    text = builder.CreateString(message)
    Error.ErrorStart(builder)
    Error.ErrorAddCode(builder, 3)
    Error.ErrorAddMessage(builder, text)
    error = Error.ErrorEnd(builder)
    InferResponse.InferResponseStartErrorsVector(builder, 1)
    builder.PrependUOffsetTRelative(error)
    errors = builder.EndVector()
    InferResponse.InferResponseStart(builder)
    InferResponse.InferResponseAddErrors(builder, errors)
    return bytes(convert.output(builder, InferResponse.InferResponseEnd(builder)))
