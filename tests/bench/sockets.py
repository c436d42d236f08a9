"""Small servers on real sockets with scripted behaviour, for tests of transports and of the campaign."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from bench.contract.wire import Access, Endpoint

PLAIN = Access()
Script = Callable[[socket.socket], None]
"""Talks on one accepted connection until it returns; then the connection is closed."""


@contextlib.contextmanager
def serving(
    script: Script,
    *,
    protocol: str = "raw",
    tls: ssl.SSLContext | None = None,
    access: Access = PLAIN,
    host: str = "127.0.0.1",
) -> Iterator[Endpoint]:
    """Run `script` on every connection, each in its own thread, over `tls` if given; yields the endpoint to talk to."""
    listener = socket.create_server((host, 0))
    open_connections: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if tls is None:
                script(connection)
                return
            with tls.wrap_socket(connection, server_side=True) as secured:
                script(secured)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_connections.append(connection)
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        yield Endpoint(backend="scripted", name="raw", protocol=protocol, host=host, port=port, access=access)
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def read_request(connection: socket.socket) -> bytes | None:
    """One request's body; None when the client is gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return body


def answering(answer: Callable[[bytes], bytes]) -> Script:
    """A keep-alive server: each request's body -> the raw bytes to send back."""

    def script(connection: socket.socket) -> None:
        while (body := read_request(connection)) is not None:
            connection.sendall(answer(body))

    return script


def ok(body: bytes, extra: str = "") -> bytes:
    """A plain 200 answer."""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body
