"""The servers' shared parts as functions: what they read is what the codecs write, and the other way round."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.contract.tensors import DTYPES, FREE, FloatArray, Signature, TensorSpec
from bench.protocols import codec
from fixtures.engines.base import signature_text
from fixtures.serving import wire
from fixtures.serving.batching import run_together
from fixtures.serving.model import BadRequest
from fixtures.serving.onnx_model import OnnxModel
from fixtures.serving.signature import Signature as Served
from tests.backends.launch import onnx_model, some_images, tiny_model
from tests.flat import INPUT, OUTPUT, flat_signature

IMAGES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 20), st.integers(1, 30)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


def served(signature: Signature) -> Served:
    """As a server is told."""
    return Served.read(signature_text(signature))


@given(images=IMAGES)
def test_servers_read_what_the_codecs_write(images: FloatArray) -> None:
    """Both wire formats, and both JSON parsers, give the very bits that were encoded."""
    signature = flat_signature(images.shape[1], 2)
    as_json, as_raw = (codec(name, signature).encode({INPUT: images})[0] for name in ("v1-json", "raw"))
    np.testing.assert_array_equal(wire.read_json(served(signature), as_json, json.loads)[INPUT], images)
    np.testing.assert_array_equal(wire.read_json(served(signature), as_json, orjson.loads)[INPUT], images)
    np.testing.assert_array_equal(wire.read_raw(served(signature), as_raw)[INPUT], images)


@given(scores=IMAGES)
def test_codecs_read_what_the_servers_write(scores: FloatArray) -> None:
    """Scores survive the way back, also as the long decimals that Python's json writes."""
    signature = flat_signature(3, scores.shape[1])
    outputs = {OUTPUT: scores}
    np.testing.assert_array_equal(codec("raw", signature).decode(wire.write_raw(outputs))[OUTPUT], scores)
    answer = json.dumps(wire.answer(served(signature), outputs)).encode()
    np.testing.assert_array_equal(codec("v1-json", signature).decode(answer)[OUTPUT], scores)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_both_ways(dtype: str, batched: bool) -> None:
    """Several inputs by name, by row or by column; the largest and the smallest numbers as they are."""
    array, ids = np.array([extremes(dtype), extremes(dtype)[::-1]], dtype=dtype), np.arange(2)
    specs = TensorSpec("a", dtype, (FREE, 2) if batched else (2, 2), batched), TensorSpec("ids", "int64", (FREE,))
    signature = Signature(specs, tuple(replace(spec, name=f"{spec.name}-out") for spec in specs))
    own = served(signature)
    inputs = wire.read_json(own, codec("v1-json", signature).encode({"a": array, "ids": ids})[0], json.loads)
    outputs = {f"{name}-out": values for name, values in own.checked(inputs).items()}
    answer = codec("v1-json", signature).decode(orjson.dumps(wire.answer(own, outputs)))
    for expected, seen in ((array, answer["a-out"]), (ids, answer["ids-out"])):
        assert seen.dtype == expected.dtype
        np.testing.assert_array_equal(seen, expected)


def extremes(dtype: str) -> tuple[float, float]:
    """The largest and the smallest number of that type."""
    if dtype == "bool":
        return True, False
    limits: Any = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    return limits.max, limits.min


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((0, 784), np.float32), r"expected images float32 \[n, 784\], seen float32 \[0, 784\]"),
        (np.zeros(784, np.float32), r"seen float32 \[784\]"),
        (np.zeros((2, 28, 28), np.float32), r"seen float32 \[2, 28, 28\]"),
        (np.zeros((2, 784)), r"seen float64 \[2, 784\]"),
    ],
)
def test_what_is_not_the_models_is_refused(array: FloatArray, told: str) -> None:
    """What the model could not take is told with what it could."""
    with pytest.raises(BadRequest, match=told):
        served(flat_signature(784, 62)).checked({INPUT: array})


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([[300, 0]], "uint8"), ([[1.5, 0]], "int64"), ([[1, 0]], "bool"), ([["1", 0]], "int32"), ([[-1, 0]], "uint16")],
)
def test_numbers_that_the_dtype_has_not_are_refused(values: object, dtype: str) -> None:
    """Nothing is cut, wrapped or rounded."""
    signature = Signature((TensorSpec("x", dtype, (FREE, 2)),), (TensorSpec("y", dtype, (FREE, 2)),))
    with pytest.raises(BadRequest, match=r"expected x .* \[n, 2\]"):
        wire.read_document(served(signature), {"instances": values})


@pytest.mark.parametrize("missing", ["MODEL_PATH", "MODEL_SIGNATURE"])
def test_a_server_without_a_model_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """A start without either variable ends in one line that names it."""
    monkeypatch.setenv("MODEL_PATH", str(tiny_model(tmp_path / "tiny.onnx")))
    monkeypatch.setenv("MODEL_SIGNATURE", signature_text(flat_signature(784, 62)))
    monkeypatch.delenv(missing)
    with pytest.raises(SystemExit, match=f"{missing} is not set"):
        OnnxModel()


def test_what_is_computed_together_is_each_ones_own(tmp_path: Path) -> None:
    """Requests of several sizes in one run: each gets its rows, in order."""
    model = onnx_model(tiny_model(tmp_path / "tiny.onnx"))
    asked = [{INPUT: some_images(size)} for size in (1, 3, 1, 128, 2)]
    for images, outputs in zip(asked, run_together(model, asked), strict=True):
        np.testing.assert_allclose(outputs[OUTPUT], model.run(images)[OUTPUT], atol=1e-6)


def test_one_request_is_one_run(tmp_path: Path) -> None:
    """Nothing is joined where nobody else waits, and a request of another width is refused."""
    model = onnx_model(tiny_model(tmp_path / "tiny.onnx"))
    (outputs,) = run_together(model, [{INPUT: some_images(4)}])
    np.testing.assert_array_equal(outputs[OUTPUT], model.run({INPUT: some_images(4)})[OUTPUT])
    with pytest.raises(BadRequest, match="784"):
        run_together(model, [{INPUT: some_images(2, width=783)}])
