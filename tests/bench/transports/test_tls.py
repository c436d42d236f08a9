"""Both transports over TLS, against ssl's and grpc's own servers: bytes unchanged, distrust explained, no secret shown."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import grpc
import numpy as np
import pytest

pytest.importorskip("trustme")  # of the group `test`; an older environment may lack it
import trustme

from bench.contract.errors import ConnectionLost, ErrorStatus, ExchangeError, RequestRefused, TurnedAway, UntrustedCertificate
from bench.contract.wire import Access, Endpoint, Payload
from bench.load.closed_loop import run_clients
from bench.load.connection_pool import ConnectionPool
from bench.transports.grpc import GrpcTransport
from bench.transports.http import HttpTransport
from tests.bench.sockets import Script, answering, ok, read_request, serving
from tests.bench.transports.test_grpc import METHOD, advanced

Transport = HttpTransport | GrpcTransport
SECRET = "Bearer tok-9f8e7d6c5b4a"
PAYLOAD = Payload(b"question", "application/octet-stream", (0,))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Test Authority")


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Access:
    """Over TLS, with the authority trusted, and with a secret."""
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return Access(tls=True, ca=str(file), headers=(("Authorization", SECRET),))


def server_context(certificate: trustme.LeafCert, *alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@contextlib.contextmanager
def http_serving(authority: trustme.CA, access: Access, script: Script) -> Iterator[Endpoint]:
    context = server_context(authority.issue_cert("127.0.0.1"), "http/1.1")
    with serving(script, tls=context, access=access) as endpoint:
        yield endpoint


@contextlib.contextmanager
def grpc_serving(
    authority: trustme.CA, access: Access, handle: Callable[[bytes, grpc.ServicerContext], bytes]
) -> Iterator[Endpoint]:
    class Handler(grpc.GenericRpcHandler):  # type: ignore[type-arg]
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
            return grpc.unary_unary_rpc_method_handler(handle)

    own = authority.issue_cert("127.0.0.1")
    pair = (own.private_key_pem.bytes(), b"".join(each.bytes() for each in own.cert_chain_pems))
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Handler()], options=options)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    try:
        yield Endpoint("scripted", "grpc", "p", METHOD, port, "127.0.0.1", access=access)
    finally:
        server.stop(grace=None)


def reversing(authority: trustme.CA, access: Access, kind: str) -> contextlib.AbstractContextManager[Endpoint]:
    """A server that answers with the question read backwards."""
    if kind == "grpc":
        return grpc_serving(authority, access, lambda request, _: request[::-1])
    return http_serving(authority, access, answering(lambda body: ok(body[::-1])))


def transport_of(endpoint: Endpoint) -> Transport:
    return (GrpcTransport if endpoint.name == "grpc" else HttpTransport)(endpoint, deadline_s=5.0)


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 1_000_003, 9_000_000])
def test_bytes_go_and_come_unchanged(authority: trustme.CA, trusted: Access, kind: str, size: int) -> None:
    """Of any size, around a record of TLS and far beyond the socket's room; blocking, and as an event loop drives it."""
    message = np.random.default_rng(size).bytes(size)
    with reversing(authority, trusted, kind) as endpoint, contextlib.closing(transport_of(endpoint)) as transport:
        transport.connect()
        request = transport.prepare(Payload(message, "application/octet-stream", (0,)))
        for _ in range(3):
            assert transport.exchange(request) == message[::-1]  # type: ignore[arg-type]
            assert not transport.ensure_connected()
            assert advanced(transport, request) == message[::-1]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_many_connections_in_one_loop(authority: trustme.CA, trusted: Access, kind: str) -> None:
    """What TLS holds decrypted is no reason to wait for the descriptor: no client is forgotten."""
    with reversing(authority, trusted, kind) as endpoint:
        pool = ConnectionPool([transport_of(endpoint) for _ in range(4)])
        request = pool.prepare(PAYLOAD)
        done = run_clients(pool, 4, iter([(0, request)] * 100_000), slice_s=0.2)
        pool.close()
    assert done.error is None
    assert len(done.answers) > 20
    assert {body for _, body in done.answers} == {PAYLOAD.body[::-1]}


def test_the_secret_goes_along_and_is_shown_nowhere(authority: trustme.CA, trusted: Access) -> None:
    """With every request; neither the request's, nor the endpoint's, nor the transport's repr has it."""
    heads: list[bytes] = []

    def script(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        connection.sendall(ok(b""))

    with http_serving(authority, trusted, script) as endpoint, contextlib.closing(HttpTransport(endpoint)) as transport:
        transport.connect()
        request = transport.prepare(PAYLOAD)
        transport.exchange(request)
        shown = repr((request, endpoint, transport, GrpcTransport(endpoint).prepare(PAYLOAD)))
    assert f"Authorization: {SECRET}".encode() in heads[0]
    assert SECRET.split()[1] not in shown


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("padding", ["", "x" * 280])
def test_a_server_that_sends_the_secret_back(authority: trustme.CA, trusted: Access, kind: str, padding: str) -> None:
    """Its words stand in the error without it, cut off or not; and what it wants is named."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{padding}{SECRET} is wrong")

    body = f"{padding}{SECRET} is wrong".encode()
    answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    serving_it = (
        grpc_serving(authority, trusted, refuse)
        if kind == "grpc"
        else http_serving(authority, trusted, answering(lambda _: answer))
    )
    with serving_it as endpoint, contextlib.closing(transport_of(endpoint)) as transport:
        transport.connect()
        with pytest.raises(ErrorStatus, match=r"(?s)(401|UNAUTHENTICATED).*--header NAME=ENV:VARIABLE") as raised:
            transport.exchange(transport.prepare(PAYLOAD))  # type: ignore[arg-type]
    assert "tok-9f8e" not in str(raised.value)


def http_answer(status: str) -> Script:
    return answering(lambda _: f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno".encode())


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("403 Forbidden", RequestRefused, "403.*--header"),
        ("429 Too Many\r\nRetry-After: 30", TurnedAway, "fewer requests.* after 30; HTTP status 429"),
        ("429 Too Many", TurnedAway, "come back later"),
        ("503 Busy\r\nRetry-After: 5", TurnedAway, "after 5; HTTP status 503"),
        ("503 Busy", ErrorStatus, "HTTP status 503, expected 200; the answer says: no$"),
    ],
)
def test_refusals_are_named(status: str, error: type[ExchangeError], words: str) -> None:
    """Whether to stop asking, and what would help."""
    with serving(http_answer(status)) as endpoint, contextlib.closing(HttpTransport(endpoint)) as transport:
        transport.connect()
        with pytest.raises(error, match=f"(?s){words}") as raised:
            transport.exchange(transport.prepare(PAYLOAD))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("status", "retry_after", "error", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, None, RequestRefused, "PERMISSION_DENIED.*--header"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "30", TurnedAway, "fewer requests.* after 30.*RESOURCE_EXHAUSTED"),
        (grpc.StatusCode.UNAVAILABLE, "5", TurnedAway, "fewer requests.* after 5.*UNAVAILABLE"),
        (grpc.StatusCode.UNAVAILABLE, None, ConnectionLost, "UNAVAILABLE: no$"),
    ],
)
def test_refusals_of_grpc_are_named(
    authority: trustme.CA,
    trusted: Access,
    status: grpc.StatusCode,
    retry_after: str | None,
    error: type[ExchangeError],
    words: str,
) -> None:
    """As those of HTTP."""

    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("retry-after", retry_after),) if retry_after else ())
        context.abort(status, "no")

    with grpc_serving(authority, trusted, refuse) as endpoint, contextlib.closing(GrpcTransport(endpoint)) as transport:
        transport.connect()
        with pytest.raises(error, match=f"(?s){words}") as raised:
            transport.exchange(transport.prepare(PAYLOAD))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("other authority", r"unable to get local issuer certificate \(subject .*CN=models\.example, issued by .*--ca FILE"),
        ("expired", r"certificate has expired \(subject .*CN=models\.example, .*valid until 2001-01-02\); it must be renewed"),
        ("other host", r"subject .*CN=models\.example, .*the URL must name the host"),
    ],
)
@pytest.mark.parametrize("transport", [HttpTransport, GrpcTransport])
def test_a_certificate_that_is_not_trusted(
    authority: trustme.CA, trusted: Access, case: str, words: str, transport: type[Transport]
) -> None:
    """Why, whose it is, and what would help; and nothing is sent."""
    signer = trustme.CA() if case == "other authority" else authority
    until = datetime(2001, 1, 2, tzinfo=UTC) if case == "expired" else None
    since = datetime(2001, 1, 1, tzinfo=UTC) if case == "expired" else None
    host = "elsewhere.example" if case == "other host" else "127.0.0.1"
    own = signer.issue_cert(host, common_name="models.example", not_before=since, not_after=until)
    heard: list[bytes] = []

    def script(connection: socket.socket) -> None:
        heard.append(connection.recv(10))

    with serving(script, tls=server_context(own), access=trusted) as endpoint:
        with pytest.raises(UntrustedCertificate, match=words) as raised:
            transport(endpoint, deadline_s=5.0).connect()
        assert f"{endpoint.host}:{endpoint.port}" in str(raised.value)
    assert [each for each in heard if each] == []


def test_what_speaks_no_tls_or_no_http2(authority: trustme.CA, trusted: Access) -> None:
    """A plain server, a silent one, and one that agrees to another protocol: each is a lost connection with its address."""
    silence = threading.Event()

    def silent(connection: socket.socket) -> None:
        silence.wait(5)

    def plain(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(plain, access=trusted) as endpoint, pytest.raises(ConnectionLost, match="TLS: "):
        HttpTransport(endpoint, deadline_s=2.0).connect()
    with serving(silent, access=trusted) as endpoint, pytest.raises(ConnectionLost, match=r"no answer within 0\.2 s"):
        HttpTransport(endpoint, deadline_s=0.2).connect()
    silence.set()
    with http_serving(authority, trusted, plain) as endpoint, pytest.raises(ConnectionLost, match=r"HTTP/2|over TLS"):
        GrpcTransport(endpoint, deadline_s=2.0).connect()


def test_a_connection_that_the_server_closed_is_opened_again(authority: trustme.CA, trusted: Access) -> None:
    """Outside of the clock, handshake and all; what TLS itself sends meanwhile is no reason to."""
    handshakes = []

    def once(connection: socket.socket) -> None:
        handshakes.append(1)
        for _ in range(2):
            read_request(connection)
            connection.sendall(ok(b"answer"))

    with http_serving(authority, trusted, once) as endpoint, contextlib.closing(HttpTransport(endpoint)) as transport:
        transport.connect()
        request = transport.prepare(PAYLOAD)
        assert transport.exchange(request) == b"answer"
        assert not transport.ensure_connected()
        assert transport.exchange(request) == b"answer"
        threading.Event().wait(0.1)
        assert transport.ensure_connected()
        assert transport.exchange(request) == b"answer"
    assert len(handshakes) == 2
