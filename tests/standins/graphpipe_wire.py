"""GraphPipe's flatbuffers (graphpipe.fbs) from the server's side, by slot numbers; independent of the codec under test."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from flatbuffers.table import Table

from bench.contract.tensors import FloatArray

FLOAT32 = 10


class Reader:
    """The fields of one flatbuffer table by slot; an absent one is empty."""

    def __init__(self, table: Table) -> None:
        self._table = table

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
        at = self._at(slot)
        if not at:
            return []
        start, count = self._table.Vector(at), self._table.VectorLen(at)
        if start + 4 * count > len(self._table.Bytes):
            raise IndexError(f"a vector of {count} does not fit")
        places = (start + 4 * index for index in range(count))
        return [Reader(Table(self._table.Bytes, self._table.Indirect(place))) for place in places]

    def _at(self, slot: int) -> int:
        return int(self._table.Offset(4 + 2 * slot))


def infer_response(tensor: FloatArray) -> bytes:
    """An InferResponse of one tensor; the stand-in gives no errors in it, as the Go server never does."""
    builder = flatbuffers.Builder(1024)
    builder.StartVector(8, tensor.ndim, 8)
    for length in reversed(tensor.shape):
        builder.PrependInt64(length)
    shape = int(builder.EndVector())
    data = builder.CreateByteVector(tensor.astype("<f4").tobytes())
    builder.StartObject(4)
    builder.PrependUint8Slot(0, FLOAT32, 0)
    builder.PrependUOffsetTRelativeSlot(1, shape, 0)
    builder.PrependUOffsetTRelativeSlot(2, data, 0)
    written = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(written)
    outputs = int(builder.EndVector())
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, outputs, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())
