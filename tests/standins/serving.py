"""What the stand-ins of servers with two interfaces share: REST on one port of the loopback, one gRPC method on another."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

Call = Callable[[bytes, grpc.ServicerContext], bytes]


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

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _OneMethod(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The one method of the service that is used; any other is UNIMPLEMENTED."""

    def __init__(self, method: str, call: Call) -> None:
        self._method = method
        self._call = call

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
        return grpc.unary_unary_rpc_method_handler(self._call) if details.method == self._method else None


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
def on_two_ports(rest: ThreadingHTTPServer, method: str, call: Call, grpc_port: int = 0) -> Iterator[tuple[int, int]]:
    """Serve both; their ports, REST's first."""
    service = grpc.server(ThreadPoolExecutor(2), handlers=[_OneMethod(method, call)])
    grpc_port = service.add_insecure_port(f"127.0.0.1:{grpc_port}")
    service.start()
    try:
        with in_a_thread(rest):
            yield rest.server_port, grpc_port
    finally:
        service.stop(grace=None).wait()
