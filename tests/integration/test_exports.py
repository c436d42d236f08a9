"""The real exports and the backends that serve them: minutes and gigabytes at first, so only where SERVEBENCH_SLOW is set."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.contract.errors import BackendUnavailable, ConnectionLost
from bench.contract.system import Model, SystemUnderTest
from bench.contract.tensors import FloatArray
from bench.protocols import codec
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.cache import cache_root
from fixtures.host.run_identity import RunIdentity
from fixtures.model.exports import EXPORTERS, MAX_ABS_DIFF, Exports
from fixtures.model.load import load_model
from fixtures.specs.catalogue import load_specs
from fixtures.specs.manifest import EXPORT_SCRIPT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("SERVEBENCH_SLOW"), reason="SERVEBENCH_SLOW is not set"),
]

FORMATS = sorted(path.parent.name for path in EXPORTERS.glob(f"*/{EXPORT_SCRIPT}"))
FILES = {
    "frozen": {"model.pb"},
    "model-repository": {"emnist/config.pbtxt", "emnist/1/model.onnx"},
    "nnef": {"graph.nnef"},
    "savedmodel": {"saved_model.pb", "assets.extra/tf_serving_warmup_requests", "variables/variables.index"},
    "torchscript": {"model.pt"},
}
BACKENDS = ("flask-tensorflow", "nnef")


def some_images(count: int) -> FloatArray:
    return np.random.default_rng(count).random((count, 784), dtype=np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    """The project's own."""
    return load_model()


@pytest.fixture(scope="module")
def settings() -> EngineSettings:
    """A run with the real cache."""
    return EngineSettings(RunIdentity.new(), (min(os.sched_getaffinity(0)),), cache_root(), print)


@pytest.fixture(scope="module")
def exports(model: Model, settings: EngineSettings) -> Exports:
    """The project's own exporters, proved on random images."""
    return Exports(model, some_images(1000), settings)


@pytest.fixture(scope="module")
def fleet(exports: Exports, model: Model, settings: EngineSettings) -> Iterator[LocalFleet]:
    """The backends that serve an export, as local processes."""
    specs = load_specs(Path(__file__).parents[2] / "fixtures" / "backends")
    chosen = [specs[name] for name in BACKENDS]
    with LocalFleet(chosen, ProcessEngine(settings), model, settings, exports.ensure) as fleet:
        fleet.start(BACKENDS, lambda system: answers(system, model))
        yield fleet


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


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_every_endpoint_gives_the_models_answers(fleet: LocalFleet, model: Model, name: str, batch_size: int) -> None:
    """Whatever serves, the answers are the reference's."""
    check(running(fleet, name), model, batch_size)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"instances": [[0.5] * 783]}, "784"),
        ({"instances": [0.5] * 784}, "784"),
        ({"instances": []}, "empty"),
        ({"instances": [["a"] * 784]}, "numbers"),
        ({"instances": [[0.5] * 784] * 4097}, "at most 4096"),
        ({"images": [[0.5] * 784]}, "instances"),
    ],
)
def test_bad_input_is_refused_and_named(
    fleet: LocalFleet, model: Model, name: str, body: dict[str, object], problem: str
) -> None:
    """A 400 whose JSON names the problem; the server lives on."""
    system = running(fleet, name)
    for endpoint in system.endpoints.values():
        if endpoint.protocol == "v1-json":
            url = f"http://{endpoint.host}:{endpoint.port}{endpoint.path}"
            with pytest.raises(urllib.error.HTTPError) as refused:
                post(url, json.dumps(body).encode(), "application/json")
            with refused.value as answer:
                assert answer.code == 400
                assert problem in json.loads(answer.read())["error"]
    check(system, model, 1)


def running(fleet: LocalFleet, name: str) -> SystemUnderTest:
    """The started backend; skips with its reason where its packages cannot be had."""
    absence = fleet.absent.get(name)
    if absence is not None and not absence.failed and "virtual environment could not be built" in absence.reason:
        pytest.skip(absence.reason)
    assert absence is None, absence.reason
    return fleet.running[name]


def answers(system: SystemUnderTest, model: Model) -> None:
    """A readiness probe; raises ConnectionLost while nobody answers."""
    try:
        check(system, model, 1)
    except OSError as error:
        raise ConnectionLost(f"{system.backend.name}: {error}") from error


def check(system: SystemUnderTest, model: Model, batch_size: int) -> None:
    """Ask every endpoint for a prediction."""
    images = some_images(batch_size)
    for endpoint in system.endpoints.values():
        body, content_type, _ = codec(endpoint.protocol).encode(images)
        answer = post(f"http://{endpoint.host}:{endpoint.port}{endpoint.path}", body, content_type)
        np.testing.assert_allclose(codec(endpoint.protocol).decode(answer), model.predictor(images), atol=MAX_ABS_DIFF)


def post(url: str, body: bytes, content_type: str) -> bytes:
    """One request, on a connection of its own."""
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content
