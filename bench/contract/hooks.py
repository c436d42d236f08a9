"""The pytest hooks by which the three packages work together without importing each other."""

from collections.abc import Sequence

import pytest

from bench.contract.records import EarlierRun, Record, Run, Samples
from bench.contract.scenarios import Scenario
from bench.contract.system import Backend, Room


@pytest.hookspec(firstresult=True)
def pytest_servebench_backends(config: pytest.Config) -> Sequence[Backend] | None:
    """The selected backends in the order of the report, instruments (null, reference) included; answered by fixtures."""


@pytest.hookspec(firstresult=True)
def pytest_servebench_server_cpus(config: pytest.Config) -> Sequence[int] | None:
    """The CPUs that servers may use, ascending; answered by fixtures, which raise BadInput for an invalid list of CPUs."""


@pytest.hookspec(firstresult=True)
def pytest_servebench_room(config: pytest.Config) -> Room | None:
    """How many replicas of a server fit; answered by fixtures, which raise BadInput if that cannot be known."""


@pytest.hookspec(firstresult=True)
def pytest_servebench_scenarios(config: pytest.Config) -> Sequence[Scenario] | None:
    """All scenarios that the session may measure, known once its options are; answered by the measuring side."""


@pytest.hookspec(firstresult=True)
def pytest_servebench_earlier(config: pytest.Config) -> EarlierRun | None:
    """The run to resume, None if none is; answered by reports, which raise BadInput if there is no valid run."""


@pytest.hookspec
def pytest_servebench_run(config: pytest.Config, run: Run) -> None:
    """A run starts, or more is known of it (its facts grow as backends start): the latest call replaces earlier ones."""


@pytest.hookspec
def pytest_servebench_record(config: pytest.Config, record: Record, samples: Samples | None) -> None:
    """A cell is finished; called once per cell, as soon as nothing can change it any more."""


@pytest.hookspec
def pytest_servebench_underway(config: pytest.Config, cells: Sequence[tuple[Record, Samples]]) -> None:
    """The current state of a campaign's cells, in case the session is killed; replaces the last call's, empty at its end."""


@pytest.hookspec
def pytest_servebench_end(config: pytest.Config) -> None:
    """Nothing more is measured: results are written now, before another plugin can fail at the end of the session."""
