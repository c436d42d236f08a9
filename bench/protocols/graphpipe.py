"""Protocol `graphpipe`: Oracle's GraphPipe, flatbuffers over HTTP; uses only the flatbuffers library.

POST <path>, Content-Type: application/octet-stream
request   Request{InferRequest}, answer   InferResponse; the slots of graphpipe.fbs that are used here:

table Tensor        { 0 type: Type (uint8); 1 shape: [int64]; 2 data: [uint8]; 3 string_val: [string]; }
table InferRequest  { 0 config: string; 1 input_names: [string]; 2 input_tensors: [Tensor]; 3 output_names: [string]; }
table Request       { 0 req_type: uint8 (InferRequest = 1); 1 req: union; }
table Error         { 0 code: int64; 1 message: string; }
table InferResponse { 0 output_tensors: [Tensor]; 1 errors: [Error]; }

The tensors of an answer have no names: they have the order of the request's output_names.
"""

import struct
from collections.abc import Mapping, Sequence

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors, TensorSpec
from bench.protocols._arrays import accepted, checked_output, quoted, raw_values, shaped, wire_arrays
from bench.protocols._codec import SignatureCodec

_TYPES: Mapping[str, int] = {
    "uint8": 1,
    "int8": 2,
    "uint16": 3,
    "int16": 4,
    "uint32": 5,
    "int32": 6,
    "uint64": 7,
    "int64": 8,
    "float16": 9,
    "float32": 10,
    "float64": 11,
}
_DTYPES = {number: dtype for dtype, number in _TYPES.items()}
_INFER_REQUEST = 1
_OVERHEAD_BYTES = 512  # an estimate, so that the builder need not grow; nothing depends on it


class GraphPipe(SignatureCodec):
    """Codec of typed tensors; for one input and one output it sends no names, like the stock client."""

    name = "graphpipe"
    transport = "http"
    uncarried = frozenset({"bool"})

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        arrays = wire_arrays(inputs, self.signature.inputs)
        builder = _builder(arrays)
        config = builder.CreateString("")
        tensors = _vector(builder, [_write_tensor(builder, *each) for each in arrays])
        names_in = names_out = _vector(builder, [])
        if not self._alone:
            names_in, names_out = _names(builder, self.signature.inputs), _names(builder, self.signature.outputs)
        builder.StartObject(4)
        for slot, offset in enumerate((config, names_in, tensors, names_out)):
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        request = builder.EndObject()
        builder.StartObject(2)
        builder.PrependUint8Slot(0, _INFER_REQUEST, 0)
        builder.PrependUOffsetTRelativeSlot(1, request, 0)
        builder.Finish(builder.EndObject())
        return bytes(builder.Output()), "application/octet-stream", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        try:
            return _read_answer(body, self.signature.outputs)
        # The library does not verify: on other bytes, the first impossible offset or length raises any of these.
        except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
            raise MalformedAnswer(
                f"expected a flatbuffer InferResponse, seen {len(body)} bytes {body[:40]!r}: {error}"
            ) from error

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        arrays = wire_arrays(outputs, self.signature.outputs)
        builder = _builder(arrays)
        tensors = _vector(builder, [_write_tensor(builder, *each) for each in arrays])
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
        builder.Finish(builder.EndObject())
        return bytes(builder.Output())

    @property
    def _alone(self) -> bool:
        """Whether there is one input and one output: the server then needs no names."""
        return len(self.signature.inputs) == len(self.signature.outputs) == 1


def _names(builder: flatbuffers.Builder, specs: Sequence[TensorSpec]) -> int:
    return _vector(builder, [builder.CreateString(spec.name) for spec in specs])


def _builder(arrays: Sequence[tuple[TensorSpec, Array]]) -> flatbuffers.Builder:
    return flatbuffers.Builder(sum(array.nbytes for _, array in arrays) + _OVERHEAD_BYTES)


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _write_tensor(builder: flatbuffers.Builder, spec: TensorSpec, array: Array) -> int:
    data = builder.CreateByteVector(array.tobytes())
    builder.StartVector(8, array.ndim, 8)
    for length in reversed(array.shape):
        builder.PrependInt64(length)
    shape = builder.EndVector()
    builder.StartObject(4)
    builder.PrependUint8Slot(0, _TYPES[spec.dtype], 0)
    builder.PrependUOffsetTRelativeSlot(1, shape, 0)
    builder.PrependUOffsetTRelativeSlot(2, data, 0)
    return int(builder.EndObject())


def _read_answer(body: bytes, specs: Sequence[TensorSpec]) -> Tensors:
    """The output tensors of an InferResponse; raises MalformedAnswer, or what flatbuffers raises on other bytes."""
    response = Table(body, struct.unpack_from("<I", body)[0])
    errors, error = _at(response, slot=1)
    if errors:
        offset = _offset(error, slot=1)
        text = error.String(offset + error.Pos).decode("utf-8", "replace") if offset else "no message"
        raise MalformedAnswer(f"expected output tensors, seen an error: {quoted(text)}")
    tensors, _ = _at(response, slot=0)
    if tensors != len(specs):
        raise MalformedAnswer(f"expected {len(specs)} output tensor{'s'[: len(specs) > 1]}, seen {tensors}")
    return {
        spec.name: checked_output(spec, _read_tensor(_at(response, slot=0, place=place)[1], spec))
        for place, spec in enumerate(specs)
    }


def _read_tensor(tensor: Table, spec: TensorSpec) -> Array:
    kind, shape, data = (_offset(tensor, slot) for slot in range(3))
    number = tensor.Get(number_types.Uint8Flags, kind + tensor.Pos) if kind else 0
    if number not in _DTYPES or not data or not (shape or not spec.shape):
        expected = f"a tensor of type {_TYPES[spec.dtype]} ({spec.dtype}) with shape and data"
        raise MalformedAnswer(f"expected {expected}, seen type {number}")
    lengths = tensor.GetVectorAsNumpy(number_types.Int64Flags, shape).tolist() if shape else []
    values = tensor.GetVectorAsNumpy(number_types.Uint8Flags, data)
    return shaped(raw_values(memoryview(values), spec, accepted(_DTYPES[number], spec)), lengths, spec)


def _at(table: Table, slot: int, place: int = 0) -> tuple[int, Table]:
    """The number of tables in the vector at `slot`, and the one at `place`; if that is missing, `table` itself."""
    offset = _offset(table, slot)
    count = int(table.VectorLen(offset)) if offset else 0
    return count, Table(table.Bytes, table.Indirect(table.Vector(offset) + 4 * place)) if place < count else table


def _offset(table: Table, slot: int) -> int:
    """Offset of the field `slot` in its table; 0 if it is absent."""
    return int(table.Offset(4 + 2 * slot))


CODEC = GraphPipe
