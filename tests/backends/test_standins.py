"""What the measuring side makes of servers that are here as stand-ins only: readiness, right and wrong answers, errors."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from bench.contract.errors import ErrorStatus, MalformedAnswer
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Scenario
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint
from bench.load.scheduler import Settings
from bench.verification.probe import Probe
from tests.backends.contract import behind, endpoints_of, exchange, started
from tests.bench.scripted import IMAGES, PREDICT, WIDTH, ScriptedSystem, little_dataset, little_factory, measuring
from tests.flat import flat_codec as codec
from tests.flat import images_of
from tests.standins import tfserving, triton
from tests.standins.graphpipe import graphpipe

TOO_NARROW = rf"Matrix size-incompatible: In\[0\]: \[3,{WIDTH - 1}\]"


@dataclass(frozen=True, slots=True)
class StandIn:
    """A running one as a backend with one endpoint; `model.predict` is what it answers with, `load` loads and unloads it.

    `unloaded` is what it says meanwhile, `narrow` what it says to images of a pixel less.
    """

    system: ScriptedSystem
    model: Any
    load: Callable[[bool], None]
    unloaded: str
    narrow: str = TOO_NARROW


@contextlib.contextmanager
def of_tensorflow_serving(endpoint: Endpoint, tensor_content: bool = False) -> Iterator[StandIn]:
    model = tfserving.ServedModel(PREDICT, WIDTH, tensor_content=tensor_content)
    with tfserving.tfserving(model) as server:
        system = behind(endpoint, server)
        words = r"(404|NOT_FOUND).*Servable not found for request: Latest\(emnist\)"
        yield StandIn(system, model, partial(setattr, model, "available"), words)


@contextlib.contextmanager
def of_triton(endpoint: Endpoint) -> Iterator[StandIn]:
    model = triton.ServedModel(PREDICT, WIDTH)
    with triton.triton(model) as server:
        system = behind(endpoint, server)
        words = r"(404|NOT_FOUND).*Request for unknown model: 'emnist' has no available versions"
        narrow = rf"Expected \[-1,{WIDTH}\], got \[3,{WIDTH - 1}\]"
        yield StandIn(system, model, partial(setattr, model, "available"), words, narrow)


@contextlib.contextmanager
def of_graphpipe(endpoint: Endpoint) -> Iterator[StandIn]:
    """It is loaded when it starts: instead of unloading it gets another model, which none of our images fits."""
    with graphpipe(PREDICT, WIDTH) as server:
        load = lambda loaded: setattr(server, "width", WIDTH if loaded else 1)  # noqa: E731
        yield StandIn(started(endpoint, server.server_port), server, load, "HTTP status 400.*Matrix size-incompatible")


STANDINS: Mapping[str, tuple[Callable[[Endpoint], contextlib.AbstractContextManager[StandIn]], Endpoint]] = {
    **{f"tensorflow-serving-{each.name}": (of_tensorflow_serving, each) for each in endpoints_of("tensorflow-serving")},
    "tensorflow-serving-grpc-content": (
        partial(of_tensorflow_serving, tensor_content=True),
        endpoints_of("tensorflow-serving")[1],
    ),
    **{f"triton-{each.name}": (of_triton, each) for each in endpoints_of("triton-image")},
    "graphpipe": (of_graphpipe, endpoints_of("graphpipe")[0]),
}


@pytest.fixture(params=STANDINS)
def standin(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    """Each of them, in each of its protocols."""
    of, endpoint = STANDINS[request.param]
    with of(endpoint) as running:
        yield running


def measured(standin: StandIn) -> Record:
    """What a short campaign in batches says of it."""
    name = standin.system.backend.name
    campaigns, cells, records = measuring({name: standin.system}, Scenario("batch8", batch_size=8), Settings(max_time_s=0.1))
    campaigns.result(cells[name])
    return records[name][0]


def test_it_is_ready_when_it_answers_rightly(standin: StandIn) -> None:
    """Not while the model loads, which is told in the server's words, and not with another model's answers."""
    probe = Probe(little_factory(), [1])
    standin.load(False)
    with pytest.raises(ErrorStatus, match=standin.unloaded):
        probe(standin.system)
    standin.load(True)
    probe(standin.system)
    standin.model.predict = lambda images: PREDICT(images)[:, ::-1]
    with pytest.raises(MalformedAnswer, match="the reference says"):
        probe(standin.system)


def test_a_campaign_ends_with_all_answers_verified(standin: StandIn) -> None:
    """In batches over kept connections: every answer right, the model's own accuracy."""
    record = measured(standin)
    assert record.verdict not in (Verdict.WRONG_ANSWERS, Verdict.FAILED, Verdict.NOT_MEASURED), record.reason
    assert record.accuracy == pytest.approx((IMAGES - 1) / IMAGES)
    assert record.agreement == 1.0
    assert record.answers_verified >= record.exchanges > 0


def test_wrong_scores_are_wrong_answers(standin: StandIn) -> None:
    """A server that is wrong in one of its answers loses its cell, and is told which image."""
    answered = iter(range(1 << 30))

    def wrong_once(images: FloatArray) -> FloatArray:
        scores = PREDICT(images)
        return np.roll(scores, 1, axis=1) if next(answered) == 20 else scores

    standin.model.predict = wrong_once
    record = measured(standin)
    assert record.verdict is Verdict.WRONG_ANSWERS, record.reason
    assert "the reference says" in record.reason


def test_an_unloaded_model_fails_its_cell_in_the_servers_words(standin: StandIn) -> None:
    """A model that is unloaded in the middle of a campaign: errors are counted and told, no answer is invented."""
    answered = iter(range(1 << 30))

    def unloading(images: FloatArray) -> FloatArray:
        standin.load(next(answered) < 20)
        return PREDICT(images)

    standin.model.predict = unloading
    record = measured(standin)
    assert record.verdict is Verdict.FAILED
    assert re.search(standin.unloaded, record.reason)


def test_a_wrong_width_is_told(standin: StandIn) -> None:
    """What our own codecs send of images that are too narrow comes back as the server's own complaint."""
    (endpoint,) = standin.system.endpoints.values()
    body, _, headers = codec(endpoint.protocol).encode(np.ascontiguousarray(images_of(little_dataset())[:3, 1:]))
    with pytest.raises(ErrorStatus, match=standin.narrow):
        exchange(standin.system, body, headers)


def test_an_answer_that_is_not_finite_is_refused(standin: StandIn) -> None:
    """As JSON's token NaN, which is none, or as a float: neither passes for scores."""
    standin.model.predict = lambda asked: np.full((len(asked), 5), np.nan, dtype=np.float32)
    (endpoint,) = standin.system.endpoints.values()
    body, _, headers = codec(endpoint.protocol).encode(images_of(little_dataset())[:3])
    with pytest.raises(MalformedAnswer):
        codec(endpoint.protocol).decode(exchange(standin.system, body, headers))
