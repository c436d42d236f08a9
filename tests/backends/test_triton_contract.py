"""The measuring side against a stand-in of Triton, in all three forms: readiness, right and wrong answers, errors."""

from collections.abc import Iterator

import pytest

from bench.contract.errors import ErrorStatus, MalformedAnswer
from bench.contract.wire import Endpoint
from bench.verification.probe import Probe
from fixtures.fleet.readiness import check_status
from fixtures.specs.manifest import load_spec
from tests.backends.contract import BACKENDS, behind, exchange
from tests.bench.scripted import PREDICT, WIDTH, ScriptedSystem, little_dataset, little_factory
from tests.flat import flat_codec as codec
from tests.flat import images_of
from tests.standins.serving import Served
from tests.standins.tfserving import ServedModel as TensorFlowModel
from tests.standins.tfserving import tfserving
from tests.standins.triton import ServedModel, triton

SPEC = load_spec(BACKENDS / "triton-image" / "backend.toml")
OPENVINO = load_spec(BACKENDS / "openvino-model-server" / "backend.toml")
REST, BINARY, GRPC = ENDPOINTS = SPEC.backend.endpoints
READY = Probe(little_factory(), [1])


@pytest.fixture
def server() -> Iterator[Served]:
    """A running stand-in."""
    with triton(ServedModel(PREDICT, WIDTH)) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One stand-in for the tests that change nothing in it."""
    with triton(ServedModel(PREDICT, WIDTH)) as running:
        yield running


def test_the_two_tritons_are_asked_alike() -> None:
    """Out of the wheel and out of the image: the same endpoints, protocols and paths."""
    wheel = load_spec(BACKENDS / "triton" / "backend.toml")
    assert [(each.name, each.protocol, each.path) for each in wheel.backend.endpoints] == [
        (each.name, each.protocol, each.path) for each in ENDPOINTS
    ]


def test_its_status_is_read_as_the_manifest_says(server: Served) -> None:
    """[ready.status] of the backend.toml: an error is not ready, the model's metadata is."""
    assert SPEC.status is not None
    server.model.available = False
    with pytest.raises(ErrorStatus, match="seen HTTP status 404"):
        check_status(behind(REST, server), SPEC.status)
    server.model.available = True
    check_status(behind(REST, server), SPEC.status)


def test_json_instead_of_binary_is_never_ready(server: Served) -> None:
    """A server without the extension that answers JSON all the same would be measured as what it is not."""
    server.model.binary_outputs = False
    with pytest.raises(MalformedAnswer, match="values in JSON"):
        READY(behind(BINARY, server))


def test_values_that_are_listed_over_grpc_are_read(server: Served) -> None:
    """Raw or in the output's contents: both are the protocol's."""
    server.model.raw_outputs = False
    READY(behind(GRPC, server))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v2/models/other/infer", b"{}", "HTTP status 404.*Request for unknown model: 'other' is not found"),
        ("/v2/models/emnist/versions/7/infer", b"{}", "HTTP status 404.*unknown model: 'emnist' version 7 is not found"),
        ("/v2/models/emnist", b"{}", "HTTP status 405.*Method Not Allowed"),
        ("/v2/models/emnist/infer", b'{"inputs": [0.5', "HTTP status 500.*failed to parse the request JSON buffer: "),
    ],
)
def test_rest_refusals_reach_us_as_the_server_words_them(shared: Served, path: str, body: bytes, words: str) -> None:
    """Bad input is an ErrorStatus with HTTP's number and the text of {"error": ...}."""
    with pytest.raises(ErrorStatus, match=words):
        exchange(behind(Endpoint("triton-image", "rest", "v2-json", path, REST.port), shared), body)


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "NOT_FOUND: Request for unknown model: '' is not found"), (b"\xff garbage", "INTERNAL: Unable to parse request")],
)
def test_grpc_refusals_reach_us_as_the_server_words_them(shared: Served, body: bytes, words: str) -> None:
    """Bad input is an ErrorStatus with gRPC's code and the server's message."""
    with pytest.raises(ErrorStatus, match=f"gRPC status {words}"):
        exchange(behind(GRPC, shared), body)


def test_an_unknown_method_is_told(shared: Served) -> None:
    """A misspelt service or method in a backend.toml is UNIMPLEMENTED."""
    wrong = Endpoint("triton-image", "grpc", "v2-grpc", "/inference.GRPCInferenceService/Infer", GRPC.port)
    with pytest.raises(ErrorStatus, match="UNIMPLEMENTED"):
        exchange(behind(wrong, shared), codec("v2-grpc").encode(images_of(little_dataset())[:1])[0])


def test_openvino_model_server_is_ready_when_both_families_answer_rightly() -> None:
    """TensorFlow Serving's and KServe's protocols, REST and gRPC, as its manifest has them."""
    served = TensorFlowModel(PREDICT, WIDTH, tensor_content=True)
    with tfserving(served) as old, triton(ServedModel(PREDICT, WIDTH)) as new:
        ports = {"v1": old.rest_port, "v1-grpc": old.grpc_port, "v2": new.rest_port, "v2-grpc": new.grpc_port}
        openvino = ScriptedSystem(OPENVINO.backend, None)
        openvino.endpoints = {each.name: each.located("127.0.0.1", ports[each.name]) for each in OPENVINO.backend.endpoints}
        READY(openvino)
        assert OPENVINO.status is not None
        check_status(openvino, OPENVINO.status)
        served.available = False
        with pytest.raises(ErrorStatus, match=r"""expected '"AVAILABLE"'"""):
            check_status(openvino, OPENVINO.status)
