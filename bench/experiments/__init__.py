"""The experiments, one file for each question that is asked of servers, and what runs them.

`open_loop.py` holds the `EXPERIMENT` of the kind `open-loop`; a new experiment is a new file, with no edit elsewhere here.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from bench.contract.scenarios import Scenario
from bench.experiments.experiment import Experiment


@cache
def experiments() -> Mapping[str, Experiment]:
    """All experiments by their kind, in the order in which a session measures them."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    instances = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return {each.kind: each for each in sorted(instances, key=lambda each: each.turn)}


def experiment_of(scenario: Scenario) -> Experiment:
    """The experiment that a scenario belongs to; raises ValueError if no experiment has the scenario's kind."""
    experiment = experiments().get(scenario.kind)
    if experiment is None:
        known = ", ".join(experiments())
        raise ValueError(f"scenario {scenario.name!r}: kind {scenario.kind!r} is no experiment; known: {known}")
    return experiment
