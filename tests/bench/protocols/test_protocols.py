"""The wire protocols as pure functions: round trips, golden bytes, and answers that are refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import orjson
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.contract.errors import BadInput, MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols import _inference_pb2, _tfserving_pb2, protocol_names
from tests.flat import flat_codec as codec

SCORES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 130), st.integers(1, 5)),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
TWO_BY_TWO = np.array([[0.1, 1.0], [0.0, 0.25]], dtype=np.float32)
FRAMED = struct.pack("<I4f", 2, 0.1, 1.0, 0.0, 0.25)


@pytest.mark.parametrize("name", protocol_names())
def test_a_codec_is_found_by_its_own_name(name: str) -> None:
    """The file's name is the protocol's, so a typo in either is seen here and not in a run."""
    assert codec(name).named.name == name


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    """A backend.toml with a misspelt protocol tells its writer what there is; helper modules are no protocols."""
    with pytest.raises(BadInput, match=r"unknown protocol 'v1-jsn'; known protocols: .*v1-json"):
        codec("v1-jsn")
    with pytest.raises(BadInput):
        codec("-framing")


def _framed_images(body: bytes) -> FloatArray:
    (rows,) = struct.unpack_from("<I", body)
    return np.frombuffer(body, dtype="<f4", offset=4).reshape(rows, -1)


def _json_images(body: bytes) -> FloatArray:
    return np.array(json.loads(body)["instances"], dtype=np.float32)


def _graphpipe_images(body: bytes) -> FloatArray:
    """By the layout that test_graphpipe_golden_bytes spells out, followed offset by offset."""

    def at(place: int) -> int:
        return place + int(struct.unpack_from("<I", body, place)[0])

    def field(table: int, slot: int) -> int:
        vtable = table - struct.unpack_from("<i", body, table)[0]
        return table + int(struct.unpack_from("<H", body, vtable + 4 + 2 * slot)[0])

    request = at(field(at(0), 1))
    tensor = at(at(field(request, 2)) + 4)  # behind the vector's length
    shape, data = at(field(tensor, 1)), at(field(tensor, 2))
    rows, width = struct.unpack_from("<2q", body, shape + 4)
    return np.frombuffer(body, dtype="<f4", offset=data + 4, count=rows * width).reshape(rows, width)


@pytest.mark.parametrize(
    ("name", "images_of"),
    [
        ("v1-json", _json_images),
        ("raw", _framed_images),
        ("graphpipe", _graphpipe_images),
    ],
)
@given(images=SCORES)
def test_requests_hold_the_very_images(name: str, images_of: Callable[[bytes], FloatArray], images: FloatArray) -> None:
    """Shape and float32 bits of any batch stand in the request; the other protocols' own tests do the same."""
    np.testing.assert_array_equal(images_of(codec(name).encode(images)[0]), images)


@pytest.mark.parametrize("name", protocol_names())
@given(scores=SCORES)
def test_scores_survive_the_round_trip(name: str, scores: FloatArray) -> None:
    """What a server encodes is decoded to the very same float32 bits, for any batch size and any finite value."""
    decoded = codec(name).decode(codec(name).encode_answer(scores))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, scores)


@pytest.mark.parametrize("name", protocol_names())
@pytest.mark.parametrize("shape", [(784,), (0, 784), (3, 0), (1, 28, 28)])
def test_only_rows_of_pixels_are_encoded(name: str, shape: tuple[int, ...]) -> None:
    """An array that is no batch of flat images is a mistake of the caller, told before anything is sent."""
    with pytest.raises(ValueError, match="at least one value"):
        codec(name).encode(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("name", protocol_names())
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    """A server that answers NaN or infinity has not answered."""
    scores = np.array([[0.5, 0.5], [bad, 0.5]], dtype=np.float32)
    with pytest.raises(MalformedAnswer):
        codec(name).decode(codec(name).encode_answer(scores))


@pytest.mark.parametrize("name", protocol_names())
@pytest.mark.parametrize("body", [b"", b"\x00", b"garbage of some length....", b"<html>502 Bad Gateway</html>"])
def test_foreign_bytes_are_refused(name: str, body: bytes) -> None:
    """A proxy's page or a cut-off answer is a MalformedAnswer, never another exception."""
    with pytest.raises(MalformedAnswer):
        codec(name).decode(body)


def test_framed_golden_bytes() -> None:
    """The binary framing is a row count and then the values, all little-endian."""
    assert codec("raw").encode(TWO_BY_TWO) == (FRAMED, "application/octet-stream", ())
    assert codec("raw").encode_answer(TWO_BY_TWO) == FRAMED


def test_framing_takes_any_memory_order() -> None:
    """Fortran order becomes the same bytes as a plain array."""
    assert codec("raw").encode(np.asfortranarray(TWO_BY_TWO))[0] == FRAMED


@pytest.mark.parametrize(
    "body", [FRAMED[:-1], FRAMED[:-4], FRAMED + b"\x00", struct.pack("<I", 2), struct.pack("<I4f", 0, 1, 2, 3, 4)]
)
def test_a_frame_of_the_wrong_length_is_refused(body: bytes) -> None:
    """Rows that are cut off, too long or none at all are told with the length."""
    with pytest.raises(MalformedAnswer, match=f"seen (n = . in )?{len(body)} bytes"):
        codec("raw").decode(body)


TENSOR = b"".join(  # of graphpipe.fbs; begins 2 bytes before a multiple of 4
    (
        b"\x0a\0\x10\0\x0f\0\x08\0\x04\0",  # vtable of 10 bytes for a table of 16: type at 15, shape at 8, data at 4
        b"\x0a\0\0\0",  # the table: its vtable 10 bytes before it
        b"\x24\0\0\0",  # data 36 bytes from here
        b"\x08\0\0\0",  # shape 8 bytes from here
        b"\0\0\0\x0a",  # type: Float32 = 10
        b"\x02\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0",  # shape: two int64, at a multiple of 8
        b"\0\0\0\0",
        b"\x10\0\0\0" + FRAMED[4:],  # data: 16 bytes
    )
)
GRAPHPIPE_REQUEST = b"".join(
    (
        b"\x10\0\0\0\0\0\0\0",  # the root table is at 16
        b"\x08\0\x0c\0\x0b\0\x04\0",  # vtable for a table of 12 bytes: req_type at 11, req at 4
        b"\x08\0\0\0",  # Request
        b"\x14\0\0\0",  # req 20 bytes from here
        b"\0\0\0\x01",  # req_type: InferRequest = 1
        b"\x0c\0\x14\0\x10\0\x0c\0\x08\0\x04\0",  # vtable: config at 16, input_names 12, input_tensors 8, output_names 4
        b"\x0c\0\0\0",  # InferRequest
        b"\x10\0\0\0\x10\0\0\0\x08\0\0\0\x58\0\0\0",  # the four, backwards, each from where it stands
        b"\0\0\0\0",  # no names
        b"\x01\0\0\0\x10\0\0\0",  # one tensor, 16 bytes from here
        b"\0\0",
        TENSOR,
        b"\0\0\0\0\0\0\0\0",  # config: a string of length 0, its end, and padding
    )
)
GRAPHPIPE_ANSWER = b"".join(
    (
        b"\x10\0\0\0\0\0\0\0\0\0",  # the root table is at 16
        b"\x06\0\x08\0\x04\0",  # vtable of 6 bytes for a table of 8: output_tensors at 4, no errors
        b"\x06\0\0\0",  # InferResponse
        b"\x04\0\0\0",  # output_tensors 4 bytes from here
        b"\x01\0\0\0\x10\0\0\0",  # one tensor, 16 bytes from here
        b"\0\0",
        TENSOR,
    )
)


def test_graphpipe_golden_bytes() -> None:
    """A flatbuffer as graphpipe.fbs and the format of flatbuffers prescribe it, in the order in which the library writes."""
    assert codec("graphpipe").encode(TWO_BY_TWO) == (GRAPHPIPE_REQUEST, "application/octet-stream", ())
    assert codec("graphpipe").encode_answer(TWO_BY_TWO) == GRAPHPIPE_ANSWER


def test_json_golden_bytes() -> None:
    """float32 values are written in their shortest form (0.1, not 0.10000000149011612)."""
    body, content_type, headers = codec("v1-json").encode(TWO_BY_TWO)
    assert body == b'{"instances":[[0.1,1.0],[0.0,0.25]]}'
    assert (content_type, headers) == ("application/json", ())
    assert codec("v1-json").encode_answer(TWO_BY_TWO) == b'{"predictions":[[0.1,1.0],[0.0,0.25]]}'


def test_json_of_another_server_is_read() -> None:
    """White space, exponents, whole numbers and further keys are all JSON's own."""
    body = b' {"model": "x", "predictions": [[1e-1, 1], [0, 0.25]]}\n'
    np.testing.assert_array_equal(codec("v1-json").decode(body), TWO_BY_TWO)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"error": "no such model"}, "seen an error: no such model"),
        ({"outputs": [[1.0]]}, "expected the key 'predictions', seen \\['outputs'\\]"),
        ([[1.0]], "seen a list"),
        ({"predictions": []}, "at least one row"),
        ({"predictions": [[]]}, "shape"),
        ({"predictions": "0.5"}, "list of rows"),
        ({"predictions": [0.5, 0.5]}, "equally long lists"),
        ({"predictions": [[0.5, 0.5], [0.5]]}, "equally long lists"),
        ({"predictions": [[0.5], ["0.5"]]}, "nothing but float32 values"),
        ({"predictions": [[0.5, None]]}, "nothing but float32 values"),
        ({"predictions": [[True, False]]}, "nothing but float32 values"),
        ({"predictions": [[[0.5]]]}, "nothing but float32 values"),
        ({"predictions": [[1e39]]}, "finite"),
    ],
)
def test_json_answers_that_are_no_predictions(document: object, message: str) -> None:
    """Each way in which a JSON answer can be wrong is refused and named."""
    with pytest.raises(MalformedAnswer, match=message):
        codec("v1-json").decode(orjson.dumps(document))


@pytest.mark.parametrize("messages", [_tfserving_pb2, _inference_pb2], ids=lambda module: module.DESCRIPTOR.name)
def test_the_generated_modules_are_the_proto_files(messages: ModuleType, tmp_path: Path) -> None:
    """Whoever changes a .proto file generates its Python again (`tox -e proto`)."""
    protoc = pytest.importorskip("grpc_tools.protoc", reason="needs grpcio-tools")
    out = tmp_path / "compiled"
    name = messages.DESCRIPTOR.name
    root = Path(str(messages.__file__)).parents[len(Path(name).parts) - 1]
    assert protoc.main(["protoc", f"-I{root}", f"--descriptor_set_out={out}", name]) == 0
    (compiled,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    inner = [nested for message in compiled.message_type for nested in message.nested_type]
    for message in (*compiled.message_type, *inner):
        for field in message.field:
            field.ClearField("json_name")  # which generated code leaves out
    assert compiled == descriptor_pb2.FileDescriptorProto.FromString(messages.DESCRIPTOR.serialized_pb)
