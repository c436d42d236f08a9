"""One entry of the table: what is run with what, and what must be said; and the little writers of bad files."""

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

USAGE = 4
"""pytest, of a bad option, file, backend.toml or variable."""

BAD_INPUT = 2
"""The other programs, of the same."""

Write = Callable[[Path], object]
"""Prepares the folder that a program is started in."""


@dataclass(frozen=True, slots=True)
class Case:
    """`program` is started in a fresh folder that `write` has prepared; `{here}` in arguments and environment is that folder.

    It must end with `code` and say all of `words`.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    words: tuple[str, ...]
    code: int = USAGE
    write: Write = lambda here: None
    environment: Mapping[str, str] = field(default_factory=dict)


def file(name: str, content: bytes | str) -> Write:
    """Writes one file."""

    def write(here: Path) -> None:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def folder(name: str) -> Write:
    """Makes a folder where a file is expected."""
    return lambda here: (here / name).mkdir(parents=True)


def npz(**arrays: Any) -> bytes:
    """An .npz file; bytes stand for themselves, `__` in a name for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(name.replace("__", "/") + ".npy", "w") as file:
                file.write(array) if isinstance(array, bytes) else np.lib.format.write_array(file, np.asarray(array))
    return buffer.getvalue()


def head(shape: str, descr: str = "'<f8'") -> bytes:
    """How an array's file begins; what follows need not be what it says."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\n"


def fifo(name: str) -> Write:
    """Makes a pipe that nobody writes to: whoever opens it waits for ever."""
    return lambda here: os.mkfifo(here / name)


def link(name: str, target: str) -> Write:
    """Makes a symbolic link, to itself if `target` is its name."""
    return lambda here: (here / name).symlink_to(target)


def sparse(name: str, size_bytes: int) -> Write:
    """A file that is as long as that, and empty: whoever reads it whole fills memory."""

    def write(here: Path) -> None:
        with (here / name).open("wb") as stream:
            stream.truncate(size_bytes)

    return write


NOT_FILES: Mapping[str, tuple[str, Write]] = {
    "missing": ("bad", lambda here: None),
    "folder": ("bad", folder("bad")),
    "fifo": ("bad", fifo("bad")),
    "link to nowhere": ("bad", link("bad", "nowhere")),
    "link to itself": ("bad", link("bad", "bad")),
    "below a file": ("bad/bad", file("bad", "x")),
    "endless device": ("/dev/zero", lambda here: None),
    "empty device": ("/dev/null", lambda here: None),
    "name too long": ("b" * 5000, lambda here: None),
    "path too long": ("b/" * 5000, lambda here: None),
    "unknown home": ("~no-such-user/bad", lambda here: None),
    "lone surrogate": ("bad\udcff", lambda here: None),
    "direction marks": ("bad\u202ezip", lambda here: None),
    "terminal escape": ("bad\x1b[2Jbad", lambda here: None),
    "many lines": ("bad\nbad", lambda here: None),
}
"""Names of what cannot be read as a file, with what makes them so."""
