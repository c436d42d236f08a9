"""The measuring side against a stand-in of TensorFlow Serving, REST and gRPC: readiness, right and wrong answers, errors."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from bench.contract.errors import ErrorStatus
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint
from bench.protocols import _tfserving_pb2 as messages
from bench.protocols import codec as named_codec
from fixtures.fleet.readiness import check_status
from fixtures.model.load import open_model, proved
from fixtures.specs.manifest import load_spec
from tests.backends.contract import BACKENDS, behind, exchange, started
from tests.bench.scripted import PREDICT, WIDTH, little_dataset
from tests.fixtures.signatures import SERVED
from tests.flat import flat_codec as codec
from tests.flat import images_of
from tests.standins.serving import Served, methods
from tests.standins.tfserving import METHOD, ServedModel, tfserving

SPEC = load_spec(BACKENDS / "tensorflow-serving" / "backend.toml")
REST, GRPC = SPEC.backend.endpoints
OF_ANOTHER_MODEL = codec("tfserving-grpc").encode(np.zeros((1, WIDTH), np.float32))[0].replace(b"emnist", b"others")


@pytest.fixture
def server() -> Iterator[Served]:
    """A running stand-in."""
    with tfserving(ServedModel(PREDICT, WIDTH)) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One stand-in for the tests that change nothing in it."""
    with tfserving(ServedModel(PREDICT, WIDTH)) as running:
        yield running


@pytest.fixture
def images() -> FloatArray:
    """Three images of the little dataset."""
    return images_of(little_dataset())[:3]


def test_its_status_is_read_as_the_manifest_says(server: Served) -> None:
    """[ready.status] of the backend.toml: LOADING is not ready, AVAILABLE is, and a model of another name never gets there."""
    assert SPEC.status is not None
    server.model.available = False
    with pytest.raises(ErrorStatus, match=r"""(?s)expected '"AVAILABLE"', seen HTTP status 200: .*LOADING"""):
        check_status(behind(REST, server), SPEC.status)
    server.model.available = True
    check_status(behind(REST, server), SPEC.status)
    server.model.name = "other"
    with pytest.raises(ErrorStatus, match=r"seen HTTP status 404: .*Could not find any versions of model emnist"):
        check_status(behind(REST, server), SPEC.status)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/emnist/versions/7:predict", 404, "Servable not found for request: Specific(emnist, 7)"),
        ("/v1/models/emnist", 400, "Malformed request: POST /v1/models/emnist"),
        ("/predict", 404, "(nothing)"),
    ],
)
def test_a_wrong_path_is_told(shared: Served, images: FloatArray, path: str, status: int, words: str) -> None:
    """A misspelt model or path in a backend.toml shows itself in the error."""
    wrong = Endpoint("tensorflow-serving", "rest", "v1-json", path, 8501)
    with pytest.raises(ErrorStatus, match=f"HTTP status {status}") as refused:
        exchange(behind(wrong, shared), codec("v1-json").encode(images)[0])
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\xff garbage", "INTERNAL: "),
        (OF_ANOTHER_MODEL, r"NOT_FOUND: Servable not found for request: Latest\(others\)"),
    ],
)
def test_grpc_refusals_reach_us_as_the_server_words_them(shared: Served, body: bytes, status: str) -> None:
    """Bad input is an ErrorStatus with gRPC's code and the server's message, if it has one."""
    with pytest.raises(ErrorStatus, match=f"gRPC status {status}"):
        exchange(behind(GRPC, shared), body)


def test_another_grpc_method_is_unimplemented(shared: Served) -> None:
    """A misspelt path in a backend.toml shows itself in the error."""
    wrong = Endpoint("tensorflow-serving", "grpc", "tfserving-grpc", "/tensorflow.serving.PredictionService/Run", 8500)
    with pytest.raises(ErrorStatus, match="UNIMPLEMENTED"):
        exchange(behind(wrong, shared), b"")


def test_a_model_of_two_inputs_goes_over_grpc(tmp_path: Path) -> None:
    """Token ids and mask, int64, by name; the server reads them as TensorFlow does and answers with the model's scores."""
    inputs = SERVED["transformer"](tmp_path / "m.onnx")
    model = proved(open_model(tmp_path / "m.onnx"), inputs, [1, 12])
    (spec,) = model.signature.outputs

    def answer(body: bytes, _: grpc.ServicerContext) -> bytes:
        request = messages.PredictRequest.FromString(body)
        assert {tensor.dtype for tensor in request.inputs.values()} == {messages.DT_INT64}
        dims = {name: [dim.size for dim in tensor.tensor_shape.dim] for name, tensor in request.inputs.items()}
        asked = {name: np.frombuffer(request.inputs[name].tensor_content, "<i8").reshape(shape) for name, shape in dims.items()}
        scores = model.predictor(asked)[spec.name]
        shape = messages.TensorShapeProto(dim=[messages.TensorShapeProto.Dim(size=length) for length in scores.shape])
        tensor = messages.TensorProto(dtype=messages.DT_FLOAT, tensor_shape=shape, float_val=scores.ravel().tolist())
        return messages.PredictResponse(outputs={spec.name: tensor}).SerializeToString()

    wire = named_codec(GRPC.protocol, model.signature)
    with methods({METHOD: answer}) as port:
        seen = wire.decode(exchange(started(GRPC, port), wire.encode(inputs)[0]))
    np.testing.assert_array_equal(seen[spec.name], model.predictor(inputs)[spec.name])
