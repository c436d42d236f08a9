"""What runs on a node of a Ray cluster: an object of this suite in a process of its own, and what the node says of itself."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import Any

PACKAGES = ("hpack", "numpy", "protobuf", "psutil", "pytest")
"""What the suite needs on a node, and must have there in the version that it has here."""


class Hosted:
    """An object of a class that is named `module:Name`, its methods called by name: what a Ray actor of this suite is.

    Its process ends with it, with its node, with the driver, or by `ray.kill`; what it started must end with it by itself.
    """

    def __init__(self) -> None:
        self._object: Any = None

    def make(self, path: str, arguments: Sequence[Any]) -> None:
        """Make it; not done by the constructor, from which an actor's errors come back as text alone."""
        module, _, name = path.partition(":")
        self._object = getattr(import_module(module), name)(*arguments)

    def call(self, method: str, arguments: Sequence[Any]) -> Any:
        """What that method returns, or raises."""
        return getattr(self._object, method)(*arguments)


def node_facts() -> Mapping[str, Any]:
    """What this node has, JSON-able; a package that it lacks is None."""
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
