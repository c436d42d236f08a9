"""The protocol of TensorFlow Serving over gRPC: golden bytes by protobuf's wire format, and answers that are refused."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols import _tfserving_pb2 as messages
from tests.flat import flat_codec as codec

CODEC = codec("tfserving-grpc")
TWO_BY_TWO = np.array([[0.1, 1.0], [0.0, 0.25]], dtype=np.float32)
VALUES = struct.pack("<4f", 0.1, 1.0, 0.0, 0.25)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)

# Each line: tag and length (or value) of a field, then what it holds; the comments name fields by the official .proto files.
TENSOR_2_2 = (
    b"\x08\x01",  # dtype (1): DT_FLOAT
    b"\x12\x08",  # tensor_shape (2), 8 bytes
    b"\x12\x02\x08\x02",  # dim (2), 2 bytes: size (1): 2
    b"\x12\x02\x08\x02",
)
REQUEST = b"".join(
    (
        b"\x0a\x19",  # model_spec (1), 25 bytes
        b"\x0a\x06emnist",  # name (1)
        b"\x1a\x0fserving_default",  # signature_name (3)
        b"\x12\x28",  # inputs (2), 40 bytes
        b"\x0a\x06images",  # key (1)
        b"\x12\x1e",  # value (2), 30 bytes
        *TENSOR_2_2,
        b"\x22\x10" + VALUES,  # tensor_content (4)
    )
)
ANSWER = b"".join(
    (
        b"\x0a\x28",  # outputs (1), 40 bytes
        b"\x0a\x06scores",  # key (1)
        b"\x12\x1e",  # value (2), 30 bytes
        *TENSOR_2_2,
        b"\x2a\x10" + VALUES,  # float_val (5), packed
        b"\x12\x1d",  # model_spec (2), 29 bytes
        b"\x0a\x06emnist",  # name (1)
        b"\x12\x02\x08\x01",  # version (2): value (1): 1
        b"\x1a\x0fserving_default",  # signature_name (3)
    )
)


def answer(
    shape: tuple[int, ...] = (2, 2),
    *,
    dtype: int = 1,
    float_val: list[float] | None = None,
    tensor_content: bytes = b"",
    name: str = "scores",
    unknown_rank: bool = False,
) -> bytes:
    """A PredictResponse of one tensor, as wrong as asked."""
    dims = [messages.TensorShapeProto.Dim(size=size) for size in shape]
    tensor = messages.TensorProto(
        tensor_shape=messages.TensorShapeProto(dim=dims, unknown_rank=unknown_rank),
        float_val=float_val or [],
        tensor_content=tensor_content,
    )
    tensor.dtype = dtype  # type: ignore[assignment]  # also numbers that no DataType has
    return messages.PredictResponse(outputs={name: tensor}).SerializeToString()


def test_golden_bytes() -> None:
    """A request, and an answer as the real server gives it, byte for byte as the official .proto prescribes."""
    assert CODEC.encode(TWO_BY_TWO) == (REQUEST, "application/grpc", ())
    assert CODEC.encode_answer(TWO_BY_TWO) == ANSWER


def test_it_travels_by_grpc() -> None:
    """The message is what a channel carries: it adds its own frame."""
    assert CODEC.transport == "grpc"


@given(images=hnp.arrays(np.float32, st.tuples(st.integers(1, 130), st.integers(1, 20)), elements=FLOATS))
def test_images_are_sent_as_they_are(images: FloatArray) -> None:
    """Shape and float32 bits of any batch stand in the request."""
    request = messages.PredictRequest.FromString(CODEC.encode(images)[0])
    tensor = request.inputs["images"]
    assert [dim.size for dim in tensor.tensor_shape.dim] == list(images.shape)
    assert tensor.tensor_content == images.tobytes()


@given(scores=hnp.arrays(np.float32, st.tuples(st.integers(1, 130), st.integers(1, 5)), elements=FLOATS))
def test_both_ways_to_answer_are_read(scores: FloatArray) -> None:
    """`float_val` as by default, and `tensor_content` as with --enable_serialization_as_tensor_content."""
    shape = scores.shape
    for body in (answer(shape, float_val=scores.ravel().tolist()), answer(shape, tensor_content=scores.tobytes())):
        decoded = CODEC.decode(body)
        assert decoded.dtype == np.float32
        np.testing.assert_array_equal(decoded, scores)


def test_what_a_newer_server_adds_is_passed_over() -> None:
    """Unknown fields and further outputs change nothing."""
    more = messages.PredictResponse(outputs={"classes": messages.TensorProto(dtype=messages.DT_INVALID)})
    unknown = b"\xba\x3e\x03abc"  # field 999, three bytes
    np.testing.assert_array_equal(CODEC.decode(ANSWER + more.SerializeToString() + unknown), TWO_BY_TWO)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (answer(dtype=9, tensor_content=bytes(32)), "seen int64"),
        (answer(dtype=1234, float_val=[0.0] * 4), "seen type 1234"),
        (answer(float_val=[0.0] * 4, name="labels"), r"expected the output 'scores', seen \['labels'\]"),
        (messages.PredictResponse().SerializeToString(), r"expected the output 'scores', seen \[\]"),
        (answer(float_val=[0.0] * 3), r"seen shape \[2, 2\] with 3 values"),
        (answer(float_val=[0.0] * 5), r"seen shape \[2, 2\] with 5 values"),
        (answer(float_val=[0.5]), "with 1 values"),  # TensorFlow would repeat it; no server shortens scores
        (answer(), "with 0 values"),
        (answer(tensor_content=VALUES[:-4]), "with 3 values"),
        (answer(tensor_content=VALUES[:-1]), "in values of 4 bytes, seen 15 bytes"),
        (answer((4,), float_val=[0.0] * 4), r"seen shape \[4\]"),
        (answer((1, 2, 2), float_val=[0.0] * 4), r"seen shape \[1, 2, 2\]"),
        (answer((), float_val=[0.0]), r"seen shape \[\]"),
        (answer((0, 2)), r"seen shape \[0, 2\]"),
        (answer((-2, -2), float_val=[0.0] * 4), r"seen shape \[-2, -2\]"),
        (answer((2**62, 2), float_val=[0.0] * 4), "with 4 values"),
        (answer((), unknown_rank=True, float_val=[0.0]), r"seen shape \[\]"),
        (answer(float_val=[0.0, 0.0, np.nan, 0.0]), "NaN or infinity in row 1"),
        (answer(tensor_content=struct.pack("<4f", 0, np.inf, 0, 0)), "NaN or infinity in row 0"),
        (ANSWER[:-1], "expected a PredictResponse"),
        (ANSWER.replace(b"scores", b"scor\xff\xff"), "expected a PredictResponse"),
    ],
)
def test_answers_that_are_no_scores(body: bytes, message: str) -> None:
    """Each way in which a PredictResponse can be wrong is refused and named."""
    with pytest.raises(MalformedAnswer, match=message):
        CODEC.decode(body)
