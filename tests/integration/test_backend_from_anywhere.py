"""A backend in a folder far from the checkout, neither of which may be written: measured, and its report kept elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.contract.records import Verdict
from tests.bad_input.jobs import WITHOUT_PRIVILEGE
from tests.integration.checkout import copy_checkout
from tests.sessions import ROOT

MANIFEST = """
summary = "thirty lines of somebody's"
runtime = "onnxruntime"
tuning = "nothing"
command = [
    "{python}", "-m", "gunicorn", "--bind", "{host}:{port[8000]}", "--worker-class", "gthread", "--threads", "1",
    "--no-control-socket", "server:app",
]
[process]
requirements = "requirements.txt"
[[endpoint]]
name = "raw"
protocol = "raw"
port = 8000
path = "/ask"
[[endpoint]]
name = "rest"
protocol = "v1-json"
port = 8000
path = "/predict"
"""
SERVER = """
import os
import struct

import numpy as np
import onnxruntime
from flask import Flask, Response, jsonify, request

session = onnxruntime.InferenceSession(os.environ["MODEL_PATH"])
app = Flask(__name__)


def scores_of(rows):
    name = session.get_inputs()[0].name
    (scores,) = session.run(None, {name: np.asarray(rows, dtype=np.float32)})
    return scores


@app.post("/ask")
def ask():
    body = request.get_data()
    (count,) = struct.unpack_from("<I", body)
    scores = scores_of(np.frombuffer(body, dtype="<f4", offset=4).reshape(count, -1))
    content = struct.pack("<I", count) + scores.astype("<f4").tobytes()
    return Response(content, mimetype="application/octet-stream")


@app.post("/predict")
def predict():
    return jsonify({"predictions": scores_of(request.get_json()["instances"]).tolist()})
"""

pytestmark = pytest.mark.integration


def test_a_folder_of_thirty_lines_where_nothing_may_be_written(tmp_path: Path) -> None:
    """Both endpoints are verified, the report is where it may be and said, and checkout and folder are as they were."""
    place, checkout, temporary = tmp_path / "place", tmp_path / "checkout", tmp_path / "tmp"
    folder = place / "my-server"
    folder.mkdir(parents=True)
    (folder / "backend.toml").write_text(MANIFEST)
    (folder / "server.py").write_text(SERVER)
    for name in ("requirements.txt", "requirements.lock"):  # an environment that is there already
        shutil.copy(ROOT / "fixtures" / "backends" / "flask" / name, folder)
    images = np.random.default_rng(5).random((50, 784)).astype(np.float32)
    np.savez(place / "my.npz", images=images)
    copy_checkout(checkout)
    temporary.mkdir()
    command = [sys.executable, "-m", "pytest", "-c", str(checkout / "tox.ini"), "--benchmark-only", "--backend=./my-server"]
    command += [
        "--engine=process",
        "--inputs=my.npz",
        "-k",
        "accuracy or single",
        "--benchmark-max-time=0.2",
        "--batch-sizes=1",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON", "COV"))}
    with unwritable(place), unwritable(checkout):
        before = [sorted(each.rglob("*")) for each in (place, checkout)]
        done = subprocess.run(
            [*WITHOUT_PRIVILEGE, *command],
            cwd=place,
            env={**environment, "TMPDIR": str(temporary)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert [sorted(each.rglob("*")) for each in (place, checkout)] == before
    said = done.stdout + done.stderr
    if "virtual environment could not be built" in said:
        pytest.skip(said)
    assert done.returncode == 0, said
    report = re.search(r"^Report: +(\S+)$", done.stdout, re.MULTILINE)
    assert report is not None, said
    assert Path(report[1]).is_relative_to(temporary)
    assert "could not be written" in said
    cells = json.loads(Path(report[1]).with_name("results.json").read_text())["cells"]
    own = {f"{cell['endpoint']}-{cell['scenario']}": cell for cell in cells if cell["backend"] == "my-server"}
    assert set(own) == {f"{endpoint}-{scenario}" for endpoint in ("raw", "rest") for scenario in ("accuracy", "single")}
    for cell in own.values():
        assert not Verdict[cell["verdict"]].fails_test, cell["reason"]
        assert (cell["agreement"], cell["errors"]) == (1.0, 0)
        assert cell["answers_verified"] >= cell["exchanges"] > 0


@contextmanager
def unwritable(place: Path) -> Iterator[None]:
    """Nobody may write to it or below, for as long."""
    folders = [place, *(each for each in place.rglob("*") if each.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755)
