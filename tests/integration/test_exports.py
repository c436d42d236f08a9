"""The real exports: minutes and gigabytes at first, so only where SERVEBENCH_SLOW is set; test_every_backend.py serves them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from bench.contract.errors import BackendUnavailable
from bench.contract.tensors import Array
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe
from fixtures.dataset.random_inputs import random_dataset
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.engines.venv import ensure_venv
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.cache import cache_root
from fixtures.host.preparation import UNWATCHED
from fixtures.host.run_identity import RunIdentity
from fixtures.model.exports import EXPORTERS, Exports, requirements_of_exporter
from fixtures.model.load import load_model, open_model, proved
from fixtures.specs.catalogue import load_specs
from fixtures.specs.manifest import EXPORT_SCRIPT
from tests.backends.launch import some_images
from tests.fixtures.models import FLOAT, Value
from tests.fixtures.signatures import floats, save, write
from tests.flat import INPUT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SPECS = load_specs(EXPORTERS.parent / "backends")
FORMATS = sorted(path.parent.name for path in EXPORTERS.glob(f"*/{EXPORT_SCRIPT}"))
FILES = {
    "frozen": {"model.pb"},
    "model-repository": {"emnist/config.pbtxt", "emnist/1/model.onnx"},
    "nnef": {"graph.nnef"},
    "savedmodel": {"saved_model.pb", "assets.extra/tf_serving_warmup_requests", "variables/variables.index"},
    "torchscript": {"model.pt"},
}


@pytest.fixture(scope="module")
def exports() -> Exports:
    """The project's own exporters, proved on random images, with the real cache."""
    settings = EngineSettings(RunIdentity.new(), (min(os.sched_getaffinity(0)),), cache_root(), print)
    return Exports(load_model(), {INPUT: some_images(1000)}, settings)


@pytest.mark.parametrize("name", FORMATS)
def test_every_export_proves_itself(exports: Exports, name: str) -> None:
    """Made, scored by the format's own runtime in another process, within the tolerance."""
    try:
        export = exports.ensure(name)
    except BackendUnavailable as error:
        if "virtual environment could not be built" not in str(error):
            raise
        pytest.skip(str(error))
    found = {path.relative_to(export.path).as_posix() for path in export.path.rglob("*")}
    assert FILES[name] <= found
    max_abs_diff = export.facts["max_abs_diff"]
    assert isinstance(max_abs_diff, float)
    assert max_abs_diff <= 1e-5


KERAS = """
import sys
import numpy as np
import tensorflow as tf

held = np.load(sys.argv[1])
layers = tf.keras.layers
cnn = tf.keras.Sequential([
    layers.Input((12, 12, 3), name="image"),
    layers.Conv2D(4, 3, activation="relu"),
    layers.GlobalAveragePooling2D(),
    layers.Dense(5, activation="softmax"),
])
cnn.set_weights([held["kernel"], held["bias"], held["dense"], held["dense_bias"]])
spec = tf.TensorSpec((None, 12, 12, 3), tf.float32, name="image")
serve = tf.function(lambda image: {"scores": cnn(image)}, input_signature=[spec])
tf.saved_model.save(cnn, sys.argv[2], signatures={"serving_default": serve.get_concrete_function()})
"""


def cnn(folder: Path, weights: Mapping[str, Array]) -> Path:
    """A small CNN of Keras's kind in ONNX: NHWC pictures, kernels [h, w, in, out] -> scores."""
    held = {**weights, "kernel": np.transpose(weights["kernel"], (3, 2, 0, 1))}
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "kernel", "bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "dense", "dense_bias"], ["z"]),
        helper.make_node("Softmax", ["z"], ["scores"], axis=1),
    ]
    given: dict[str, Value] = {"image": (FLOAT, ["N", 12, 12, 3])}
    return write(folder / "cnn.onnx", nodes, given, {"scores": (FLOAT, ["N", 5])}, held)


def test_a_given_savedmodel_is_proved_and_served(tmp_path: Path) -> None:
    """A Keras CNN beside its ONNX file, by flask-tensorflow; one with another weight is refused with item and difference."""
    settings = EngineSettings(RunIdentity.new(), (min(os.sched_getaffinity(0)),), cache_root(), print)
    requirements = requirements_of_exporter(EXPORTERS / "savedmodel")
    python = ensure_venv("export savedmodel", requirements, settings.cache, settings.run.variables, UNWATCHED).python
    weights = {"kernel": floats(3, 3, 3, 4), "bias": floats(4, seed=1), "dense": floats(4, 5, seed=2), "dense_bias": floats(5)}
    inputs = {"image": floats(20, 12, 12, 3, seed=3)}
    model = proved(open_model(cnn(tmp_path, weights)), inputs, [1, 8])
    (tmp_path / "small_cnn.py").write_text(KERAS)
    for name, bias in (("good", weights["bias"]), ("other", weights["bias"] + np.float32(0.01))):
        save(tmp_path / f"{name}.npz", {**weights, "bias": bias})
        subprocess.run([python, "small_cnn.py", f"{name}.npz", name], cwd=tmp_path, check=True, timeout=300)
    other = Exports(model, inputs, settings, {"savedmodel": tmp_path / "other"})
    with pytest.raises(
        BackendUnavailable, match=r"refused: expected every scores within 0\.0001 .* on 20 items, first on item 0 by"
    ):
        other.ensure("savedmodel")
    exports = Exports(model, inputs, settings, {"savedmodel": tmp_path / "good"})
    factory = PayloadFactory(random_dataset(model.signature, inputs, 20), model)
    with LocalFleet([SPECS["flask-tensorflow"]], ProcessEngine(settings), model, settings, exports.ensure) as fleet:
        fleet.start(["flask-tensorflow"], Probe(factory, [1]))
        assert not fleet.absent
        facts = fleet.running["flask-tensorflow"].facts.exports
        assert facts is not None
        assert facts["savedmodel"]["given"] == "good"
