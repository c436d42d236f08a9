"""The servers' shared parts as functions: what they read is what the codecs write, and the other way round."""

from __future__ import annotations

import json
from contextlib import suppress
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
from fixtures.serving.model import MAX_BATCH, BadRequest, checked_images
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


@given(body=st.binary(max_size=100))
def test_any_bytes_are_images_or_a_bad_request(body: bytes) -> None:
    """No input reaches a server's error 500."""
    for read in (wire.read_raw, lambda data: wire.read_json(data, orjson.loads), lambda data: wire.read_json(data, json.loads)):
        with suppress(BadRequest):
            read(body)


@pytest.mark.parametrize("seen", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_content_types_are_compared_without_parameters(seen: str) -> None:
    """Case and parameters of a content type say nothing about its body."""
    wire.require_content_type(seen, wire.JSON)


@pytest.mark.parametrize(
    ("shape", "problem"),
    [((0, 784), "empty"), ((MAX_BATCH + 1, 784), "at most 4096 images, seen 4097"), ((784,), "784"), ((2, 28, 28), "28")],
)
def test_batches_of_another_shape_are_refused(shape: tuple[int, ...], problem: str) -> None:
    """What the model could not take is told with what it could."""
    with pytest.raises(BadRequest, match=problem):
        checked_images(np.zeros(shape, dtype=np.float32), 784)


def test_the_largest_batch_is_taken(tmp_path: Path) -> None:
    """The limit itself is allowed, and each row is its own image's scores."""
    model = OnnxModel(str(tiny_model(tmp_path / "tiny.onnx")))
    images = some_images(MAX_BATCH)
    scores = model.run(images)
    assert (model.width, model.classes, scores.shape) == (784, 62, (MAX_BATCH, 62))
    np.testing.assert_allclose(scores[-1:], model.run(images[-1:]), atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)


def test_a_server_without_a_model_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start without MODEL_PATH ends in one line that names it."""
    monkeypatch.delenv("MODEL_PATH", raising=False)
    with pytest.raises(SystemExit, match="MODEL_PATH is not set"):
        OnnxModel.from_environment()


def test_what_is_computed_together_is_each_ones_own(tmp_path: Path) -> None:
    """Requests of several sizes in one run: each gets its rows, in order, and what is refused harms nobody."""
    model = OnnxModel(str(tiny_model(tmp_path / "tiny.onnx")))
    sizes = (1, 3, 1, 128, 2)
    asked: list[FloatArray | BadRequest] = [*map(some_images, sizes), some_images(2, width=783), BadRequest(400, "broken JSON")]
    answers = run_together(model, asked)
    for images, scores in zip(asked[:5], answers[:5], strict=True):
        assert not isinstance(images, BadRequest)
        assert not isinstance(scores, BadRequest)
        np.testing.assert_allclose(scores, model.run(images), atol=1e-6)
    assert [str(answer) for answer in answers[5:]] == ["expected images of shape [n, 784], seen [2, 783]", "broken JSON"]


@pytest.mark.parametrize("asked", [[], [BadRequest(400, "no")]])
def test_nothing_to_compute_is_computed_by_nobody(tmp_path: Path, asked: list[FloatArray | BadRequest]) -> None:
    """Where all are refused, or nobody asks."""
    assert run_together(OnnxModel(str(tiny_model(tmp_path / "tiny.onnx"))), asked) == asked


def test_too_much_for_one_run_is_computed_one_by_one(tmp_path: Path) -> None:
    """Each request is within the limit, all together are not."""
    model = OnnxModel(str(tiny_model(tmp_path / "tiny.onnx")))
    asked = [some_images(MAX_BATCH), some_images(1)]
    for images, scores in zip(asked, run_together(model, asked), strict=True):
        assert not isinstance(scores, BadRequest)
        np.testing.assert_allclose(scores, model.run(images), atol=1e-6)
