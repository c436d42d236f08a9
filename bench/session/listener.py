"""Passes on what this session's campaigns report: to the terminal, and through the hooks to the reports."""

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
    """Shows lines and progress, passes finished cells on at once, and stores all else in the session."""

    def __init__(self, config: pytest.Config, fleet: Fleet, factory: PayloadFactory) -> None:
        self._config = config
        self._fleet = fleet
        self._factory = factory
        self._console = Console(config)
        self._session = config.stash[SESSION]

    def say(self, text: str) -> None:
        """Show the line on the terminal."""
        self._console.line(text)

    def progress(self, name: str) -> Callable[[Progress], None]:
        """A progress display: one live line, or a line now and then."""
        return ProgressLine(name, self._console)

    def facts(self, of_backends: Mapping[str, BackendFacts]) -> None:
        """Send the run to the reports again, with these facts."""
        emit_run(self._config, self._fleet, self._factory, of_backends)

    def record(self, record: Record, samples: Samples | None) -> None:
        """Send the record to the reports."""
        emit_record(self._config, record, samples)

    def disagreements(self, found: Sequence[Disagreement]) -> None:
        """Store them in the session, as part of the run."""
        self._session.disagreements.extend(found)

    def gate_rows(self, rows: Sequence[GateRow]) -> None:
        """Store them in the session, as part of the run; the terminal shows them at the end."""
        self._session.gate_rows = tuple(rows)

    def underway(self, cells: Cells) -> None:
        """Send them to the reports, which keep them on disk."""
        self._config.hook.pytest_servebench_underway(config=self._config, cells=cells)
