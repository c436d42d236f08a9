"""How far can this machine's numbers be trusted? Compares an endpoint with itself (A/A), and with itself made 3 % slower.

Run by `tox -e selfcheck`. Nothing here asserts a time: it prints the noise floor. It is a pytest file because the backends are
fixtures; its name keeps it out of the ordinary collection. The slower one is the very same process: a header of a request to
the server of `fixtures/examples/slowed` gives the turns of an empty loop before its answer, and the cost of a turn is measured
before each trial.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bench.analysis.lane_speeds import slices_of
from bench.contract.console import Console
from bench.contract.system import Fleet
from bench.load.lane import Goals, Lane, Part
from bench.load.load_patterns import OneClient
from bench.load.payload_sources import CyclingPayloads
from bench.load.scheduler import Campaign, Progress, Settings
from bench.machine.priority import undisturbed
from bench.session.options import MeasuringOptions
from bench.session.progress import ProgressLine
from bench.statistics import Interval, bootstrap_effects, ratios
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe

PAIR_TRIALS = 20
EIGHT_TRIALS = 5
SLOWER = 1.03
PAIR_BACKEND = "slowed"
PAIR_ENDPOINT = "slowed-raw"
EIGHT_BACKENDS = ("flask", "fastapi")
_TURNS = 20_000  # of the loop, to measure what one costs
_CALIBRATION_SLICES = 15
_POWER = 1 + 1.2816 / 1.9600  # times half an interval: the difference that nine of ten runs would find


@dataclass(frozen=True, slots=True)
class Bench:
    """What each trial needs."""

    fleet: Fleet
    factory: PayloadFactory
    settings: Settings
    progress: Callable[[str], Callable[[Progress], None]]

    def lane(self, endpoint_id: str, turns: int | None = None) -> Lane:
        """A lane with single images to a running endpoint; the server that can be slowed turns its loop `turns` times."""
        system, endpoint = next(
            (system, endpoint)
            for system in self.fleet.running.values()
            for endpoint in system.endpoints.values()
            if endpoint.id == endpoint_id
        )
        transport = open_transport(system, endpoint, self.factory.model)
        payloads = self.factory.payload_set(endpoint, 1).payloads[:100]
        if turns is not None:
            payloads = tuple(replace(each, headers=(*each.headers, ("X-Turns", str(turns)))) for each in payloads)
        source = CyclingPayloads(payloads, transport.prepare)
        return Lane(Part.MEASURE, system, OneClient(transport), source, Goals(self.settings.max_time_s))

    def turns_that_slow(self) -> int:
        """The turns of the server's loop that make an exchange SLOWER times as long, from slices without and with, by turns."""
        lanes = [self.lane(PAIR_ENDPOINT, turns) for turns in (0, _TURNS)]
        pace_s = np.array([[_pace_s(lane, self.settings.slice_s) for lane in lanes] for _ in range(_CALIBRATION_SLICES)])
        for lane in lanes:
            lane.pattern.close()
        plain_s, turns_s = float(np.median(pace_s[:, 0])), float(np.median(pace_s[:, 1] - pace_s[:, 0]))
        return round((SLOWER - 1) * plain_s / (turns_s / _TURNS))

    def interleaved(self, lanes: Sequence[Lane], seed: int, name: str) -> list[list[Interval | None]]:
        """Measure the lanes in a campaign; [to][cell] is the speed of `cell` over that of `to`, None if not comparable."""
        settings = replace(self.settings, seed=seed)
        Campaign(list(lanes), settings, self.progress(name)).run()
        for lane in lanes:
            if lane.results.errors:
                raise lane.results.errors[0]
        effects = bootstrap_effects(slices_of([lane.results.slices for lane in lanes]), len(lanes), seed=seed)
        return [ratios(effects, to) for to in range(len(lanes))]

    def one_after_the_other(self, lanes: Sequence[Lane]) -> list[float]:
        """Measure each lane for its whole time in one piece, after a warm-up; exchanges a second of each."""
        rates = []
        for lane in lanes:
            for slice_s in (0.2, self.settings.max_time_s):  # the first is the warm-up
                done = lane.pattern.run(lane.source.requests(1), slice_s=slice_s, typical_s=0.0, warm_up_request=True)
                if done.error:
                    raise done.error
            lane.pattern.close()
            rates.append(len(done.duration_s) / sum(done.duration_s))
        return rates


def _pace_s(lane: Lane, slice_s: float) -> float:
    """The median duration of an exchange in one slice, in seconds."""
    done = lane.pattern.run(lane.source.requests(1), slice_s=slice_s, typical_s=0.0, warm_up_request=True)
    if done.error:
        raise done.error
    return float(np.median(done.duration_s))


@pytest.fixture
def bench(request: pytest.FixtureRequest, fleet: Fleet, factory: PayloadFactory) -> Bench:
    """Start the backends; fails the test if one does not run."""
    config = request.config
    needed = (PAIR_BACKEND, *EIGHT_BACKENDS)
    fleet.start(needed, Probe(factory, [1]))
    if missing := [name for name in needed if name not in fleet.running]:
        pytest.fail(f"the self-check needs {', '.join(missing)}: {dict(fleet.absent) or 'see its command in tox.ini'}")
    settings = Settings(max_time_s=MeasuringOptions.of(config).max_time_s)
    return Bench(fleet, factory, settings, lambda name: ProgressLine(name, Console(config)))


def test_selfcheck(bench: Bench, pytestconfig: pytest.Config) -> None:
    """Print the noise floor; fails only if something could not be measured."""
    say = Console(pytestconfig).line
    seconds = bench.settings.max_time_s
    options = MeasuringOptions.of(pytestconfig)
    with undisturbed(options.client_cpu, options.client_priority.beside(options.client_cpu, bench.fleet.server_cpus)):
        say(f"self-check on fastapi's raw endpoint, single images, {seconds:g} s a cell, {PAIR_TRIALS} trials")
        for line in _pair_report(bench):
            say(line)
        endpoints = ["flask-rest", "flask-raw", "fastapi-rest", "fastapi-raw"]
        say(f"self-check with eight cells in the round ({', '.join(endpoints)}, each twice), {EIGHT_TRIALS} trials")
        for line in _eight_report(bench, endpoints):
            say(line)


def _pair_report(bench: Bench) -> list[str]:
    same: list[Interval] = []
    slow: list[Interval] = []
    plain: list[float] = []
    for trial in range(PAIR_TRIALS):
        lanes = [bench.lane(PAIR_ENDPOINT, turns) for turns in (0, 0, bench.turns_that_slow())]
        found = bench.interleaved(lanes, seed=trial, name=f"trial {trial + 1} of {PAIR_TRIALS}")
        same += [ratio for ratio in (found[0][1],) if ratio is not None]
        slow += [ratio for ratio in (found[0][2],) if ratio is not None]
        first, second = bench.one_after_the_other([bench.lane(PAIR_ENDPOINT, 0), bench.lane(PAIR_ENDPOINT, 0)])
        plain.append(second / first)
    held = sum(not ratio.excludes(1.0) for ratio in same)
    seen = sum(ratio.excludes(1.0) and ratio.value < 1 for ratio in slow)
    width = float(np.median([(ratio.high / ratio.low) ** 0.5 - 1 for ratio in same if ratio.low and ratio.high]))
    return [
        f"  A/A, interleaved:          {_errors([ratio.value for ratio in same])}; interval held 1 in {held} of {len(same)}",
        f"  A/A, one after the other:  {_errors(plain)}",
        f"  {SLOWER - 1:.0%} slower, truly:         found in {seen} of {len(slow)}; "
        f"ratios {', '.join(f'{ratio.value:.3f}' for ratio in slow)}, mean {np.mean([ratio.value for ratio in slow]):.4f} "
        f"(true {1 / SLOWER:.4f})",
        f"  half an interval: {width:.2%}; smallest difference that nine of ten such runs tell: {width * _POWER:.1%}",
    ]


def _eight_report(bench: Bench, endpoints: Sequence[str]) -> list[str]:
    same: list[Interval] = []
    plain: list[float] = []
    for trial in range(EIGHT_TRIALS):
        names = [name for name in endpoints for _ in range(2)]
        found = bench.interleaved([bench.lane(name) for name in names], seed=trial, name=f"trial {trial + 1} of {EIGHT_TRIALS}")
        pairs = [(one, other) for one, other in itertools.combinations(range(len(names)), 2) if names[one] == names[other]]
        same += [ratio for ratio in (found[one][other] for one, other in pairs) if ratio is not None]
        rates = bench.one_after_the_other([bench.lane(name) for name in names])
        plain += [rates[other] / rates[one] for one, other in pairs]
    held = sum(not ratio.excludes(1.0) for ratio in same)
    return [
        f"  pairs that should be equal, interleaved:         {_errors([ratio.value for ratio in same])}; "
        f"interval held 1 in {held} of {len(same)}",
        f"  pairs that should be equal, one after the other: {_errors(plain)}",
    ]


def _errors(found: Sequence[float]) -> str:
    errors = [abs(ratio - 1) for ratio in found]
    return f"mean |ratio - 1| {np.mean(errors):.2%}, worst {max(errors):.2%}"
