"""The description of our HTTP servers (fixtures/serving/openapi.json) against their code and their answers."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from bench.protocols import codec
from fixtures.serving.limits import MAX_BODY_BYTES
from fixtures.serving.model import MAX_BATCH, MAX_PIXEL
from fixtures.serving.onnx_model import OnnxModel
from tests.backends.launch import FIXTURES, Server, nnef_model, running, some_images, tiny_model

DOCUMENT = json.loads((FIXTURES / "serving" / "openapi.json").read_text("utf-8"))
METHODS = {"get", "head", "post", "put", "delete", "patch", "options", "trace"}
Operations = set[tuple[str, str]]
"""Path and method."""


def described() -> Operations:
    return {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in ONNX."""
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


def test_flask_has_what_is_described(model: Path) -> None:
    """All of it, and beyond it only the pages for people."""
    flask_app = importlib.import_module("fixtures.serving.flask_app")
    rules = flask_app.create_app(OnnxModel(str(model))).url_map.iter_rules()
    has = {(rule.rule, method.lower()) for rule in rules if rule.endpoint != "static" for method in rule.methods - {"OPTIONS"}}
    assert has - described() == {("/", "get"), ("/", "head"), ("/page", "post")}
    assert described() <= has


def test_fastapi_has_what_is_described(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, and nothing else: no generated documentation either."""
    monkeypatch.setenv("MODEL_PATH", str(model))
    app = importlib.import_module("fixtures.serving.fastapi_app").app
    assert {(route.path, method.lower()) for route in app.routes for method in route.methods} == described()


def test_the_small_server_has_what_is_described(model: Path) -> None:
    """Its routes are posted to; health is its own."""
    routes = importlib.import_module("fixtures.serving.model_routes").model_routes(OnnxModel(str(model)))
    assert {(path, "post") for path in routes} == {each for each in described() if each[1] == "post"}
    for path, route in routes.items():
        assert list(DOCUMENT["paths"][path]["post"]["requestBody"]["content"]) == [route.content_type]


def test_its_limits_are_the_codes() -> None:
    """The numbers in it are those that the servers hold."""
    instances = DOCUMENT["components"]["schemas"]["Images"]["properties"]["instances"]
    assert instances["maxItems"] == MAX_BATCH
    pixel = instances["items"]["items"]
    assert [float(np.float32(pixel[bound])) for bound in ("minimum", "maximum")] == [-MAX_PIXEL, MAX_PIXEL]
    assert np.float32(np.nextafter(pixel["maximum"], np.inf)) > MAX_PIXEL
    assert f"{MAX_BODY_BYTES // 1024 // 1024} MiB" in DOCUMENT["components"]["responses"]["413"]["description"]
    assert f"{MAX_BODY_BYTES // 1024 // 1024} MiB of body, {MAX_BATCH} images" in DOCUMENT["info"]["description"]


@pytest.fixture(scope="module", params=["flask", "fastapi", "nnef"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """A server of each kind."""
    folder = tmp_path_factory.mktemp(request.param)
    exports = {"nnef": nnef_model(model, folder / "nnef")} if request.param == "nnef" else {}
    with running(request.param, folder, model, exports=exports) as started:
        yield started


@pytest.mark.integration
def test_answers_are_as_described(server: Server) -> None:
    """A good request, an empty one and one of another type: each status is described, and so is what it says."""
    json_body, json_type, _ = codec("v1-json").encode(some_images(2))
    raw_body, raw_type, _ = codec("raw-float32").encode(some_images(2))
    for path, body, kind in (
        ("/", json_body, json_type),
        ("/v1/models/emnist:predict", json_body, json_type),
        ("/raw", raw_body, raw_type),
    ):
        for sent, content_type, status in ((body, kind, 200), (b"", kind, 400), (body, "text/csv", 415)):
            reply = server.ask("POST", path, sent, content_type)
            assert reply.status == status
            content = resolved(DOCUMENT["paths"][path]["post"]["responses"][str(status)])["content"]
            assert list(content) == [reply.content_type]
            if reply.content_type == "application/json":
                jsonschema.validate(
                    json.loads(reply.body), content[reply.content_type]["schema"] | {"components": DOCUMENT["components"]}
                )
    assert np.all(codec("raw-float32").decode(server.ask("POST", "/raw", raw_body, raw_type).body) >= 0)


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    found: dict[str, Any] = (
        DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]] if "$ref" in response else response
    )
    return found
