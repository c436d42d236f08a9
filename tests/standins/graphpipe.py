"""A stand-in of GraphPipe's reference server in Go, graphpipe-tf: flatbuffers over HTTP as it answers them.

What is particular to it: any path but /control/... takes requests; a GET tells the metadata as JSON; refusals are 400 with
plain text; what the flatbuffers library runs out of bounds on is a panic in Go, which closes the connection without a word;
answers of more than 2048 bytes come chunked.
"""

import contextlib
import json
import math
import struct
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from bench.contract.tensors import FloatArray
from tests.standins.graphpipe_wire import FLOAT32, Metadata, Reader, TensorInfo, infer_response, metadata_response
from tests.standins.serving import in_a_thread

INPUT, OUTPUT = "images:0", "scores:0"
_INFER_REQUEST = 1
_UNCHUNKED_BYTES = 2048
_PANICS = (struct.error, ValueError, TypeError, IndexError, OverflowError)


class Refused(Exception):
    """A request that the server answers with 400 and this text."""


class GraphPipeServer(ThreadingHTTPServer):
    """Serves `predict` for images of `width`; `ready` False answers the control path with 503."""

    daemon_threads = True

    def __init__(self, predict: Callable[[FloatArray], FloatArray], width: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.predict = predict
        self.width = width
        self.ready = True

    def answer(self, body: bytes) -> bytes:
        """The flatbuffer that answers `body`; raises Refused, or what the library raises on garbage."""
        request = Reader(Table(body, struct.unpack_from("<I", body)[0]))
        if request.number(0, number_types.Uint8Flags) != _INFER_REQUEST:
            return metadata_response(self.metadata())
        infer = request.table(1)
        inputs = infer.tables(2)
        names = infer.strings(1)
        # The default inputs are a list of one: a second tensor without a name is out of its bounds.
        named = {(names[at] if at < len(names) else "") or [INPUT][at]: tensor for at, tensor in enumerate(inputs)}
        outputs = infer.strings(3) or [OUTPUT]
        for what, known, asked in (("output", OUTPUT, outputs), ("input", INPUT, list(named))):
            for name in asked:
                if full_name(name) != known:
                    raise Refused(f"Could not find {what} '{full_name(name)}'")
        if not named:
            raise Refused("You must feed a value for placeholder tensor 'images' with dtype float\n\t [[Node: images]]")
        scores = self.predict(self._images(next(iter(named.values()))))
        return infer_response([scores] * len(outputs))

    def metadata(self) -> Metadata:
        """Of the graph that it serves."""
        classes = self.predict(np.zeros((1, self.width), np.float32)).shape[1]
        return Metadata(
            name="/models/emnist.pb",
            version="version dev (built from sha unknown)",
            server="graphpipe-tf",
            description="Implementation of tensorflow model server using graphpipe.",
            tensors=(TensorInfo(INPUT, (-1, self.width)), TensorInfo(OUTPUT, (-1, classes))),
        )

    def _images(self, tensor: Reader) -> FloatArray:
        kind = tensor.number(0, number_types.Uint8Flags)
        shape, data = tensor.vector(1, number_types.Int64Flags), tensor.vector(2, number_types.Uint8Flags).tobytes()
        if kind != FLOAT32:
            raise Refused(f"Expects arg[0] to be float but type {kind} is provided")
        if len(data) < 4 * math.prod(shape.tolist()):
            raise Refused("unexpected EOF")
        images: FloatArray = np.frombuffer(data, dtype="<f4")[: math.prod(shape.tolist())].reshape(shape.tolist())
        if images.ndim != 2:
            raise Refused("In[0] is not a matrix\n\t [[Node: MatMul]]")
        if images.shape[1] != self.width:
            sizes = f"In[0]: [{images.shape[0]},{images.shape[1]}], In[1]: [{self.width},512]"
            raise Refused(f"Matrix size-incompatible: {sizes}\n\t [[Node: MatMul]]")
        return images


@contextlib.contextmanager
def graphpipe(predict: Callable[[FloatArray], FloatArray], width: int) -> Iterator[GraphPipeServer]:
    """Serve on a port of the loopback; its `server_port` tells which."""
    server = GraphPipeServer(predict, width)
    with in_a_thread(server):
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one write
    server: GraphPipeServer

    def do_GET(self) -> None:
        if not self._control():
            self._send(200, _as_json(self.server.metadata()).encode(), "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._control():
            return
        try:
            answer = self.server.answer(body)
        except Refused as error:
            self._text(400, str(error))
        except _PANICS:
            self.close_connection = True
        else:
            self._send(200, answer, "application/octet-stream")

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads its log here."""

    def _control(self) -> bool:
        if self.path == "/control/is_ready" and not self.server.ready:
            self._text(503, "not ready")
        elif self.path in ("/control/is_ready", "/control/is_alive"):
            self._send(200, b"ok\n", "text/plain; charset=utf-8")
        else:
            return False
        return True

    def _text(self, status: int, text: str) -> None:
        self._send(status, f"{text}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if len(body) <= _UNCHUNKED_BYTES:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def _as_json(told: Metadata) -> str:
    """As a GET shows it."""
    tensors = [{"Name": each.name, "Description": "", "Shape": each.shape, "Type": FLOAT32} for each in told.tensors]
    named = {"Name": told.name, "Version": told.version, "Server": told.server, "Description": told.description}
    return json.dumps({**named, "Inputs": tensors, "Outputs": tensors}, indent=4)


def full_name(name: str) -> str:
    """A tensor's name with its output's number."""
    return name if ":" in name else f"{name}:0"
