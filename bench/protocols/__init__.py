"""One file a wire protocol: `v1_json.py` holds the `CODEC` named `v1-json`; a new protocol is a new file, no edit elsewhere."""

from __future__ import annotations

import importlib
import pkgutil

from bench.contract.errors import BadInput
from bench.contract.wire import Codec


def protocol_names() -> tuple[str, ...]:
    """The names of all protocols, sorted; reads the folder and imports nothing."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def codec(name: str) -> Codec:
    """The codec of the protocol `name`; BadInput where there is none."""
    if name not in protocol_names():
        raise BadInput(f"unknown protocol {name!r}; known protocols: {', '.join(protocol_names())}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: Codec = module.CODEC
    return found


def load_codecs() -> dict[str, Codec]:
    """All codecs by name."""
    return {name: codec(name) for name in protocol_names()}
