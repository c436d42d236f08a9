"""A stand-in of GraphPipe's reference server in Go, graphpipe-tf: flatbuffers over HTTP as our codec asks for them.

What is particular to it: refusals are 400 with plain text; what the flatbuffers library runs out of bounds on is a panic in
Go, which closes the connection without a word; answers of more than 2048 bytes come chunked.
"""

import contextlib
import math
import struct
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer

import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from bench.contract.tensors import FloatArray
from tests.standins.graphpipe_wire import Reader, infer_response
from tests.standins.serving import KeptConnection, in_a_thread

_UNCHUNKED_BYTES = 2048
_PANICS = (struct.error, ValueError, TypeError, IndexError, OverflowError)


class Refused(Exception):
    """A request that the server answers with 400 and this text."""


class GraphPipeServer(ThreadingHTTPServer):
    """Serves `predict` for images of `width`."""

    daemon_threads = True

    def __init__(self, predict: Callable[[FloatArray], FloatArray], width: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.predict = predict
        self.width = width

    def answer(self, body: bytes) -> bytes:
        """The flatbuffer that answers `body`; raises Refused, or what the library raises on garbage."""
        request = Reader(Table(body, struct.unpack_from("<I", body)[0]))
        tensor = request.table(1).tables(2)[0]
        shape = tensor.vector(1, number_types.Int64Flags).tolist()
        data = tensor.vector(2, number_types.Uint8Flags).tobytes()
        images: FloatArray = np.frombuffer(data, dtype="<f4")[: math.prod(shape)].reshape(shape)
        if images.shape[1] != self.width:
            sizes = f"In[0]: [{images.shape[0]},{images.shape[1]}], In[1]: [{self.width},512]"
            raise Refused(f"Matrix size-incompatible: {sizes}\n\t [[Node: MatMul]]")
        return infer_response(self.predict(images))


@contextlib.contextmanager
def graphpipe(predict: Callable[[FloatArray], FloatArray], width: int) -> Iterator[GraphPipeServer]:
    """Serve on a port of the loopback; its `server_port` tells which."""
    server = GraphPipeServer(predict, width)
    with in_a_thread(server):
        yield server


class _Handler(KeptConnection):
    server: GraphPipeServer

    def respond(self, body: bytes) -> None:
        try:
            answer = self.server.answer(body)
        except Refused as error:
            self.send(400, f"{error}\n".encode(), "text/plain; charset=utf-8")
        except _PANICS:
            self.close_connection = True
        else:
            self._send_scores(answer)

    def _send_scores(self, answer: bytes) -> None:
        if len(answer) <= _UNCHUNKED_BYTES:
            self.send(200, answer, "application/octet-stream")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer), answer))
