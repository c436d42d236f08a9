"""One file a wire protocol: `v1_json.py` holds the `CODEC` named `v1-json`; a new protocol is a new file, no edit elsewhere."""

import importlib
import pkgutil

from bench.contract.errors import BadInput
from bench.contract.tensors import Signature
from bench.contract.wire import SERVED_AS, Codec
from bench.protocols._codec import SignatureCodec


def protocol_names() -> tuple[str, ...]:
    """The names of all protocols, sorted; reads the folder and imports nothing."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def codec(name: str, signature: Signature, model: str = SERVED_AS) -> Codec:
    """The codec of the protocol `name` for the model with that `signature`, which the server calls `model`.

    Raises BadInput if there is no such protocol, NotCarried if it cannot carry the model's inputs or outputs.
    """
    return _kind(name)(signature, model)


def transport_of(name: str) -> str:
    """The transport that carries the protocol `name`: `http`, `grpc` or `in-process`."""
    return _kind(name).transport


def _kind(name: str) -> type[SignatureCodec]:
    if name not in protocol_names():
        raise BadInput(f"unknown protocol {name!r}; known protocols: {', '.join(protocol_names())}")
    kind: type[SignatureCodec] = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").CODEC
    return kind
