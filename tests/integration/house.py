"""What a test needs to start the real backends with the process engine, in the environments of the real cache."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bench.agents.crew import Crew
from bench.analysis.standings import RatioTo
from bench.contract.cells import Cell
from bench.contract.records import Record, Samples
from bench.contract.system import Absence, Model
from bench.contract.tensors import FloatArray
from bench.experiments.scenario_runner import Campaigns, Listener, Plan
from bench.load.scheduler import Progress, Settings
from bench.machine.priority import priority_of
from bench.verification.payloads import PayloadFactory
from fixtures.dataset.emnist import load_emnist
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.cache import cache_root
from fixtures.host.run_identity import RunIdentity
from fixtures.model.exports import Exports
from fixtures.model.load import load_model
from fixtures.specs.catalogue import load_specs
from fixtures.specs.spec import BackendSpec
from tests.flat import INPUT, OUTPUT, images_of

SPECS = load_specs(Path(__file__).parents[2] / "fixtures" / "backends")
MEASURING_S = 1.0
COULD_NOT_BE_HAD = ("virtual environment could not be built", "on the PATH")

Records = dict[str, Record]
"""What was emitted, by cell."""


@dataclass(frozen=True, slots=True)
class House:
    """What a test needs to start backends and to measure them."""

    model: Model
    settings: EngineSettings
    factory: PayloadFactory
    exports: Exports

    @property
    def images(self) -> FloatArray:
        """What is asked about [n, width]."""
        return images_of(self.factory.dataset)

    def predict(self, images: FloatArray) -> FloatArray:
        """The model's scores [n, classes]."""
        return np.asarray(self.model.predictor({INPUT: images})[OUTPUT])

    def fleet(self, *specs: BackendSpec) -> LocalFleet:
        """These backends, on processes."""
        return LocalFleet(specs, ProcessEngine(self.settings), self.model, self.settings, self.exports.ensure)

    def campaigns(
        self, fleet: LocalFleet, cells: list[Cell], watch: Callable[[Progress], None], crew: Crew | None = None
    ) -> tuple[Campaigns, Records]:
        """A short campaign of all these cells; the records by cell."""
        records: dict[str, Record] = {}

        class Watching(Listener):
            def say(self, text: str) -> None:
                print(text)

            def progress(self, name: str) -> Callable[[Progress], None]:
                return watch

            def record(self, record: Record, samples: Samples | None) -> None:
                records[record.id] = record

        plan = Plan(
            cells=cells,
            settings=Settings(max_time_s=MEASURING_S),
            client_cpu=max(os.sched_getaffinity(0)),
            client_priority=priority_of("normal"),
            ratio_to=RatioTo(None),
            again=lambda cell: f"pytest -k {cell.id}",
            listener=Watching(),
            crew=crew,
        )
        return Campaigns(plan, fleet, self.factory), records


def a_house() -> House:
    """With the project's model, and synthetic images: the answers are held against the model's, whatever it is asked."""
    settings = EngineSettings(RunIdentity.new(), (min(os.sched_getaffinity(0)),), cache_root(), print)
    model = load_model()
    factory = PayloadFactory(load_emnist(None, allow_download=False, say=print), model)
    return House(model, settings, factory, Exports(model, factory.dataset.inputs, settings))


def refuse_absence(absence: Absence | None) -> None:
    """Skip where it cannot be had here, fail where it should have started."""
    if absence is not None:
        refuse_unavailable(absence)
        pytest.fail(absence.reason, pytrace=False)


def refuse_unavailable(absence: Absence) -> None:
    """Skip where its packages cannot be had."""
    if not absence.failed and any(words in absence.reason for words in COULD_NOT_BE_HAD):
        pytest.skip(absence.reason)
