"""Messages on an agent's control connection: JSON and arrays in one; the connection frames them by length.

Nothing is unpickled: the other end may be another machine.
"""

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bench.contract.tensors import Array, Tensors

MOST_BYTES = 2**31 - 1
"""Size limit of one message from an agent."""

_HEAD = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its kind `what`, its `fields` (JSON) and its `arrays`."""

    what: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    arrays: Tensors = field(default_factory=dict)

    def packed(self) -> bytes:
        """Its bytes on the wire: size of the JSON (4 bytes, big-endian), the JSON, and an .npz archive if there are arrays."""
        head = json.dumps({"what": self.what, **self.fields}).encode()
        archive = io.BytesIO()
        if self.arrays:
            arrays: dict[str, Any] = dict(self.arrays)
            np.savez(archive, **arrays)
        return _HEAD.pack(len(head)) + head + archive.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> "Message":
        """The inverse of `packed`; raises ValueError if `data` is not a message."""
        try:
            (size,) = _HEAD.unpack_from(data)
            fields = json.loads(data[_HEAD.size : _HEAD.size + size])
            what = fields.pop("what")
            arrays: dict[str, Array] = {}
            if len(data) > _HEAD.size + size:
                with np.load(io.BytesIO(data[_HEAD.size + size :]), allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in archive.files}
        except (struct.error, BadZipFile, KeyError, TypeError, AttributeError, OSError, EOFError) as error:
            raise ValueError(f"a message of {len(data)} bytes cannot be read: {error}") from error
        return cls(str(what), fields, arrays)
