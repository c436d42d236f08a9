"""The real exports: minutes and gigabytes at first, so only where SERVEBENCH_SLOW is set; test_every_backend.py serves them."""

from __future__ import annotations

import os

import pytest

from bench.contract.errors import BackendUnavailable
from fixtures.engines.base import EngineSettings
from fixtures.host.cache import cache_root
from fixtures.host.run_identity import RunIdentity
from fixtures.model.exports import EXPORTERS, MAX_ABS_DIFF, Exports
from fixtures.model.load import load_model
from fixtures.specs.manifest import EXPORT_SCRIPT
from tests.backends.launch import some_images

pytestmark = [pytest.mark.integration, pytest.mark.slow]

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
    return Exports(load_model(), some_images(1000), settings)


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
    assert max_abs_diff <= MAX_ABS_DIFF
