"""What runs on a node of a Ray cluster: objects of this suite, each in a process of its own, and the node's facts."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import Any

PACKAGES = ("hpack", "numpy", "protobuf", "psutil", "pytest")
"""Packages that the suite needs on a node, in the same version as here."""


class Hosted:
    """The suite's Ray actor: holds one object, of a class named `module:Name`, and calls its methods by name.

    Its process ends with it, with its node, with the driver, or by `ray.kill`; what it started must then end by itself.
    """

    def __init__(self) -> None:
        self._object: Any = None

    def make(self, path: str, arguments: Sequence[Any]) -> None:
        """Create the object; not in the constructor, since an actor's errors come back from there only as text."""
        module, _, name = path.partition(":")
        self._object = getattr(import_module(module), name)(*arguments)

    def call(self, method: str, arguments: Sequence[Any]) -> Any:
        """Call a method of the object; returns and raises what it does."""
        return getattr(self._object, method)(*arguments)


def node_facts() -> Mapping[str, Any]:
    """This node's Python, package versions, usable CPUs and kernel, JSON-able; a missing package is None."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "cpus_usable": sorted(os.sched_getaffinity(0)),
        "kernel": platform.release(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
