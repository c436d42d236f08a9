"""The Open Inference Protocol in its three forms: golden bytes, requests of any batch, and answers that are refused."""

import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols import _inference_pb2 as messages
from tests.flat import flat_codec as codec

JSON, BINARY, GRPC = codec("v2-json"), codec("v2-binary"), codec("v2-grpc")
TWO_BY_TWO = np.array([[0.1, 1.0], [0.0, 0.25]], dtype=np.float32)
VALUES = struct.pack("<4f", 0.1, 1.0, 0.0, 0.25)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
IMAGES = hnp.arrays(np.float32, st.tuples(st.integers(1, 130), st.integers(1, 20)), elements=FLOATS)

BINARY_HEAD = (
    b'{"id":"1",'
    b'"inputs":[{"name":"images","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],'
    b'"outputs":[{"name":"scores","parameters":{"binary_data":true}}]}'
)
# Each line: tag and length of a field, then what it holds; the comments name fields by the protocol's inference.proto.
REQUEST = b"".join(
    (
        b"\x0a\x06emnist",  # model_name (1)
        b"\x1a\x011",  # id (3)
        b"\x2a\x12",  # inputs (5), 18 bytes
        b"\x0a\x06images",  # name (1)
        b"\x12\x04FP32",  # datatype (2)
        b"\x1a\x02\x02\x02",  # shape (3), packed
        b"\x32\x08",  # outputs (6), 8 bytes
        b"\x0a\x06scores",  # name (1)
        b"\x3a\x10" + VALUES,  # raw_input_contents (7)
    )
)
OUTPUT = b"\x0a\x06scores" + b"\x12\x04FP32" + b"\x1a\x02\x02\x02"  # name, datatype, shape
ANSWER = b"".join(
    (
        b"\x0a\x06emnist",  # model_name (1)
        b"\x12\x011",  # model_version (2)
        b"\x1a\x011",  # id (3)
        b"\x2a\x12" + OUTPUT,  # outputs (5), 18 bytes
        b"\x32\x10" + VALUES,  # raw_output_contents (6)
    )
)
LISTED_ANSWER = b"".join(
    (
        b"\x0a\x06emnist",
        b"\x2a\x26" + OUTPUT,  # outputs (5), 38 bytes
        b"\x2a\x12",  # contents (5), 18 bytes
        b"\x32\x10" + VALUES,  # fp32_contents (6), packed
    )
)


def json_answer(**changes: object) -> bytes:
    """A right answer in JSON but for `changes` of its one output; a None takes the key away."""
    output = {"name": "scores", "shape": [2, 2], "datatype": "FP32", "data": [0.1, 1.0, 0.0, 0.25], **changes}
    kept = {key: value for key, value in output.items() if value is not None}
    return orjson.dumps({"model_name": "emnist", "outputs": [kept]})


def binary_answer(data: bytes = VALUES, /, **changes: object) -> bytes:
    """The same in binary."""
    changes = {"data": None, "parameters": {"binary_data_size": len(data)}, **changes}
    return json_answer(**changes) + data


def grpc_answer(
    raw: list[bytes] | None = None, name: str = "scores", datatype: str = "FP32", shape: tuple[int, ...] = (2, 2), **listed: Any
) -> bytes:
    """The same over gRPC; `listed` are contents of the output itself."""
    output = messages.ModelInferResponse.InferOutputTensor(
        name=name, datatype=datatype, shape=shape, contents=messages.InferTensorContents(**listed) if listed else None
    )
    return messages.ModelInferResponse(outputs=[output], raw_output_contents=raw or []).SerializeToString()


def test_json_golden_bytes() -> None:
    """Flat data in the shortest digits, always an id, the output asked for by name."""
    body, content_type, headers = JSON.encode(TWO_BY_TWO)
    assert body == (
        b'{"id":"1",'
        b'"inputs":[{"name":"images","shape":[2,2],"datatype":"FP32","data":[0.1,1.0,0.0,0.25]}],'
        b'"outputs":[{"name":"scores"}]}'
    )
    assert (content_type, headers) == ("application/json", ())
    assert JSON.encode_answer(TWO_BY_TWO) == (
        b'{"model_name":"emnist","model_version":"1","id":"1",'
        b'"outputs":[{"name":"scores","shape":[2,2],"datatype":"FP32","data":[0.1,1.0,0.0,0.25]}]}'
    )


def test_binary_golden_bytes() -> None:
    """JSON, its length in the header of the extension, then the values little-endian; binary is asked for in return."""
    body, content_type, headers = BINARY.encode(TWO_BY_TWO)
    assert body == BINARY_HEAD + VALUES
    assert (content_type, headers) == ("application/octet-stream", (("Inference-Header-Content-Length", "172"),))
    assert len(BINARY_HEAD) == 172
    assert BINARY.encode_answer(TWO_BY_TWO) == (
        b'{"model_name":"emnist","model_version":"1","id":"1",'
        b'"outputs":[{"name":"scores","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}]}' + VALUES
    )


def test_grpc_golden_bytes() -> None:
    """A request and an answer byte for byte as the protocol's .proto prescribes."""
    assert GRPC.transport == "grpc"
    assert GRPC.encode(TWO_BY_TWO) == (REQUEST, "application/grpc", ())
    assert GRPC.encode_answer(TWO_BY_TWO) == ANSWER
    for body in (ANSWER, LISTED_ANSWER):
        np.testing.assert_array_equal(GRPC.decode(body), TWO_BY_TWO)


@given(images=IMAGES)
def test_json_requests_hold_the_very_images(images: FloatArray) -> None:
    """Shape and float32 bits of any batch stand in the request, flat in row-major order."""
    (tensor,) = orjson.loads(JSON.encode(images)[0])["inputs"]
    assert tensor["shape"] == list(images.shape)
    np.testing.assert_array_equal(np.array(tensor["data"], dtype=np.float32), images.ravel())


@given(images=IMAGES)
def test_binary_requests_hold_the_very_images(images: FloatArray) -> None:
    """The header says where the JSON ends, the JSON how much follows it, and that is the images."""
    body, _, ((name, length),) = BINARY.encode(images)
    assert name == "Inference-Header-Content-Length"
    (tensor,) = orjson.loads(body[: int(length)])["inputs"]
    assert tensor["shape"] == list(images.shape)
    assert tensor["parameters"]["binary_data_size"] == len(body) - int(length)
    assert body[int(length) :] == images.tobytes()


@given(images=IMAGES)
def test_grpc_requests_hold_the_very_images(images: FloatArray) -> None:
    """Shape and float32 bits of any batch stand in the request."""
    request = messages.ModelInferRequest.FromString(GRPC.encode(images)[0])
    (tensor,), (raw,) = request.inputs, request.raw_input_contents
    assert (list(tensor.shape), raw) == (list(images.shape), images.tobytes())


@given(scores=hnp.arrays(np.float32, st.tuples(st.integers(1, 130), st.integers(1, 5)), elements=FLOATS))
def test_every_form_of_values_is_read(scores: FloatArray) -> None:
    """Flat, in rows, as FP64, raw, listed: the same scores."""
    shape, wide = scores.shape, scores.astype(np.float64)
    for found in (
        JSON.decode(json_answer(shape=shape, data=scores.tolist())),
        JSON.decode(json_answer(shape=shape, data=scores.ravel().tolist(), datatype="FP64")),
        BINARY.decode(binary_answer(scores.tobytes(), shape=shape)),
        BINARY.decode(binary_answer(wide.tobytes(), shape=shape, datatype="FP64")),
        GRPC.decode(grpc_answer([scores.tobytes()], shape=shape)),
        GRPC.decode(grpc_answer([wide.tobytes()], datatype="FP64", shape=shape)),
        GRPC.decode(grpc_answer(shape=shape, fp32_contents=scores.ravel())),
        GRPC.decode(grpc_answer(shape=shape, datatype="FP64", fp64_contents=wide.ravel())),
    ):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, scores)


def test_the_output_is_found_by_its_name_among_several() -> None:
    """A server that also says something else is understood where the bytes tell which is which."""
    label = {"name": "label", "shape": [2], "datatype": "INT64", "data": [1, 0]}
    scores = {"name": "scores", "shape": [2, 2], "datatype": "FP32", "data": [0.1, 1.0, 0.0, 0.25]}
    np.testing.assert_array_equal(JSON.decode(orjson.dumps({"outputs": [label, scores]})), TWO_BY_TWO)
    first = messages.ModelInferResponse.InferOutputTensor(name="label", datatype="INT64", shape=[2])
    answer = messages.ModelInferResponse(outputs=[first], raw_output_contents=[bytes(16)]).SerializeToString()
    np.testing.assert_array_equal(GRPC.decode(answer + ANSWER), TWO_BY_TWO)


def test_an_echo_of_the_id_and_further_keys_change_nothing() -> None:
    """White space, text beyond ASCII, parameters: all as the protocol allows."""
    extra = b' { "id" : "1", "model_name" : "\xc3\xa4", "parameters": {"a": 1},  "outputs" : '
    output = b'[ {"name":"scores", "datatype":"FP32", "shape":[2,2], "parameters":{%s}%s} ] }'
    np.testing.assert_array_equal(JSON.decode(extra + output % (b"", b', "data":[1e-1,1,0,0.25]') + b"\n"), TWO_BY_TWO)
    body = extra.lstrip() + output % (b'"x":true, "binary_data_size":16', b"") + VALUES
    np.testing.assert_array_equal(BINARY.decode(body), TWO_BY_TWO)


WRONG_TENSORS: list[tuple[dict[str, object], str]] = [
    ({"shape": [4]}, r"seen shape \[4\]"),
    ({"shape": [1, 2, 2]}, r"seen shape \[1, 2, 2\]"),
    ({"shape": [0, 2]}, r"seen shape \[0, 2\]"),
    ({"shape": [-2, -2]}, r"seen shape \[-2, -2\]"),
    ({"shape": [3, 2]}, r"shape \[3, 2\] with 4 values"),
    ({"shape": [2, 2.0]}, "seen"),
    ({"shape": "22"}, "seen the shape '22'"),
    ({"shape": None}, "seen the shape None"),
    ({"datatype": "FP16"}, "seen float16"),
    ({"datatype": ["FP32"]}, "seen"),
    ({"datatype": None}, "seen None"),
]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *((json_answer(**changes), message) for changes, message in WRONG_TENSORS),
        (b'{"error": "unknown model"}', "seen an error: unknown model"),
        (b"[1]", "seen a list"),
        (b'{"predictions": []}', r"'outputs' with a list of tensors, seen \['predictions'\]"),
        (b'{"outputs": {}}', "list of tensors"),
        (b'{"outputs": [[]]}', "list of tensors"),
        (b'{"outputs": []}', r"expected the output 'scores', seen \[\]"),
        (b'{"outputs": [{"name": "a"}, {"name": "b"}]}', r"expected the output 'scores', seen \['a', 'b'\]"),
        (json_answer(data=None), "equally long lists, seen None"),
        (json_answer(data="0.5"), "equally long lists, seen 0.5"),
        (json_answer(data=[0.1, 1.0, 0.0]), "with 3 values"),
        (json_answer(data=[]), "with 0 values"),
        (json_answer(data=[[0.1, 1.0], [0.0]]), "equally long lists"),
        (json_answer(data=[[0.1, 1.0], 0.0, 0.25]), "equally long lists"),
        (json_answer(data=[0.1, 1.0, 0.0, "0.25"]), "nothing but float32 values"),
        (json_answer(data=[0.1, 1.0, 0.0, True]), "nothing but float32 values"),
        (json_answer(data=[0.1, 1.0, 0.0, 1e39]), "infinity in row 1"),
        (json_answer()[:-1], "expected JSON"),
        (binary_answer(), "expected JSON"),
    ],
)
def test_json_answers_that_are_no_scores(body: bytes, message: str) -> None:
    """Each way in which an answer in JSON can be wrong is refused and named."""
    with pytest.raises(MalformedAnswer, match=message):
        JSON.decode(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        *((binary_answer(**changes), message) for changes, message in WRONG_TENSORS),
        (json_answer(), "expected the values in binary .*; seen values in JSON"),
        (JSON.encode_answer(np.ones((128, 62), np.float32)), "expected the values in binary .*; seen values in JSON"),
        (b'{"error": "unknown model"}', "seen an error: unknown model"),
        (binary_answer(VALUES[:-1]), "in values of 4 bytes, seen 15 bytes"),
        (binary_answer(VALUES + VALUES), "with 8 values"),
        (binary_answer()[:-4], "expected an answer of 138 bytes by its sizes of values, seen 134"),
        (binary_answer() + b"\0", "seen 139"),
        (binary_answer(parameters={}), "expected the values in binary"),
        (binary_answer(parameters={"binary_data_size": "16"}), "expected the values in binary"),
        (binary_answer(parameters=16), "expected the values in binary"),
        (binary_answer(struct.pack("<4f", 0, 0, np.nan, 0)), "NaN or infinity in row 1"),
        (b"\xff" + binary_answer(), "expected JSON and then values"),
        (b'{"outputs": [', "expected JSON and then values"),
        (b"[" * 100_000, "expected JSON and then values"),
    ],
)
def test_binary_answers_that_are_no_scores(body: bytes, message: str) -> None:
    """Each way in which a binary answer can be wrong is refused and named; JSON all through is one."""
    with pytest.raises(MalformedAnswer, match=message):
        BINARY.decode(body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (messages.ModelInferResponse().SerializeToString(), r"expected the output 'scores', seen \[\]"),
        (grpc_answer([VALUES], "a") + grpc_answer([VALUES], "b"), r"seen \['a', 'b'\]"),
        (grpc_answer([VALUES, VALUES]), "raw contents for each of 1 outputs, seen 2"),
        (grpc_answer([VALUES[:-1]]), "in values of 4 bytes, seen 15 bytes"),
        (grpc_answer([VALUES[:-4]]), r"shape \[2, 2\] with 3 values"),
        (grpc_answer([VALUES], datatype="INT64"), "seen int64"),
        (grpc_answer([VALUES], datatype="FP64"), "with 2 values"),
        (grpc_answer([VALUES], shape=(4,)), r"seen shape \[4\]"),
        (grpc_answer([VALUES], shape=(-2, -2)), r"seen shape \[-2, -2\]"),
        (grpc_answer([VALUES], shape=(2**62, 2)), "with 4 values"),
        (grpc_answer(), "with 0 values"),
        (grpc_answer(fp64_contents=[0.1, 1.0, 0.0, 0.25]), "with 0 values"),
        (grpc_answer(fp32_contents=[0.0, np.inf, 0.0, 0.0]), "NaN or infinity in row 0"),
        (ANSWER[:-1], "expected a ModelInferResponse"),
        (ANSWER.replace(b"scores", b"scor\xff\xff"), "expected a ModelInferResponse"),
    ],
)
def test_grpc_answers_that_are_no_scores(body: bytes, message: str) -> None:
    """Each way in which a ModelInferResponse can be wrong is refused and named."""
    with pytest.raises(MalformedAnswer, match=message):
        GRPC.decode(body)
