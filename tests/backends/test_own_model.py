"""The house's own servers serve any model of tensors: every protocol that can carry it gives the reference's answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.contract.errors import NotCarried
from bench.contract.system import Model
from bench.contract.tensors import Array, Tensors, chosen
from bench.protocols import codec
from bench.statistics import Magnitude, differences, tolerance_of
from fixtures.model.load import open_model, proved
from tests.backends.launch import Server, running
from tests.fixtures.models import convolutional, linear
from tests.fixtures.signatures import SERVED, floats

pytestmark = pytest.mark.integration


def _with_inputs(make: Callable[[Path], Path], *shape: int) -> Callable[[Path], dict[str, Array]]:
    def made(path: Path) -> dict[str, Array]:
        make(path)
        return {"x": floats(12, *shape)}

    return made


MODELS: dict[str, Callable[[Path], dict[str, Array]]] = {
    **SERVED,
    "convolutional": _with_inputs(convolutional, 1, 28, 28),
    "regression": _with_inputs(lambda path: linear(path, width=30, outputs=1, scale=100.0), 30),
}
NOT_RAW = {"transformer", "label-and-scores", "scalar-side-input", "recurrent-state"}
"""Of several inputs or outputs."""


@pytest.mark.parametrize("name", ["transformer", "label-and-scores", "recurrent-state", "float16"])
def test_graphpipes_tensors_are_typed_and_several(name: str, tmp_path: Path) -> None:
    """By the package's own helpers on the server's side."""
    inputs = MODELS[name](tmp_path / "m.onnx")
    model = proved(open_model(tmp_path / "m.onnx"), inputs, [1])
    with running("graphpipe-python", tmp_path / "server", Path(model.path), signature=model.signature) as server:
        asked = chosen(inputs, model.signature.inputs, [4])
        check(model, asked, exchanged(server, "graphpipe", "graphpipe", model, asked))


@pytest.mark.parametrize("backend", ["flask", "fastapi"])
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_the_models(backend: str, name: str, tmp_path: Path) -> None:
    """One item and several over both protocols, all outputs; `raw` has room for one array each way."""
    inputs = MODELS[name](tmp_path / "m.onnx")
    model = proved(open_model(tmp_path / "m.onnx"), inputs, [1, 5])
    with running(backend, tmp_path / backend, Path(model.path), signature=model.signature) as server:
        for endpoint, protocol in (("rest", "v1-json"), ("raw", "raw")):
            if protocol == "raw" and name in NOT_RAW:
                with pytest.raises(NotCarried, match=r"it has one (in|out)put, the model 2"):
                    codec("raw", model.signature)
                continue
            for items in ([0], [3, 1, 4, 1, 5]):
                if model.signature.takes(len(items)):
                    asked = chosen(inputs, model.signature.inputs, items)
                    check(model, asked, exchanged(server, endpoint, protocol, model, asked))
        refused = server.ask("POST", server.path("rest"), b'{"instances": [], "inputs": {}}', "application/json")
        assert refused.status == 400
        assert "expected" in json.loads(refused.body)["error"]


def exchanged(server: Server, endpoint: str, protocol: str, model: Model, asked: Tensors) -> Tensors:
    """All outputs, as the client reads them."""
    wire = codec(protocol, model.signature)
    body, content_type, _ = wire.encode(asked)
    reply = server.ask("POST", server.path(endpoint), body, content_type)
    assert reply.status == 200, reply.body[:500]
    return wire.decode(reply.body)


def check(model: Model, asked: Tensors, seen: Tensors) -> None:
    """Each output is the reference's, as a run would judge it."""
    expected = model.predictor(asked)
    assert [*seen] == [*expected]
    for name, values in expected.items():
        assert (seen[name].dtype, seen[name].shape) == (values.dtype, values.shape)
        ours, theirs = np.atleast_1d(seen[name]), np.atleast_1d(values)
        assert (differences(ours, theirs) <= tolerance_of(values.dtype) * Magnitude.of(theirs).units(theirs)).all()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"instances": [{"input_ids": [1, 2]}]}, "objects with ['input_ids', 'attention_mask']"),
        (
            {"instances": [{"input_ids": [1] * 16, "attention_mask": [1] * 15}]},
            "expected attention_mask int64 [n, 16], seen int64",
        ),
        (
            {"instances": [{"input_ids": [0.5] * 16, "attention_mask": [1] * 16}]},
            "expected input_ids int64 [n, 16], seen float64",
        ),
        ({"instances": [{"input_ids": [1] * 16, "attention_mask": ["1"] * 16}]}, "expected attention_mask int64"),
        ({"instances": [[1] * 16]}, "objects with"),
        ({"inputs": {}}, "instances"),
    ],
)
def test_what_does_not_fit_is_named(transformer: Server, document: object, told: str) -> None:
    """A 400 that says what was expected and what was seen."""
    reply = transformer.ask("POST", transformer.path("rest"), json.dumps(document).encode(), "application/json")
    assert reply.status == 400
    assert told in json.loads(reply.body)["error"]


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Flask with the model of two inputs."""
    folder = tmp_path_factory.mktemp("transformer")
    inputs = SERVED["transformer"](folder / "m.onnx")
    model = proved(open_model(folder / "m.onnx"), inputs, [1])
    with running("flask", folder / "flask", Path(model.path), signature=model.signature) as server:
        yield server
