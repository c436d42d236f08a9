"""What the servers of these tests serve."""

from pathlib import Path

import pytest

from tests.backends.launch import tiny_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model in ONNX."""
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")
