"""What the stand-ins share: a kept connection's handler, refusals, and REST on one port beside gRPC on another."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

Call = Callable[[bytes, grpc.ServicerContext], bytes]
Calls = Mapping[str, Call]

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNIMPLEMENTED: 405,
    grpc.StatusCode.INTERNAL: 500,
}


class Refusal(Exception):
    """What a server refuses: a gRPC status, which REST turns into `http_status`."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        return _HTTP_STATUS[self.code]


class KeptConnection(BaseHTTPRequestHandler):
    """Answers any number of requests on a connection by `respond`; the servers log none of them."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one write

    def do_GET(self) -> None:
        self.respond(b"")

    def do_POST(self) -> None:
        self.respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def respond(self, body: bytes) -> None:
        raise NotImplementedError

    def send(self, status: int, content: bytes, content_type: str, **headers: str) -> None:
        """The whole answer; an underscore in a header's name is a hyphen."""
        self.send_response(status)
        for name, value in {"Content_Type": content_type, "Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class RestServer(ThreadingHTTPServer):
    """Keeps connections, one thread each; `model` is what its handler answers with."""

    daemon_threads = True

    def __init__(self, handler: type[KeptConnection], model: Any, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.model = model


@dataclass(frozen=True, slots=True)
class Served:
    """A running stand-in of two interfaces: what it serves, and where it listens."""

    model: Any
    rest_port: int
    grpc_port: int


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The methods of the service that are used; any other is UNIMPLEMENTED."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
        call = self._calls.get(details.method)
        return grpc.unary_unary_rpc_method_handler(call) if call else None


@contextlib.contextmanager
def in_a_thread(server: ThreadingHTTPServer) -> Iterator[None]:
    """It answers until the context ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def methods(calls: Calls, port: int = 0) -> Iterator[int]:
    """Serve them over gRPC; the port."""
    service = grpc.server(ThreadPoolExecutor(2), handlers=[_Methods(calls)])
    port = service.add_insecure_port(f"127.0.0.1:{port}")
    service.start()
    try:
        yield port
    finally:
        service.stop(grace=None).wait()


@contextlib.contextmanager
def on_two_ports(rest: RestServer, calls: Calls, grpc_port: int = 0) -> Iterator[Served]:
    """Serve both."""
    with methods(calls, grpc_port) as port, in_a_thread(rest):
        yield Served(rest.model, rest.server_port, port)
