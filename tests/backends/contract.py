"""What the contract tests share: a stand-in as a started backend, asked as a probe and as a campaign ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bench.contract.records import Record
from bench.contract.scenarios import Scenario
from bench.contract.system import Backend
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint, Payload
from bench.load.scheduler import Settings
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe
from tests.bench.scripted import PREDICT, ScriptedSystem, little_dataset, measuring

BATCH = Scenario("batch8", batch_size=8)


def started(name: str, ports: Mapping[int, int], *endpoints: Endpoint) -> ScriptedSystem:
    """A running stand-in as a backend with these endpoints; `ports` says where each declared port really is."""
    system = ScriptedSystem(Backend(name, "stand-in", "script", endpoints), None)
    system.endpoints = {each.name: each.located("127.0.0.1", ports[each.port]) for each in endpoints}
    return system


def exchange(system: ScriptedSystem, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    """One exchange with its first endpoint, by the transport that a campaign uses."""
    transport = open_transport(system, next(iter(system.endpoints.values())))
    transport.connect()
    try:
        return transport.exchange(transport.prepare(Payload(body, "application/json", (0,), headers)))
    finally:
        transport.close()


def probe() -> Probe:
    """Asks for the little dataset's first image."""
    return Probe(PayloadFactory(little_dataset(), PREDICT), [1])


def measured(systems: Mapping[str, ScriptedSystem], max_time_s: float) -> dict[str, Record]:
    """A campaign over systems that are named as their backends are: their records."""
    campaigns, cells, records = measuring(systems, BATCH, Settings(max_time_s=max_time_s))
    campaigns.result(cells[next(iter(systems))])
    return {name: records[name][0] for name in systems}


def wrong_once() -> Callable[[FloatArray], FloatArray]:
    """The little model, but for one answer in the middle of a campaign."""
    answered = iter(range(1 << 30))

    def predict(images: FloatArray) -> FloatArray:
        scores = PREDICT(images)
        return np.roll(scores, 1, axis=1) if next(answered) == 20 else scores

    return predict


def unloading(switch: Callable[[bool], None]) -> Callable[[FloatArray], FloatArray]:
    """The little model; tells `switch` with each answer whether it stays loaded, and after twenty that it does not."""
    answered = iter(range(1 << 30))

    def predict(images: FloatArray) -> FloatArray:
        switch(next(answered) < 20)
        return PREDICT(images)

    return predict
