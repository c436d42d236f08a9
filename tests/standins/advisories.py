"""PyPI's JSON answers as far as pip-audit asks for them: a proxy on the loopback that answers as pypi.org, by a certificate.

Shape of an answer: https://docs.pypi.org/api/json/, "Known vulnerabilities".
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

from tests.standins.serving import in_a_thread

HOST = "pypi.org"
_PATH = re.compile(r"/pypi/([^/]+)/([^/]+)/json")


@dataclass(slots=True)
class Advisories:
    """What the service knows: by name and version, the vulnerabilities; what is not there it does not tell of (404).

    `environment` is what a client needs to come here; `status` other than 200 stands for a service in trouble.
    """

    environment: dict[str, str] = field(default_factory=dict)
    known: dict[tuple[str, str], list[dict[str, object]]] = field(default_factory=dict)
    status: int = 200

    def answer(self, path: str) -> tuple[int, object]:
        """Status and JSON."""
        found = _PATH.fullmatch(path)
        if self.status != 200:
            return self.status, {"message": "in trouble"}
        if found is None or (found[1], found[2]) not in self.known:
            return 404, {"message": "Not Found"}
        info = {"name": found[1], "version": found[2]}
        return 200, {"info": info, "urls": [], "vulnerabilities": self.known[found[1], found[2]]}


def vulnerability(name: str, *, alias: str, fixed_in: list[str], withdrawn: str | None = None) -> dict[str, object]:
    """One as PyPI tells it."""
    return {
        "id": name,
        "aliases": [alias],
        "details": "Long words\non several lines.",
        "summary": None,
        "fixed_in": fixed_in,
        "link": f"https://osv.dev/vulnerability/{name}",
        "source": "osv",
        "withdrawn": withdrawn,
    }


@contextmanager
def serving_advisories(folder: Path) -> Iterator[Advisories]:
    """A service that answers until the context ends; its certificate goes into the folder."""
    advisories, authority = Advisories(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            if self.path != f"{HOST}:443":
                self.send_error(403)
                return
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.close_connection = False

        def do_GET(self) -> None:
            status, answer = advisories.answer(self.path)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = f"http://127.0.0.1:{server.server_port}"
    advisories.environment = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "REQUESTS_CA_BUNDLE": str(folder / "ca.pem")}
    advisories.environment |= {"NO_PROXY": "", "no_proxy": "", "XDG_CACHE_HOME": str(folder)}
    with in_a_thread(server):
        yield advisories
