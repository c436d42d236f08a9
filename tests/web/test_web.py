"""The command that starts the page for a person."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest

ROOT = Path(__file__).parents[2]


def test_a_missing_model_is_one_clear_line(tmp_path: Path) -> None:
    """A wrong path ends before anything starts, with the usage's exit code."""
    missing = tmp_path / "missing.onnx"
    ended = subprocess.run(
        [sys.executable, "-m", "tools.web", str(missing)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert f"{missing}: expected an ONNX file" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.integration
def test_it_serves_the_page() -> None:
    """With the project's own model, on this machine only."""
    pytest.importorskip("flask")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "-m", "tools.web", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert "<h1>" in _page(port, process)
        finally:
            process.terminate()


def _page(port: int, process: subprocess.Popen[bytes]) -> str:
    deadline_s = time.perf_counter() + 60
    while process.poll() is None and time.perf_counter() < deadline_s:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                return str(answer.read().decode())
        except URLError:
            time.sleep(0.1)
    raise AssertionError("the page did not come up within 60 s")
