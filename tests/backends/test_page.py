"""The page without a browser: what the server answers to a form, with the project's own model."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from bench.contract.system import Dataset
from fixtures.dataset.emnist import load_emnist
from fixtures.serving.image import MAX_UPLOAD_BYTES
from fixtures.serving.onnx_model import OnnxModel
from tests.backends.launch import FIXTURES, onnx_model, tiny_model
from tests.flat import INPUT, OUTPUT, flat_signature, images_of

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

OWN_MODEL = FIXTURES / "model" / "emnist-mlp.onnx"


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    """The project's own model."""
    return onnx_model(OWN_MODEL)


@pytest.fixture(scope="module")
def client(model: OnnxModel) -> FlaskClient:
    """The application, asked without a socket."""
    return client_of(model)


@pytest.fixture(scope="module")
def images() -> Dataset:
    """Test images: EMNIST's where the archive is at hand, else those drawn from fonts."""
    archive = os.environ.get("EMNIST_ARCHIVE")
    return load_emnist(Path(archive) if archive else None, allow_download=False, say=lambda _: None)


def client_of(model: Any) -> FlaskClient:
    """The application around a model."""
    pytest.importorskip("flask")
    from fixtures.serving.flask_app import create_app

    return create_app(model).test_client()


def png(pixels: Any) -> bytes:
    """[784] or [28, 28] pixels in 0..1 as a file."""
    buffer = io.BytesIO()
    Image.fromarray(np.round(np.reshape(pixels, (28, 28)) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def upload(client: FlaskClient, data: bytes, name: str = "x.png") -> TestResponse:
    """Send the page's form, as a browser encodes it (Werkzeug's test client would itself use temporary files)."""
    head = f'--limit\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    body = head.encode() + data + b"\r\n--limit--\r\n"
    return client.post("/page", data=body, content_type="multipart/form-data; boundary=limit")


def answer(response: TestResponse) -> str:
    """The character that the page shows."""
    found = re.search(r'id="character">(.)<', response.text)
    assert found, response.text
    return found[1]


def test_the_empty_page_is_a_form(client: FlaskClient) -> None:
    """GET / shows a form that works without a script, and no result yet."""
    response = client.get("/")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert '<form action="/page#result" method="post" enctype="multipart/form-data"' in response.text
    assert "<noscript>" in response.text
    assert 'id="character"' not in response.text


def test_ten_test_images_get_the_references_classes(client: FlaskClient, model: OnnxModel, images: Dataset) -> None:
    """An image of the dataset, uploaded as PNG, is answered with the very class that the reference gives it."""
    expected = model.run({INPUT: images_of(images)[:10]})[OUTPUT].argmax(axis=1)
    for pixels, best in zip(images_of(images), expected, strict=False):
        assert answer(upload(client, png(pixels))) == images.class_names[int(best)]


def test_the_page_shows_all_classes(client: FlaskClient, model: OnnxModel, images: Dataset) -> None:
    """62 bars, one of them the best, and its probability to a tenth of a percent."""
    page = upload(client, png(images_of(images)[0])).text
    best = float(model.run({INPUT: images_of(images)[:1]})[OUTPUT].max())
    assert len(re.findall(r'<g class="bar', page)) == 62
    assert page.count('<g class="bar best"') == 1
    assert f'<strong id="probability">{best * 100:.1f} %</strong>' in page
    assert page.count("data:image/png;base64,") == 2


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (b"", 400, "No picture was sent"),
        (b"hello", 415, "no readable PNG or JPEG"),
        (png(np.zeros(784)), 422, "empty"),
        (bytes(MAX_UPLOAD_BYTES + 1), 413, "too large"),
        (bytes(MAX_UPLOAD_BYTES + 200_000), 413, "too large"),
    ],
    ids=["nothing", "text", "black", "just-too-large", "too-large"],
)
def test_wrong_files_get_a_page_that_says_why(client: FlaskClient, data: bytes, status: int, problem: str) -> None:
    """A 4xx page for people, with the form still on it."""
    response = upload(client, data)
    assert (response.status_code, response.mimetype) == (status, "text/html")
    assert problem in response.text
    assert 'role="alert"' in response.text
    assert "<form" in response.text


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"garbage", "multipart/form-data; boundary=x"),
        (b"image=1", "application/x-www-form-urlencoded"),
    ],
)
def test_broken_forms_get_the_page_too(client: FlaskClient, data: bytes, content_type: str) -> None:
    """Whatever is posted, a person gets a page that says that no picture came."""
    response = client.post("/page", data=data, content_type=content_type)
    assert (response.status_code, response.mimetype) == (400, "text/html")
    assert "No picture was sent" in response.text


def test_a_files_name_and_type_are_not_believed(client: FlaskClient, images: Dataset) -> None:
    """Only the bytes decide, and the name appears nowhere on the page."""
    response = upload(client, png(images_of(images)[0]), name="<script>alert(1)</script>.exe")
    assert response.status_code == 200
    assert "alert(1)" not in response.text


def test_scripts_and_styles_are_only_the_pages_own(client: FlaskClient) -> None:
    """The policy allows no other source, and each answer has its own nonce."""
    policies = [client.get("/").headers["Content-Security-Policy"] for _ in range(2)]
    assert policies[0] != policies[1]
    assert "default-src 'none'" in policies[0]
    assert "unsafe" not in policies[0]


def test_the_api_beside_the_page_still_speaks_json(client: FlaskClient, images: Dataset) -> None:
    """`POST /` stays the JSON endpoint, its errors included."""
    good = client.post("/", data=json.dumps({"instances": images_of(images)[:1].tolist()}), content_type="application/json")
    assert good.status_code == 200
    assert len(good.get_json()["predictions"][0]) == 62
    bad = client.post("/", data=b"{", content_type="application/json")
    assert (bad.status_code, bad.mimetype) == (400, "application/json")


def test_a_model_of_other_classes_is_shown_by_numbers(tmp_path: Path, images: Dataset) -> None:
    """A person's own model with ten classes gets ten numbered bars."""
    own = client_of(onnx_model(tiny_model(tmp_path / "ten.onnx", classes=10)))
    page = upload(own, png(images_of(images)[0])).text
    assert len(re.findall(r'<g class="bar', page)) == 10
    assert answer_is_digit(page)


def answer_is_digit(page: str) -> bool:
    """Whether the shown class is a number."""
    found = re.search(r'id="character">(\d+)<', page)
    return found is not None


def test_a_model_that_takes_no_pictures_says_so(tmp_path: Path) -> None:
    """The page is there, with the reason; its form is refused with the same words; the API answers."""
    client = client_of(onnx_model(tiny_model(tmp_path / "narrow.onnx", width=64, classes=10), flat_signature(64, 10)))
    told = "takes images float32 [n, 64], not a picture of 28 x 28 pixels"
    assert told in client.get("/").text
    refused = upload(client, png(np.ones((28, 28))))
    assert refused.status_code == 422
    assert told in refused.text
    assert client.post("/", json={"instances": [[0.5] * 64]}).status_code == 200
