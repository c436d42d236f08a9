"""GraphPipe's flatbuffers (graphpipe.fbs) from the server's side, by slot numbers; independent of the codec under test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from flatbuffers.table import Table

from bench.contract.tensors import FloatArray

FLOAT32 = 10


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor of the graph, float32; -1 is a length that is not fixed."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the server tells of itself; every tensor of the graph counts as input and as output."""

    name: str
    version: str
    server: str
    description: str
    tensors: tuple[TensorInfo, ...]


class Reader:
    """The fields of one flatbuffer table by slot; an absent one is empty."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def number(self, slot: int, flags: type) -> int:
        at = self._at(slot)
        return int(self._table.Get(flags, at + self._table.Pos)) if at else 0

    def vector(self, slot: int, flags: type) -> npt.NDArray[Any]:
        at = self._at(slot)
        found: npt.NDArray[Any] = self._table.GetVectorAsNumpy(flags, at) if at else np.array([], dtype=np.int64)
        return found

    def table(self, slot: int) -> Reader:
        at = self._at(slot)
        if not at:
            raise IndexError(f"no table in slot {slot}")
        return Reader(Table(self._table.Bytes, self._table.Indirect(at + self._table.Pos)))

    def tables(self, slot: int) -> list[Reader]:
        return [Reader(Table(self._table.Bytes, self._table.Indirect(place))) for place in self._places(slot)]

    def strings(self, slot: int) -> list[str]:
        return [self._table.String(place).decode("utf-8", "replace") for place in self._places(slot)]

    def _places(self, slot: int) -> list[int]:
        at = self._at(slot)
        if not at:
            return []
        start, count = self._table.Vector(at), self._table.VectorLen(at)
        if start + 4 * count > len(self._table.Bytes):
            raise IndexError(f"a vector of {count} does not fit")
        return [start + 4 * index for index in range(count)]

    def _at(self, slot: int) -> int:
        return int(self._table.Offset(4 + 2 * slot))


def infer_response(tensors: list[FloatArray]) -> bytes:
    """An InferResponse; the stand-in gives no errors in it, as the Go server never does."""
    builder = flatbuffers.Builder(1024)
    ends = []
    for tensor in tensors:
        shape = _int64s(builder, list(tensor.shape))
        data = builder.CreateByteVector(tensor.astype("<f4").tobytes())
        builder.StartObject(4)
        builder.PrependUint8Slot(0, FLOAT32, 0)
        builder.PrependUOffsetTRelativeSlot(1, shape, 0)
        builder.PrependUOffsetTRelativeSlot(2, data, 0)
        ends.append(builder.EndObject())
    outputs = _offsets(builder, ends)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, outputs, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def metadata_response(told: Metadata) -> bytes:
    """A MetadataResponse."""
    builder = flatbuffers.Builder(1024)
    vectors = [_offsets(builder, [_io_metadata(builder, tensor) for tensor in told.tensors]) for _ in ("inputs", "outputs")]
    texts = [builder.CreateString(text) for text in (told.name, told.version, told.server, told.description)]
    builder.StartObject(6)
    for slot, offset in enumerate((*texts, *vectors)):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _io_metadata(builder: flatbuffers.Builder, tensor: TensorInfo) -> int:
    name = builder.CreateString(tensor.name)
    shape = _int64s(builder, list(tensor.shape))
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUOffsetTRelativeSlot(2, shape, 0)
    builder.PrependUint8Slot(3, FLOAT32, 0)
    return int(builder.EndObject())


def _int64s(builder: flatbuffers.Builder, values: list[int]) -> int:
    builder.StartVector(8, len(values), 8)
    for value in reversed(values):
        builder.PrependInt64(value)
    return int(builder.EndVector())


def _offsets(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
