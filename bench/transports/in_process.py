"""In process: the model is called in this process, nothing is sent; shows the speed if serving cost nothing."""

from bench.contract.system import Model
from bench.contract.tensors import Tensors
from bench.contract.wire import Payload
from bench.protocols.in_process import InProcess


class InProcessTransport:
    """Calls a model's predictor; a `Transport[Tensors]`. There is no connection, so connecting does nothing."""

    def __init__(self, model: Model) -> None:
        self._predictor = model.predictor
        self._codec = InProcess(model.signature)
        self.spent = False

    def prepare(self, payload: Payload) -> Tensors:
        """Decode the payload into the model's input arrays."""
        return self._codec.decode_request(payload.body)

    def connect(self) -> None:
        """Nothing to open."""

    def ensure_connected(self) -> bool:
        """Do nothing, since it is always connected; returns False."""
        return False

    def exchange(self, request: Tensors) -> bytes:
        """Run the model; returns its outputs as the bytes of an answer."""
        return self._codec.encode_answer(self._predictor(request))

    def close(self) -> None:
        """Nothing to close."""
