"""The fastapi-pydantic backend: right answers, and refusals by its models or by its own words."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.backends.launch import Server, running, some_images, truth
from tests.flat import flat_codec as codec

pytestmark = pytest.mark.integration

JSON = "application/json"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Server]:
    """The backend."""
    with running("fastapi-pydantic", tmp_path_factory.mktemp("pydantic"), model) as started:
        yield started


@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_answers_are_the_models(server: Server, model: Path, batch_size: int) -> None:
    """On their way through Python's floats the scores lose nothing that float32 had."""
    images = some_images(batch_size)
    body, content_type, _ = codec("v1-json").encode(images)
    reply = server.ask("POST", server.path("rest"), body, content_type)
    assert (reply.status, reply.content_type) == (200, JSON)
    np.testing.assert_allclose(codec("v1-json").decode(reply.body), truth(model, images), atol=1e-6)


@pytest.mark.parametrize(
    ("request_body", "status", "problem"),
    [
        ({"instances": [["a"] * 784]}, 422, "valid number"),
        ({"images": [[0.5] * 784]}, 422, "instances"),
        ({"instances": [0.5] * 784}, 422, "valid list"),
        ({"instances": [[0.5] * 784, [0.5]]}, 400, "equal length"),
        ({"instances": [[0.5] * 783]}, 400, "784"),
        ({"instances": []}, 400, ""),
    ],
)
def test_bad_input_is_refused_and_named(server: Server, request_body: dict[str, object], status: int, problem: str) -> None:
    """What its models find is 422, what they cannot know is 400; the server lives on."""
    reply = server.ask("POST", server.path("rest"), json.dumps(request_body).encode(), JSON)
    assert reply.status == status
    assert problem in str(json.loads(reply.body)["detail"])
    assert server.ask("GET", "/healthz").status == 200
