"""What these tests share: deadlines for a test, the engine of containers, and where the store falls back to."""

from pathlib import Path

import pytest

from bench.contract.system import Model
from fixtures.engines.base import EngineSettings
from tests.faults.three import be_quick, little
from tests.fixtures.conftest import buildable, cache, client
from tests.fixtures.tiny import CPU, make_settings
from tests.reports.store.test_store import temporary

__all__ = ["buildable", "cache", "client", "model", "quick", "settings", "temporary"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines for a test."""
    be_quick(monkeypatch)


@pytest.fixture
def settings(cache: Path) -> EngineSettings:
    """A run whose servers share a CPU, as in a session."""
    return make_settings(cache, print, (CPU,))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A file with the weights."""
    return little(tmp_path)
