"""What a server that runs already is asked of itself: the same over gRPC as over HTTP, and what it does not know is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.contract.wire import Endpoint
from bench.verification.endpoint_facts import endpoint_facts
from fixtures.specs.attached import url_specs
from tests.standins.elsewhere import Elsewhere, elsewhere
from tests.standins.tfserving import ServedModel, tfserving

MODEL = Path(__file__).parents[3] / "fixtures" / "model" / "emnist-mlp.onnx"


@pytest.fixture(scope="module")
def served() -> Iterator[Elsewhere]:
    with elsewhere(Elsewhere(MODEL)) as running:
        yield running


def endpoints_of(served: Elsewhere, model: str) -> list[Endpoint]:
    """The same server in both forms of V2."""
    http = f"v2-json@http://127.0.0.1:{served.rest_port}/v2/models/{model}"
    grpc = f"v2-grpc@grpc://127.0.0.1:{served.grpc_port}/{model}"
    return [spec.backend.endpoints[0] for spec in url_specs([f"http={http}", f"grpc={grpc}"])]


def test_v2_says_the_same_over_grpc(served: Elsewhere) -> None:
    """Name, versions, platform, inputs and outputs."""
    http, grpc = (endpoint_facts(each) for each in endpoints_of(served, "emnist"))
    said = {name: grpc[name] for name in ("model", "versions", "platform", "inputs", "outputs")}
    assert said == {name: http[name] for name in said}
    assert said["inputs"] == ["images FP32 [-1, 784]"]


def test_a_model_that_is_not_there_is_a_problem_of_both(served: Elsewhere) -> None:
    """With the server's word for it, and without a signature."""
    http, grpc = (endpoint_facts(each) for each in endpoints_of(served, "other"))
    assert "HTTP status 404" in http["problem"]
    assert "NOT_FOUND" in grpc["problem"]
    assert not {"inputs", "outputs"} & (http.keys() | grpc.keys())


@pytest.mark.parametrize("model", ["emnist", "other"])
def test_tensorflow_serving_says_the_same_over_grpc(model: str) -> None:
    """Name, inputs and outputs, or that there is no such model."""
    with tfserving(ServedModel(lambda images: images[:, :62], width=784)) as served:
        http = f"v1-json@http://127.0.0.1:{served.rest_port}/v1/models/{model}:predict"
        grpc = f"tfserving-grpc@grpc://127.0.0.1:{served.grpc_port}/{model}"
        over = [endpoint_facts(spec.backend.endpoints[0]) for spec in url_specs([f"http={http}", f"grpc={grpc}"])]
    if model == "other":
        assert all(f"Could not find any versions of model {model}" in facts["problem"] for facts in over)
        return
    names = ("model", "inputs", "outputs")
    assert {name: over[1][name] for name in names} == {name: over[0][name] for name in names}
    assert over[1]["inputs"] == ["images DT_FLOAT [-1, 784]"]
    assert over[1]["outputs"] == ["scores DT_FLOAT [-1, 62]"]
