"""An image registry on the loopback: as much of the HTTP API v2 as pulling by tag and by digest takes."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.standins.serving import in_a_thread

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(slots=True)
class Registry:
    """Repositories by name, each a tag's manifest; `asked` has the paths of all requests for a manifest."""

    address: str = ""
    blobs: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def push(self, name: str, tag: str, files: Mapping[str, bytes]) -> str:
        """An image with these files, under this tag from now on; its digest."""
        layer = _tar_of(files)
        parts = {"architecture": "amd64", "os": "linux", "config": {}, "history": [{"created_by": "tests"}]}
        config = json.dumps({**parts, "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}).encode()
        packed = gzip.compress(layer, mtime=0)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._described(config, CONFIG),
            "layers": [self._described(packed, LAYER)],
        }
        digest = str(self._described(json.dumps(manifest).encode(), MANIFEST)["digest"])
        self.tags[f"{name}:{tag}"] = digest
        return digest

    def _described(self, content: bytes, kind: str) -> dict[str, object]:
        self.blobs[digest_of(content)] = (content, kind)
        return {"mediaType": kind, "size": len(content), "digest": digest_of(content)}

    def found(self, path: str) -> tuple[bytes, str] | None:
        """What lies at a path, and its kind; `/v2/` itself says that this is a registry."""
        if path == "/v2/":
            return b"{}", "application/json"
        name, _, rest = path.removeprefix("/v2/").partition("/manifests/")
        if rest:
            self.asked.append(path)
            return self.blobs.get(self.tags.get(f"{name}:{rest}", rest))
        return self.blobs.get(path.rpartition("/blobs/")[2])


@contextmanager
def serving_registry() -> Iterator[Registry]:
    """A registry that answers until the context ends."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content, kind = registry.found(self.path) or (b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', "")
            self.send_response(200 if kind else 404)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Docker-Content-Digest", digest_of(content))
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.address = f"127.0.0.1:{server.server_port}"
    with in_a_thread(server):
        yield registry


def _tar_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
