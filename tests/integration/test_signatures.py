"""A dozen signatures on four servers in their own environments: each endpoint is right, or says why it is not asked.

Only where SERVEBENCH_SLOW is set: minutes, and large environments at first.
"""

import os
from pathlib import Path

import pytest

from bench.contract.system import Dataset, Model
from bench.contract.wire import Answer, Endpoint
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe
from fixtures.dataset.user_inputs import dataset_of, read_inputs
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.cache import cache_root
from fixtures.host.run_identity import RunIdentity
from fixtures.model.files import files_beside
from fixtures.model.load import open_model, proved
from fixtures.specs.catalogue import load_specs
from tests.fixtures.signatures import SERVED, save

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("SERVEBENCH_SLOW"), reason="SERVEBENCH_SLOW is not set"),
]

SPECS = load_specs(Path(__file__).parents[2] / "fixtures" / "backends")
SERVERS = ("flask", "fastapi", "triton", "mlserver", "triton-batching", "mlserver-batching")
BATCHES = (1, 8)
SEVERAL = "raw cannot carry this model: it has one"
JOINED = "computes several requests together"
NOT_MEASURED: dict[str, dict[str, str]] = {
    "transformer": {"flask-raw": SEVERAL, "fastapi-raw": SEVERAL},
    "label-and-scores": {
        "flask-raw": SEVERAL,
        "fastapi-raw": SEVERAL,
        "triton-batching": "no tensors without an axis beside the one along which it joins requests, as label is",
    },
    "recurrent-state": {"flask-raw": SEVERAL, "fastapi-raw": SEVERAL, "triton-batching": JOINED, "mlserver-batching": JOINED},
    "fixed-batch": {"triton-batching": JOINED, "mlserver-batching": JOINED},
    "scalar-side-input": {
        "flask-raw": SEVERAL,
        "fastapi-raw": SEVERAL,
        "triton": "Triton has no tensors without an axis, as rate is",
        "triton-batching": JOINED,
        "mlserver-batching": JOINED,
    },
    "float16": {
        f"{backend}-rest": "v2-json cannot carry this model: it has no float16"
        for backend in ("triton", "triton-batching", "mlserver", "mlserver-batching")
    },
    "dynamic-quantisation": {"triton-batching": JOINED, "mlserver-batching": JOINED},
}
"""Model -> backend or endpoint -> why; all other endpoints are right in every batch."""


def prepared(name: str, folder: Path) -> tuple[Model, Dataset]:
    """As a session prepares them."""
    save(folder / "m.npz", SERVED[name](folder / "m.onnx"))
    opened = open_model(folder / "m.onnx")
    own = read_inputs(folder / "m.npz", opened.declared, BATCHES)
    model = proved(opened, own.inputs, BATCHES)
    return model, dataset_of(own, model)


@pytest.mark.parametrize("name", SERVED)
def test_verdict_or_reason(name: str, tmp_path: Path) -> None:
    """One item and eight through every endpoint, held against the reference by the verifier of a run."""
    model, dataset = prepared(name, tmp_path)
    factory = PayloadFactory(dataset, model)
    cpus = (min(os.sched_getaffinity(0)),)
    settings = EngineSettings(RunIdentity.new(), cpus, cache_root(), print, beside=files_beside(Path(model.path)))
    reasons: dict[str, str] = {}
    with LocalFleet([SPECS[server] for server in SERVERS], ProcessEngine(settings), model, settings) as fleet:
        fleet.start(SERVERS, Probe(factory, BATCHES))
        reasons |= {backend: absence.reason for backend, absence in fleet.absent.items()}
        for system in fleet.running.values():
            for endpoint in system.endpoints.values():
                refusal = factory.refusal(endpoint)
                if refusal:
                    reasons[endpoint.id] = refusal
                    continue
                for batch_size in filter(model.signature.takes, BATCHES):
                    check(factory, system, endpoint, batch_size)
    expected = NOT_MEASURED.get(name, {})
    assert reasons.keys() == expected.keys(), reasons
    for backend, reason in expected.items():
        assert reason in reasons[backend]


def check(factory: PayloadFactory, system, endpoint: Endpoint, batch_size: int) -> None:  # type: ignore[no-untyped-def]
    """Raise MalformedAnswer unless the first two requests of that size are answered rightly."""
    payload_set = factory.payload_set(endpoint, batch_size)
    verifier = factory.verifier(payload_set.codec, payload_set.payloads, payload_set.expected)
    transport = open_transport(system, endpoint, factory.model)
    transport.connect()
    try:
        for index, payload in enumerate(payload_set.payloads[:2]):
            transport.ensure_connected()
            verifier.check(Answer(index, transport.exchange(transport.prepare(payload))))
    finally:
        transport.close()
