"""The house's own servers serve models that are not EMNIST's: other widths, other shapes, one output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.contract.system import Model
from bench.contract.tensors import FloatArray
from bench.protocols import codec
from fixtures.model.load import load_model
from tests.backends.launch import nnef_model, running
from tests.fixtures.models import convolutional, linear

pytestmark = pytest.mark.integration

MODELS: dict[str, Callable[[Path], Path]] = {
    "convolutional": convolutional,
    "narrow": lambda path: linear(path, width=3, outputs=2),
    "regression": lambda path: linear(path, width=30, outputs=1, scale=100.0),
}


def some(shape: tuple[int, ...]) -> FloatArray:
    return np.random.default_rng(1).random((3, *shape), dtype=np.float32)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    """As a session serves it."""
    return load_model(MODELS[request.param](tmp_path / "mine.onnx"), some, cache=tmp_path / "cache")


@pytest.mark.parametrize("backend", ["flask", "fastapi", "nnef"])
def test_answers_are_the_models(backend: str, model: Model, tmp_path: Path) -> None:
    """One item and several over both protocols: flat rows go in, whatever the model's own input is."""
    exports = {"nnef": nnef_model(Path(model.path), tmp_path / "nnef")} if backend == "nnef" else {}
    with running(backend, tmp_path / backend, Path(model.path), exports=exports) as server:
        for endpoint, protocol in (("rest", "v1-json"), ("raw", "raw-float32")):
            for count in (1, 5):
                items = np.random.default_rng(count).random((count, model.input_width), dtype=np.float32)
                body, content_type, _ = codec(protocol).encode(items)
                reply = server.ask("POST", server.path(endpoint), body, content_type)
                assert reply.status == 200, reply.body
                scores = codec(protocol).decode(reply.body)
                np.testing.assert_allclose(scores, model.predictor(items), rtol=1e-5, atol=1e-5)
