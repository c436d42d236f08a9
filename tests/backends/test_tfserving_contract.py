"""The measuring side against a stand-in of TensorFlow Serving, REST and gRPC: readiness, right and wrong answers, errors."""

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import orjson
import pytest
import requests

from bench.contract.errors import ErrorStatus, ExchangeError
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint
from bench.protocols import _tfserving_pb2 as messages
from bench.protocols import codec as named_codec
from bench.transports.connect import open_connection
from fixtures.fleet.readiness import check_status
from fixtures.model.load import open_model, proved
from fixtures.specs.manifest import load_spec
from tests.backends.contract import BACKENDS, exchange, started
from tests.bench.scripted import PREDICT, WIDTH, ScriptedSystem, little_dataset
from tests.fixtures.signatures import SERVED
from tests.flat import flat_codec as codec
from tests.flat import images_of
from tests.standins.serving import on_two_ports
from tests.standins.tfserving import METHOD, TfServing, tfserving
from tests.standins.tfserving_model import ServedModel
from tests.standins.tfserving_rest import RestServer

SPEC = load_spec(BACKENDS / "tensorflow-serving" / "backend.toml")
REST, GRPC = SPEC.backend.endpoints


@pytest.fixture
def server() -> Iterator[TfServing]:
    """A running stand-in."""
    with tfserving(ServedModel(PREDICT, WIDTH)) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[TfServing]:
    """One stand-in for the tests that change nothing in it."""
    with tfserving(ServedModel(PREDICT, WIDTH)) as running:
        yield running


@pytest.fixture
def images() -> FloatArray:
    """Three images of the little dataset."""
    return images_of(little_dataset())[:3]


def system(server: TfServing, endpoint: Endpoint) -> ScriptedSystem:
    """The stand-in as a started backend with this endpoint."""
    return started(endpoint, server.grpc_port if "grpc" in endpoint.protocol else server.rest_port)


def test_its_status_is_read_as_the_manifest_says(server: TfServing) -> None:
    """[ready.status] of the backend.toml: LOADING is not ready, AVAILABLE is, and a model of another name never gets there."""
    assert SPEC.status is not None
    server.model.available = False
    with pytest.raises(ErrorStatus, match=r"""(?s)expected '"AVAILABLE"', seen HTTP status 200: .*LOADING"""):
        check_status(system(server, REST), SPEC.status)
    server.model.available = True
    check_status(system(server, REST), SPEC.status)
    server.model.name = "other"
    with pytest.raises(ErrorStatus, match=r"seen HTTP status 404: .*Could not find any versions of model emnist"):
        check_status(system(server, REST), SPEC.status)


def rest(document: object) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


ROW = [0.5] * WIDTH


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "JSON Parse error: The document is empty"),
        (b'{"instances": [[0.5', 400, "JSON Parse error: Invalid value. at offset: "),
        (rest([ROW]), 400, "Is not object"),
        (rest({}), 400, "Missing 'inputs' or 'instances' key"),
        (rest({"instances": [ROW], "inputs": [ROW]}), 400, "expecting only one of 'inputs' or 'instances' keys"),
        (rest({"instances": 0.5}), 400, "Excepting 'instances' to be an list/array"),
        (rest({"instances": []}), 400, "No values in 'instances' array"),
        (rest({"instances": [ROW[1:]]}), 400, f"Matrix size-incompatible: In[0]: [1,{WIDTH - 1}], In[1]: [{WIDTH},512]"),
        (rest({"instances": [0.5, 0.5]}), 400, "In[0] and In[1] has different ndims"),
        (rest({"instances": [ROW, ROW[1:]]}), 400, f"Expecting tensor size: {WIDTH} but got: {WIDTH - 1}"),
        (rest({"instances": [[*ROW[1:], "0.5"]]}), 400, 'JSON Value: "0.5" Type: String is not of expected type: float'),
        (rest({"instances": [[*ROW[1:], [0.5]]]}), 400, "Encountered list at unexpected level: 1 expected < 1"),
        (rest({"instances": [{"pixels": ROW}]}), 400, "JSON object: does not have named input: pixels"),
        (rest({"inputs": {"pixels": [ROW]}}), 400, "Missing named input: images in 'inputs' object."),
        (rest({"inputs": [ROW, ROW[1:]]}), 400, "Encountered list at unexpected size"),
        (rest({"signature_name": 1, "instances": [ROW]}), 400, "'signature_name' key must be a string value."),
        (rest({"signature_name": "x", "instances": [ROW]}), 400, 'Serving signature name: "x" not found in signature def'),
    ],
)
def test_rest_refusals_reach_us_as_the_server_words_them(shared: TfServing, body: bytes, status: int, words: str) -> None:
    """Bad input is an ErrorStatus with HTTP's number and the text of {"error": ...}."""
    with pytest.raises(ErrorStatus, match=f"HTTP status {status}") as refused:
        exchange(system(shared, REST), body)
    assert words in str(refused.value).encode().decode("unicode_escape")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/emnist/versions/7:predict", 404, "Servable not found for request: Specific(emnist, 7)"),
        ("/v1/models/emnist", 400, "Malformed request: POST /v1/models/emnist"),
        ("/predict", 404, "(nothing)"),
    ],
)
def test_a_wrong_path_is_told(shared: TfServing, path: str, status: int, words: str) -> None:
    """A misspelt model or path in a backend.toml shows itself in the error."""
    wrong = Endpoint("tensorflow-serving", "rest", "v1-json", path, 8501)
    with pytest.raises(ErrorStatus, match=f"HTTP status {status}") as refused:
        exchange(system(shared, wrong), rest({"instances": [ROW]}))
    assert words in str(refused.value)


def predict_request(**changes: object) -> bytes:
    """A right PredictRequest, but for `changes`: of the tensor, of the spec, or of the names."""
    tensor = messages.TensorProto(dtype=messages.DT_FLOAT, float_val=ROW)
    tensor.tensor_shape.dim.add().size = 1
    tensor.tensor_shape.dim.add().size = int(str(changes.get("columns", WIDTH)))
    if "dtype" in changes:
        tensor.dtype = messages.DT_INVALID
    names = changes.get("inputs", ["images"])
    assert isinstance(names, list)
    spec = messages.ModelSpec(name=str(changes.get("name", "emnist")), signature_name=str(changes.get("signature", "")))
    if "version" in changes:
        spec.version.value = int(str(changes["version"]))
    outputs = [str(changes["output"])] if "output" in changes else []
    request = messages.PredictRequest(model_spec=spec, inputs=dict.fromkeys(names, tensor), output_filter=outputs)
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", "INVALID_ARGUMENT", "Missing ModelSpec"),
        (b"\xff garbage", "INTERNAL", ""),
        (predict_request(name="other"), "NOT_FOUND", "Servable not found for request: Latest(other)"),
        (predict_request(version=7), "NOT_FOUND", "Servable not found for request: Specific(emnist, 7)"),
        (predict_request(signature="x"), "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        (predict_request(inputs=[]), "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({images})."),
        (predict_request(inputs=["images", "more"]), "INVALID_ARGUMENT", "Sent extra: {more}. Missing but required: {}."),
        (predict_request(inputs=["pixels"]), "INVALID_ARGUMENT", "input tensor alias not found in signature: pixels."),
        (predict_request(output="labels"), "INVALID_ARGUMENT", "output tensor alias not found in signature: labels"),
        (predict_request(dtype=0), "INVALID_ARGUMENT", "Expects arg[0] to be float"),
        (predict_request(columns=WIDTH - 1), "INVALID_ARGUMENT", "tensor parsing error: images"),
        (predict_request(columns=-WIDTH), "INVALID_ARGUMENT", "tensor parsing error: images"),
    ],
)
def test_grpc_refusals_reach_us_as_the_server_words_them(shared: TfServing, body: bytes, code: str, words: str) -> None:
    """Bad input is an ErrorStatus with gRPC's code and the server's message."""
    with pytest.raises(ErrorStatus, match=f"gRPC status {code}: ") as refused:
        exchange(system(shared, GRPC), body)
    assert words in str(refused.value)


def test_another_grpc_method_is_unimplemented(shared: TfServing) -> None:
    """A misspelt path in a backend.toml shows itself in the error."""
    wrong = Endpoint("tensorflow-serving", "grpc", "tfserving-grpc", "/tensorflow.serving.PredictionService/Run", 8500)
    with pytest.raises(ErrorStatus, match="UNIMPLEMENTED"):
        exchange(system(shared, wrong), predict_request())


def test_rows_columns_names_and_signatures_are_one(shared: TfServing, images: FloatArray) -> None:
    """Each documented form of a request gives the same scores, by REST and by gRPC, to the float."""
    rows = images.tolist()
    expected = codec("tfserving-grpc").decode(exchange(system(shared, GRPC), codec("tfserving-grpc").encode(images)[0]))
    np.testing.assert_array_equal(expected, PREDICT(images))
    for document, key in (
        ({"instances": rows}, "predictions"),
        ({"instances": [{"images": row} for row in rows]}, "predictions"),
        ({"inputs": rows}, "outputs"),
        ({"inputs": {"images": rows}}, "outputs"),
        ({"signature_name": "serving_default", "instances": rows}, "predictions"),
        ({"signature_name": "predict", "instances": rows}, "predictions"),
    ):
        answer = json.loads(exchange(system(shared, REST), rest(document)))
        assert list(answer) == [key]
        np.testing.assert_array_equal(np.array(answer[key], dtype=np.float32), expected)


def get(server: TfServing, path: str) -> requests.Response:
    with requests.Session() as control:
        control.trust_env = False
        return control.get(f"http://127.0.0.1:{server.rest_port}{path}", timeout=10)


def test_status_and_metadata(server: TfServing) -> None:
    """The model's state, and its signatures, as the REST documentation shows them."""
    assert get(server, "/v1/models/emnist").json() == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]
    }
    signatures = get(server, "/v1/models/emnist/metadata").json()["metadata"]["signature_def"]["signature_def"]
    sizes = [dim["size"] for dim in signatures["serving_default"]["inputs"]["images"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", str(WIDTH)]
    assert signatures["predict"]["method_name"] == "tensorflow/serving/predict"
    server.model.available = False
    assert get(server, "/v1/models/emnist/versions/1").json()["model_version_status"][0]["state"] == "LOADING"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/models/other", 404, "Could not find any versions of model other"),
        ("/v1/models/emnist/versions/7", 404, "Could not find version 7 of model emnist"),
        ("/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/emnist:predict", 400, "Malformed request: GET /v1/models/emnist:predict"),
    ],
)
def test_control_errors(shared: TfServing, path: str, status: int, error: str) -> None:
    """What is not there is said in JSON."""
    reply = get(shared, path)
    assert (reply.status_code, reply.json()) == (status, {"error": error})


def test_a_server_that_is_gone_is_a_lost_connection(images: FloatArray) -> None:
    """Not an answer of any kind: the campaign counts it as such."""
    with tfserving(ServedModel(PREDICT, WIDTH)) as running:
        gone = system(running, REST)
        transport = open_connection(gone.endpoints["rest"])
    with pytest.raises(ExchangeError, match="cannot connect"):
        transport.connect()


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
    with on_two_ports(RestServer(ServedModel(PREDICT, WIDTH)), METHOD, answer) as (_, port):
        seen = wire.decode(exchange(started(GRPC, port), wire.encode(inputs)[0]))
    np.testing.assert_array_equal(seen[spec.name], model.predictor(inputs)[spec.name])
