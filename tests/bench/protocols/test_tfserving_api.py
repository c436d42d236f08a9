"""Our part of TensorFlow Serving's messages against the official package `tensorflow-serving-api`: equal bytes both ways.

Skipped where that package is not installed: it needs the whole of TensorFlow. `tox -e tfserving-api` installs and runs it.
"""

import importlib.util
import warnings
from types import ModuleType, SimpleNamespace

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor

from bench.contract.tensors import FloatArray
from bench.protocols import _tfserving_pb2 as ours
from tests.flat import flat_codec as codec
from tests.standins.tfserving import ServedModel, tfserving

CODEC = codec("tfserving-grpc")
SHAPES = [(1, 784), (3, 784), (128, 784)]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_serving") is None, reason="needs tensorflow-serving-api: tox -e tfserving-api"
)


@pytest.fixture(scope="module")
def official() -> SimpleNamespace:
    """The official generated modules and TensorFlow; the import is slow, and warns of what is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SimpleNamespace(
            tf=_module("tensorflow"),
            predict=_module("tensorflow_serving.apis.predict_pb2"),
            metadata=_module("tensorflow_serving.apis.get_model_metadata_pb2"),
            signatures=_module("tensorflow.core.protobuf.meta_graph_pb2"),
            service=_module("tensorflow_serving.apis.prediction_service_pb2_grpc"),
        )


def _module(name: str) -> ModuleType:
    return importlib.import_module(name)


def some(shape: tuple[int, int]) -> FloatArray:
    """Random values in 0..1, the same on each call."""
    return np.random.default_rng(shape[0]).random(shape, dtype=np.float32)


def official_request(official: SimpleNamespace, images: FloatArray) -> bytes:
    """The request as a user of the official package writes it."""
    request = official.predict.PredictRequest()
    request.model_spec.name = "emnist"
    request.model_spec.signature_name = "serving_default"
    request.inputs["images"].CopyFrom(official.tf.make_tensor_proto(images))
    body: bytes = request.SerializeToString()
    return body


def official_answer(official: SimpleNamespace, scores: FloatArray, *, as_content: bool) -> bytes:
    """The answer with the official messages, as the server fills them."""
    response = official.predict.PredictResponse()
    response.model_spec.name = "emnist"
    response.model_spec.version.value = 1
    response.model_spec.signature_name = "serving_default"
    tensor = response.outputs["scores"]
    tensor.dtype = official.tf.float32.as_datatype_enum
    for length in scores.shape:
        tensor.tensor_shape.dim.add().size = length
    if as_content:
        tensor.tensor_content = scores.tobytes()
    else:
        tensor.float_val.extend(scores.ravel().tolist())
    body: bytes = response.SerializeToString()
    return body


@pytest.mark.parametrize("shape", SHAPES)
def test_requests_are_equal_to_the_byte(official: SimpleNamespace, shape: tuple[int, int]) -> None:
    """Our request is what the official client would have sent."""
    assert CODEC.encode(some(shape))[0] == official_request(official, some(shape))


@pytest.mark.parametrize("shape", [(1, 62), (3, 62), (128, 62)])
def test_answers_are_equal_to_the_byte(official: SimpleNamespace, shape: tuple[int, int]) -> None:
    """What null answers is what the real server would, and both ways of the real server are read."""
    scores = some(shape)
    assert CODEC.encode_answer(scores) == official_answer(official, scores, as_content=False)
    for as_content in (False, True):
        np.testing.assert_array_equal(CODEC.decode(official_answer(official, scores, as_content=as_content)), scores)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("PredictRequest", "predict"),
        ("PredictResponse", "predict"),
        ("GetModelMetadataRequest", "metadata"),
        ("GetModelMetadataResponse", "metadata"),
        ("SignatureDefMap", "metadata"),
        ("SignatureDef", "signatures"),
    ],
)
def test_every_field_is_the_official_one(official: SimpleNamespace, name: str, module: str) -> None:
    """Number, type and label of each field that we know, to any depth."""
    truth = getattr(official, module).DESCRIPTOR.message_types_by_name[name]
    assert_fields_agree(ours.DESCRIPTOR.message_types_by_name[name], truth)


def assert_fields_agree(known: Descriptor | None, truth: Descriptor | None) -> None:
    """Each field of a message, and of the messages in it, has its official number, type and label."""
    assert known is not None
    assert truth is not None
    for field in known.fields:
        other = truth.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated), field.full_name
        if field.message_type is not None:
            assert_fields_agree(field.message_type, other.message_type)


@pytest.mark.parametrize("as_content", [False, True])
def test_the_official_stub_understands_the_stand_in(official: SimpleNamespace, as_content: bool) -> None:
    """What our contract tests talk to is to TensorFlow's own client a TensorFlow Serving."""
    images = some((3, 784))
    model = ServedModel(lambda asked: asked[:, :62], width=784, tensor_content=as_content)
    with tfserving(model) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = official.service.PredictionServiceStub(channel)
        response = stub.Predict(official.predict.PredictRequest.FromString(official_request(official, images)), timeout=10)
    np.testing.assert_array_equal(official.tf.make_ndarray(response.outputs["scores"]), images[:, :62])
    assert response.model_spec.version.value == 1
