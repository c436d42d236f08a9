"""The servers' shared parts as functions: what they read is what the codecs write, and the other way round."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.contract.tensors import FloatArray
from bench.protocols import codec
from fixtures.serving import wire
from fixtures.serving.batching import run_together
from fixtures.serving.model import BadRequest, checked_images
from fixtures.serving.onnx_model import OnnxModel
from tests.backends.launch import some_images, tiny_model

IMAGES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.integers(1, 30)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(images=IMAGES)
def test_servers_read_what_the_codecs_write(images: FloatArray) -> None:
    """Both wire formats, and both JSON parsers, give the very bits that were encoded."""
    as_json, as_raw = codec("v1-json").encode(images)[0], codec("raw-float32").encode(images)[0]
    np.testing.assert_array_equal(wire.read_json(as_json, json.loads), images)
    np.testing.assert_array_equal(wire.read_json(as_json, orjson.loads), images)
    np.testing.assert_array_equal(wire.read_raw(as_raw), images)


@given(scores=IMAGES)
def test_codecs_read_what_the_servers_write(scores: FloatArray) -> None:
    """Scores survive the way back, also as the long decimals that Python's json writes."""
    np.testing.assert_array_equal(codec("raw-float32").decode(wire.write_raw(scores)), scores)
    np.testing.assert_array_equal(codec("v1-json").decode(json.dumps({"predictions": scores.tolist()}).encode()), scores)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [((0, 784), "0, 784"), ((784,), "784"), ((2, 28, 28), "28")],
)
def test_batches_of_another_shape_are_refused(shape: tuple[int, ...], problem: str) -> None:
    """What the model could not take is told with what it could."""
    with pytest.raises(BadRequest, match=problem):
        checked_images(np.zeros(shape, dtype=np.float32), 784)


def test_a_server_without_a_model_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start without MODEL_PATH ends in one line that names it."""
    monkeypatch.delenv("MODEL_PATH", raising=False)
    with pytest.raises(SystemExit, match="MODEL_PATH is not set"):
        OnnxModel()


def test_what_is_computed_together_is_each_ones_own(tmp_path: Path) -> None:
    """Requests of several sizes in one run: each gets its rows, in order."""
    model = OnnxModel(str(tiny_model(tmp_path / "tiny.onnx")))
    asked = [some_images(size) for size in (1, 3, 1, 128, 2)]
    for images, scores in zip(asked, run_together(model, asked), strict=True):
        np.testing.assert_allclose(scores, model.run(images), atol=1e-6)


def test_one_request_is_one_run(tmp_path: Path) -> None:
    """Nothing is joined where nobody else waits, and a request of another width is refused."""
    model = OnnxModel(str(tiny_model(tmp_path / "tiny.onnx")))
    (scores,) = run_together(model, [some_images(4)])
    np.testing.assert_array_equal(scores, model.run(some_images(4)))
    with pytest.raises(BadRequest, match="784"):
        run_together(model, [some_images(2, width=783)])
