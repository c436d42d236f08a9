"""The real tritonserver beside its stand-in, asked the same: what the contract tests rest on (only with SERVEBENCH_SLOW)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests

from bench.contract.system import Model
from bench.contract.wire import Endpoint
from bench.protocols import codec
from bench.transports.connect import open_transport
from bench.verification.payloads import PayloadFactory
from bench.verification.probe import Probe
from fixtures.engines.base import EngineSettings
from fixtures.engines.process.process import ProcessEngine
from fixtures.fleet.fleet import LocalFleet
from fixtures.host.cache import cache_root
from fixtures.host.run_identity import RunIdentity
from fixtures.model.load import load_model
from fixtures.specs.manifest import load_spec
from tests.bench.scripted import ScriptedSystem, little_dataset
from tests.standins.triton import METHOD, triton
from tests.standins.triton_model import ServedModel
from tests.standins.triton_questions import INFER, Question, grpc_questions, rest_questions

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("SERVEBENCH_SLOW"), reason="SERVEBENCH_SLOW is not set"),
]

MANIFEST = Path(__file__).parents[2] / "fixtures" / "backends" / "triton" / "backend.toml"
WIDTH = 784
Pair = tuple[dict[str, Endpoint], dict[str, Endpoint]]


@pytest.fixture(scope="module")
def model() -> Model:
    """The project's own."""
    return load_model()


@pytest.fixture(scope="module")
def pair(model: Model) -> Iterator[Pair]:
    """The endpoints of the real server and of the stand-in, around the same model."""
    spec = load_spec(MANIFEST)
    settings = EngineSettings(RunIdentity.new(), (min(os.sched_getaffinity(0)),), cache_root(), print)
    dataset = replace(little_dataset(), images=np.random.default_rng(0).random((24, WIDTH), dtype=np.float32))
    with ExitStack() as stack:
        fleet = stack.enter_context(LocalFleet([spec], ProcessEngine(settings), model, settings))
        fleet.start([spec.name], Probe(PayloadFactory(dataset, model.predictor), [1]))
        if spec.name in fleet.absent:
            pytest.skip(fleet.absent[spec.name].reason)
        standin = stack.enter_context(triton(ServedModel(model.predictor, WIDTH)))
        ports = {8000: standin.rest_port, 8001: standin.grpc_port}
        own = {each.name: each.located("127.0.0.1", ports[each.port]) for each in spec.backend.endpoints}
        yield dict(fleet.running[spec.name].endpoints), own


@contextmanager
def channel(endpoint: Endpoint) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"{endpoint.host}:{endpoint.port}") as opened:
        yield opened


def said_over_rest(endpoint: Endpoint, question: Question) -> tuple[int, str]:
    url = f"http://{endpoint.host}:{endpoint.port}{question.path}"
    headers = {"Content-Type": "application/json", **question.headers}
    answer = requests.post(url, data=question.body, headers=headers, timeout=20)
    # Of a text that cannot be parsed each parser says something else.
    error = str(json.loads(answer.content)["error"]).partition("JSON buffer:")[0]
    return answer.status_code, error


def said_over_grpc(endpoint: Endpoint, question: Question) -> tuple[str, str | None]:
    with channel(endpoint) as opened:
        call = opened.unary_unary(METHOD, request_serializer=None, response_deserializer=None)
        with pytest.raises(grpc.RpcError) as refused:
            call(question.body, timeout=20)
    return refused.value.code().name, refused.value.details()


@pytest.mark.parametrize("question", list(rest_questions(WIDTH)), ids=lambda question: question.words[:40])
def test_both_refuse_in_the_same_words_over_rest(pair: Pair, question: Question) -> None:
    """Status and text are the real server's."""
    real, standin = (said_over_rest(endpoints["rest"], question) for endpoints in pair)
    assert real[0] == question.status
    assert standin == real


@pytest.mark.parametrize("question", list(grpc_questions(WIDTH)), ids=lambda question: question.words[:40])
def test_both_refuse_in_the_same_words_over_grpc(pair: Pair, question: Question) -> None:
    """Code and text are the real server's."""
    real, standin = (said_over_grpc(endpoints["grpc"], question) for endpoints in pair)
    assert real[0] == question.status
    assert standin == real


@pytest.mark.parametrize("name", ["rest", "binary", "grpc"])
@pytest.mark.parametrize("batch_size", [1, 3, 128])
def test_both_answer_alike(pair: Pair, model: Model, name: str, batch_size: int) -> None:
    """The same images, the same scores, in every form and batch size."""
    images = np.random.default_rng(batch_size).random((batch_size, WIDTH), dtype=np.float32)
    dataset = replace(little_dataset(), images=images, labels=np.zeros(batch_size, dtype=np.int64))
    for endpoints in pair:
        endpoint = endpoints[name]
        payload_set = PayloadFactory(dataset, model.predictor).payload_set(codec(endpoint.protocol), batch_size)
        transport = open_transport(ScriptedSystem(load_spec(MANIFEST).backend, endpoint), endpoint)
        transport.connect()
        try:
            scores = payload_set.codec.decode(transport.exchange(transport.prepare(payload_set.payloads[0])))
        finally:
            transport.close()
        np.testing.assert_allclose(scores, model.predictor(images), atol=1e-5)


def test_both_describe_themselves_alike(pair: Pair) -> None:
    """What [ready.status] reads, and the answer's own shape in JSON."""
    real, standin = (endpoints["rest"] for endpoints in pair)
    for path in ("/v2/models/emnist", "/v2/models/other", "/v2/models/other/ready"):
        seen = [requests.get(f"http://{each.host}:{each.port}{path}", timeout=20) for each in (real, standin)]
        assert seen[0].status_code == seen[1].status_code
        told = [{**answer.json(), "platform": ""} for answer in seen]
        assert told[0] == told[1]
    body = codec("v2-json").encode(np.full((1, WIDTH), 0.5, np.float32))[0]
    answers = [
        requests.post(f"http://{each.host}:{each.port}{INFER}", data=body, timeout=20).json() for each in (real, standin)
    ]
    for answer in answers:
        (output,) = answer["outputs"]
        output.pop("data")
    assert answers[0] == answers[1]
