"""The base class of all codecs: what a protocol's file declares, and what it inherits."""

from abc import ABC, abstractmethod
from typing import ClassVar

from bench.contract.errors import NotCarried
from bench.contract.tensors import Signature, Tensors
from bench.contract.wire import SERVED_AS


class SignatureCodec(ABC):
    """A `Codec` for the model with this `signature`, which the server calls `model`; raises NotCarried.

    A protocol declares its `name`, as in backend.toml, the `transport` that carries it, and in `uncarried` the dtypes that it
    cannot carry; any other limit goes into `refusal`.
    """

    name: ClassVar[str]
    transport: ClassVar[str]
    uncarried: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, signature: Signature, model: str = SERVED_AS) -> None:
        self.signature = signature
        self.model = model
        refusal = self.refusal()
        if refusal:
            raise NotCarried(f"{self.name} cannot carry this model: {refusal}")

    def refusal(self) -> str:
        """Why the protocol cannot carry the signature; empty if it can."""
        for spec in (*self.signature.inputs, *self.signature.outputs):
            if spec.dtype in self.uncarried:
                return f"it has no {spec.dtype}, which {spec.name} is"
        return ""

    @abstractmethod
    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""

    @abstractmethod
    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""

    @abstractmethod
    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
