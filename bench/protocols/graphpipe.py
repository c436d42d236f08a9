"""Protocol `graphpipe`: Oracle's GraphPipe, flatbuffers over HTTP; written on the flatbuffers library alone.

POST <path>, Content-Type: application/octet-stream
request   Request{InferRequest}, answer   InferResponse; of graphpipe.fbs, the slots that count here:

table Tensor        { 0 type: Type (uint8, Float32 = 10); 1 shape: [int64]; 2 data: [uint8]; 3 string_val: [string]; }
table InferRequest  { 0 config: string; 1 input_names: [string]; 2 input_tensors: [Tensor]; 3 output_names: [string]; }
table Request       { 0 req_type: uint8 (InferRequest = 1); 1 req: union; }
table Error         { 0 code: int64; 1 message: string; }
table InferResponse { 0 output_tensors: [Tensor]; 1 errors: [Error]; }
"""

from __future__ import annotations

import struct

import flatbuffers
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray
from bench.protocols._arrays import checked_scores, matrix, quoted

_FLOAT32 = 10
_INFER_REQUEST = 1
_OVERHEAD_BYTES = 512  # a guess that saves the builder from growing; nothing depends on it


class GraphPipe:
    """Codec of one float32 tensor in and one out, the model's only input and output."""

    name = "graphpipe"
    transport = "http"

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        builder = flatbuffers.Builder(images.nbytes + _OVERHEAD_BYTES)
        config = builder.CreateString("")
        tensors = _vector(builder, [_write_tensor(builder, images)])
        no_names = _vector(builder, [])  # no names: the server takes its defaults, as with the stock client
        builder.StartObject(4)
        for slot, offset in enumerate((config, no_names, tensors, no_names)):
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        request = builder.EndObject()
        builder.StartObject(2)
        builder.PrependUint8Slot(0, _INFER_REQUEST, 0)
        builder.PrependUOffsetTRelativeSlot(1, request, 0)
        builder.Finish(builder.EndObject())
        return bytes(builder.Output()), "application/octet-stream", ()

    def decode(self, body: bytes) -> FloatArray:
        """See `Codec.decode`."""
        try:
            return checked_scores(_read_answer(body))
        # The library does not verify: foreign bytes end in whatever the first impossible offset or length leads to.
        except (struct.error, ValueError, TypeError, IndexError, OverflowError) as error:
            raise MalformedAnswer(
                f"expected a flatbuffer InferResponse, seen {len(body)} bytes {body[:40]!r}: {error}"
            ) from error

    def encode_answer(self, scores: FloatArray) -> bytes:
        """See `Codec.encode_answer`."""
        builder = flatbuffers.Builder(scores.nbytes + _OVERHEAD_BYTES)
        tensors = _vector(builder, [_write_tensor(builder, scores)])
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
        builder.Finish(builder.EndObject())
        return bytes(builder.Output())


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _write_tensor(builder: flatbuffers.Builder, values: FloatArray) -> int:
    rows = matrix(values)
    data = builder.CreateByteVector(rows.tobytes())
    builder.StartVector(8, rows.ndim, 8)
    for length in reversed(rows.shape):
        builder.PrependInt64(length)
    shape = builder.EndVector()
    builder.StartObject(4)
    builder.PrependUint8Slot(0, _FLOAT32, 0)
    builder.PrependUOffsetTRelativeSlot(1, shape, 0)
    builder.PrependUOffsetTRelativeSlot(2, data, 0)
    return int(builder.EndObject())


def _read_answer(body: bytes) -> FloatArray:
    """The only output tensor of an InferResponse; raises MalformedAnswer, or what flatbuffers raises on foreign bytes."""
    response = Table(body, struct.unpack_from("<I", body)[0])
    errors, error = _first(response, slot=1)
    if errors:
        offset = _offset(error, slot=1)
        text = error.String(offset + error.Pos).decode("utf-8", "replace") if offset else "no message"
        raise MalformedAnswer(f"expected an output tensor, seen an error: {quoted(text)}")
    tensors, tensor = _first(response, slot=0)
    if tensors != 1:
        raise MalformedAnswer(f"expected 1 output tensor, seen {tensors}")
    return _read_tensor(tensor)


def _read_tensor(tensor: Table) -> FloatArray:
    kind, shape, data = (_offset(tensor, slot) for slot in range(3))
    seen = tensor.Get(number_types.Uint8Flags, kind + tensor.Pos) if kind else 0
    if seen != _FLOAT32 or not shape or not data:
        raise MalformedAnswer(f"expected a tensor of type {_FLOAT32} (float32) with shape and data, seen type {seen}")
    lengths = tensor.GetVectorAsNumpy(number_types.Int64Flags, shape)
    values = np.frombuffer(tensor.GetVectorAsNumpy(number_types.Uint8Flags, data), dtype="<f4")
    if lengths.size != 2 or lengths.min() < 1 or int(lengths[0]) * int(lengths[1]) != values.size:
        raise MalformedAnswer(
            f"expected a tensor of shape [n, classes], seen {quoted(lengths[:9].tolist())} with {values.size} values"
        )
    return values.reshape(lengths)


def _first(table: Table, slot: int) -> tuple[int, Table]:
    """How many tables a vector has, and the first of them; where there is none, the table itself."""
    offset = _offset(table, slot)
    count = int(table.VectorLen(offset)) if offset else 0
    return count, Table(table.Bytes, table.Indirect(table.Vector(offset))) if count else table


def _offset(table: Table, slot: int) -> int:
    """Where a field lies, relative to its table; 0 where it is absent."""
    return int(table.Offset(4 + 2 * slot))


CODEC = GraphPipe()
