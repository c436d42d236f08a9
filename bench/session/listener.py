"""Who hears of this session's campaigns: the terminal, and through the hooks the reports."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from bench.contract.backend_facts import BackendFacts
from bench.contract.confusion import Disagreement
from bench.contract.console import Console
from bench.contract.records import Record, Samples
from bench.contract.rows import GateRow
from bench.contract.system import Fleet
from bench.experiments.checkpoint import Cells
from bench.experiments.scenario_runner import Listener
from bench.load.scheduler import Progress
from bench.session.progress import ProgressLine
from bench.session.state import SESSION, emit_record, emit_run
from bench.verification.payloads import PayloadFactory


class ReportsListener(Listener):
    """Shows lines and progress, hands finished cells on at once, and keeps in the session what stands beside them."""

    def __init__(self, config: pytest.Config, fleet: Fleet, factory: PayloadFactory) -> None:
        self._config = config
        self._fleet = fleet
        self._factory = factory
        self._console = Console(config)
        self._session = config.stash[SESSION]

    def say(self, text: str) -> None:
        """On the terminal."""
        self._console.line(text)

    def progress(self, name: str) -> Callable[[Progress], None]:
        """One live line, or a line now and then."""
        return ProgressLine(name, self._console)

    def facts(self, of_backends: Mapping[str, BackendFacts]) -> None:
        """More is known of the run."""
        emit_run(self._config, self._fleet, self._factory, of_backends)

    def record(self, record: Record, samples: Samples | None) -> None:
        """To the reports."""
        emit_record(self._config, record, samples)

    def disagreements(self, found: Sequence[Disagreement]) -> None:
        """They are part of the run."""
        self._session.disagreements.extend(found)

    def gate_rows(self, rows: Sequence[GateRow]) -> None:
        """They are part of the run, and stand on the terminal at the end."""
        self._session.gate_rows = tuple(rows)

    def underway(self, cells: Cells) -> None:
        """To the reports, which keep them on the disk."""
        self._config.hook.pytest_servebench_underway(config=self._config, cells=cells)
