"""Every protocol over models of any signature: what it carries comes back bit by bit, what it cannot is refused in words."""

import json
import struct

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.contract.errors import MalformedAnswer, NotCarried
from bench.contract.tensors import DTYPES, FREE, Array, Signature, Tensors, TensorSpec
from bench.protocols import _inference_pb2, _tfserving_pb2, codec, protocol_names

IDS = TensorSpec("ids", "int64", (FREE, 3))
MASK = TensorSpec("mask", "int64", (FREE, 3))
RATE = TensorSpec("rate", "int32", (), batched=False)
SCORES = TensorSpec("scores", "float32", (FREE, 2))
LABEL = TensorSpec("label", "int64", (FREE,))
TWO = Signature((IDS, MASK), (SCORES, LABEL), scores="scores")
TOKENS: Tensors = {"ids": np.array([[1, 2, 3], [4, 5, 6]]), "mask": np.array([[1, 1, 0], [1, 1, 1]])}
ANSWER: Tensors = {"scores": np.array([[0.5, 0.25], [0.0, 1.0]], np.float32), "label": np.array([0, 1])}


@st.composite
def tensors(draw: st.DrawFn, name: str, items: int) -> tuple[TensorSpec, Array]:
    """An input or output of any dtype, of up to three axes behind its items or with none of its own, some lengths free."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    lengths = tuple(draw(st.lists(st.integers(1, 3), max_size=3)))
    batched = draw(st.booleans()) or name.endswith("0")
    known = tuple(length if draw(st.booleans()) else FREE for length in lengths)
    shape = (items, *lengths) if batched else lengths
    array = draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)))
    return TensorSpec(name, dtype.name, (FREE, *known) if batched else known, batched), np.asarray(array)


@st.composite
def models(draw: st.DrawFn) -> tuple[Signature, Tensors, Tensors]:
    """A signature with up to three inputs and outputs, and arrays for both."""
    items = draw(st.integers(1, 3))
    sides = [[draw(tensors(f"{side}{k}", items)) for k in range(draw(st.integers(1, 3)))] for side in ("in", "out")]
    signature = Signature(tuple(spec for spec, _ in sides[0]), tuple(spec for spec, _ in sides[1]))
    inputs, outputs = ({spec.name: array for spec, array in side} for side in sides)
    return signature, inputs, outputs


@pytest.mark.parametrize("name", protocol_names())
@given(model=models())
def test_what_is_carried_comes_back_bit_by_bit(name: str, model: tuple[Signature, Tensors, Tensors]) -> None:
    """All outputs by their names, of the same dtype, shape and values; a request can always be made."""
    signature, inputs, outputs = model
    try:
        wire = codec(name, signature)
    except NotCarried:
        return
    assert wire.encode(inputs)[0]
    answered = wire.decode(wire.encode_answer(outputs))
    assert set(answered) == set(outputs)
    for key, array in outputs.items():
        assert (answered[key].dtype, answered[key].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(answered[key], array)


@pytest.mark.parametrize(
    ("name", "signature", "reason"),
    [
        ("raw", TWO, "it has one input, the model 2"),
        ("raw", Signature((IDS,), (SCORES, LABEL)), "it has one output, the model 2"),
        ("raw", Signature((RATE,), (SCORES,)), "it carries items, and the input rate int32 [] is none"),
        (
            "raw",
            Signature((TensorSpec("x", "float32", (FREE, FREE, FREE)),), (SCORES,)),
            "it says nothing of shapes, and x float32 [n, ?, ?] leaves more than one length free",
        ),
        ("v2-json", Signature((TensorSpec("x", "float16", (FREE, 2)),), (SCORES,)), "it has no float16, which x is"),
        ("graphpipe", Signature((TensorSpec("x", "bool", (FREE, 2)),), (SCORES,)), "it has no bool, which x is"),
    ],
)
def test_what_cannot_be_carried_is_said(name: str, signature: Signature, reason: str) -> None:
    """These words stand in the cell's row."""
    with pytest.raises(NotCarried) as error:
        codec(name, signature)
    assert str(error.value) == f"{name} cannot carry this model: {reason}"


def test_v1_json_has_rows_by_name_and_columns_where_something_counts_no_items() -> None:
    """As TensorFlow Serving's REST API has them."""
    rows = codec("v1-json", TWO)
    assert orjson.loads(rows.encode(TOKENS)[0]) == {
        "instances": [{"ids": [1, 2, 3], "mask": [1, 1, 0]}, {"ids": [4, 5, 6], "mask": [1, 1, 1]}]
    }
    assert orjson.loads(rows.encode_answer(ANSWER)) == {
        "predictions": [{"scores": [0.5, 0.25], "label": 0}, {"scores": [0.0, 1.0], "label": 1}]
    }
    columns = codec("v1-json", Signature((IDS, RATE), (SCORES,)))
    body = columns.encode({"ids": TOKENS["ids"], "rate": np.array(16000, np.int32)})[0]
    assert orjson.loads(body) == {"inputs": {"ids": [[1, 2, 3], [4, 5, 6]], "rate": 16000}}
    for answer in ({"outputs": [[0.5, 0.25]]}, {"outputs": {"scores": [[0.5, 0.25]]}}):
        np.testing.assert_array_equal(columns.decode(orjson.dumps(answer))["scores"], [[0.5, 0.25]])


def test_v2_names_every_tensor_in_each_of_its_forms() -> None:
    """Names, datatypes and shapes of all inputs; all outputs are asked for; binary values follow in that order."""
    names = ("ids", "mask")
    inputs = [{"name": name, "shape": [2, 3], "datatype": "INT64"} for name in names]
    document = json.loads(codec("v2-json", TWO).encode(TOKENS)[0])
    assert document["inputs"] == [
        {**each, "data": TOKENS[name].ravel().tolist()} for name, each in zip(names, inputs, strict=True)
    ]
    assert document["outputs"] == [{"name": "scores"}, {"name": "label"}]
    body, _, ((_, length),) = codec("v2-binary", TWO).encode(TOKENS)
    assert json.loads(body[: int(length)])["inputs"] == [{**each, "parameters": {"binary_data_size": 48}} for each in inputs]
    assert body[int(length) :] == struct.pack("<12q", 1, 2, 3, 4, 5, 6, 1, 1, 0, 1, 1, 1)
    request = _inference_pb2.ModelInferRequest.FromString(codec("v2-grpc", TWO, "bert").encode(TOKENS)[0])
    assert request.model_name == "bert"
    assert [(each.name, each.datatype, list(each.shape)) for each in request.inputs] == [
        ("ids", "INT64", [2, 3]),
        ("mask", "INT64", [2, 3]),
    ]
    assert [each.name for each in request.outputs] == ["scores", "label"]


def test_tensorflow_serving_gets_typed_tensors_by_name() -> None:
    """The same message in every process, whatever the order of a map is there."""
    body = codec("tfserving-grpc", TWO).encode(TOKENS)[0]
    request = _tfserving_pb2.PredictRequest.FromString(body)
    assert {name: tensor.dtype for name, tensor in request.inputs.items()} == {"ids": 9, "mask": 9}
    assert body == codec("tfserving-grpc", TWO).encode({"mask": TOKENS["mask"], "ids": TOKENS["ids"]})[0]


@pytest.mark.parametrize("name", ["v1-json", "v2-json", "v2-binary", "v2-grpc", "tfserving-grpc", "graphpipe"])
@pytest.mark.parametrize("fault", ["name", "missing", "dtype", "shape"])
def test_an_answer_of_another_signature_is_refused(name: str, fault: str) -> None:
    """Another name, an output too few, whole numbers for scores, an axis too many: never taken for the model's own."""
    specs, arrays = list(TWO.outputs), dict(ANSWER)
    if fault == "name":
        specs[1] = TensorSpec("labels", "int64", (FREE,))
        arrays["labels"] = arrays.pop("label")
    elif fault == "missing":
        del specs[1], arrays["label"]
    elif fault == "dtype":
        specs[1], arrays["label"] = TensorSpec("label", "float32", (FREE,)), np.array([0.5, 1.5], np.float32)
    else:
        specs[1], arrays["label"] = TensorSpec("label", "int64", (FREE, 1)), np.array([[0], [1]])
    body = codec(name, Signature(TWO.inputs, tuple(specs))).encode_answer(arrays)
    if (name, fault) == ("graphpipe", "name"):  # its tensors have none
        return
    with pytest.raises(MalformedAnswer):
        codec(name, TWO).decode(body)


@pytest.mark.parametrize("name", protocol_names())
def test_only_the_signatures_own_arrays_are_encoded(name: str) -> None:
    """Another name, dtype or shape is a mistake of the caller, told before anything is sent."""
    wire = codec(name, Signature((IDS,), (SCORES,)))
    for wrong in ({"id": TOKENS["ids"]}, {"ids": TOKENS["ids"].astype(np.int32)}, {"ids": TOKENS["ids"][:, :2]}, {}):
        with pytest.raises(ValueError, match="a message holds ids"):
            wire.encode(wrong)
