"""The file format of a run's samples: what samples.npz holds, byte for byte."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contract.records import Samples
from bench.contract.tensors import claimed_array
from reports.store.documents import plain

UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""Exceptions that reading raises if a file of samples was truncated, edited or made by another program."""

_MOST_SAMPLES_BYTES = 4_000_000_000


def npz_bytes(samples: Mapping[str, Samples]) -> bytes:
    """The content of samples.npz: `<cell id>/duration_s` and `<cell id>/round_index` of every cell that has samples."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for cell, of_cell in samples.items():
            _add_array(archive, f"{plain(cell)}/duration_s", np.asarray(of_cell.duration_s, dtype=np.float64))
            _add_array(archive, f"{plain(cell)}/round_index", np.asarray(of_cell.round_index, dtype=np.int64))
    return buffer.getvalue()


def _add_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    member = zipfile.ZipInfo(f"{name}.npy")  # its fixed date keeps the file the same for the same samples; np.savez's does not
    member.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def samples_from_npz(content: bytes) -> dict[str, Samples]:
    """The inverse of `npz_bytes`; raises one of UNREADABLE for anything else; too large a content is not inflated."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        cells = [name.removesuffix("/duration_s") for name in members if name.endswith("/duration_s")]
        if sum(info.file_size for info in members.values()) > _MOST_SAMPLES_BYTES:
            raise ValueError(f"its content is larger than {_MOST_SAMPLES_BYTES:,} bytes")
        return {cell: _samples(archive, members[f"{cell}/duration_s"], members[f"{cell}/round_index"]) for cell in cells}


def _samples(archive: zipfile.ZipFile, duration_s: zipfile.ZipInfo, round_index: zipfile.ZipInfo) -> Samples:
    durations, rounds = (_array(archive, *each) for each in ((duration_s, np.float64), (round_index, np.int64)))
    if durations.shape != rounds.shape or not (np.isfinite(durations) & (durations > 0)).all() or (rounds < 0).any():
        raise ValueError(f"{duration_s.filename} and {round_index.filename} are not durations and the rounds that they are of")
    return Samples(durations, rounds)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Read one array [n]; its header is checked against the member's size before memory is allocated."""
    with archive.open(member) as file:
        shape, dtype = claimed_array(file, member.file_size)
        if dtype != kind or len(shape) != 1:
            raise ValueError(f"{member.filename} is {dtype} {list(shape)}")
        content = file.read(shape[0] * dtype.itemsize)
    return np.frombuffer(content, dtype=kind, count=shape[0]).copy()
