"""Our HTTP servers as processes: by schemathesis, on the description that they share, and by bytes that are hardly HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.protocols import codec
from tests.backends.hostile import assert_clear, converse
from tests.backends.launch import Server, missing_packages, nnef_model, running, tiny_model
from tests.fuzz import with_hypothesis
from tests.fuzz.targets import FIXTURES, WIDTH, Target, some

OPENAPI = FIXTURES / "serving" / "openapi.json"
SERVERS = ("flask", "fastapi", "fastapi-granian", "nnef", "openvino")
OTHERS = ("fastapi-pydantic", "graphpipe-python", "null")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection"
)


def can_run(name: str) -> bool:
    """Whether the packages of the backend `name` are installed here."""
    return not missing_packages(FIXTURES / "backends" / name)


@contextmanager
def started(name: str) -> Iterator[tuple[Server, list[str]]]:
    """The server `name` with a model of WIDTH pixels; in the end the list holds what became of it, where that is no good."""
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="servebench-fuzz-") as folder:
        model = tiny_model(Path(folder) / "tiny.onnx", width=WIDTH)
        exports = {"nnef": nnef_model(model, Path(folder) / "nnef")} if name == "nnef" else {}
        with running(name, Path(folder), model, exports=exports) as server:
            yield server, failures
            if server.process.poll() is not None or server.ask("GET", "/healthz").status != 200:
                failures.append("the server no longer answers")
            log = server.log.read_text("utf-8", "replace")
            if "Traceback" in log:
                failures.append(f"the server's log has a traceback:\n{log[-4000:]}")


def fuzz(name: str, seconds: float, seed: int) -> tuple[int, list[str]]:
    """How many requests the server `name` was sent, and what it answered otherwise than described."""
    with started(name) as (server, failures):
        tried, unlike = _run(server, seconds, seed)
    return tried, unlike + failures


def conversations(name: str, seconds: float, seed: int) -> tuple[int, list[str]]:
    """Bytes near to requests, on plain sockets, by hypothesis: how many, and which were neither refused nor answered well."""
    with started(name) as (server, failures):

        def attempt(data: bytes) -> None:
            assert_clear(converse(server, data, leave=True), allowed=(200, 204))

        seeds = tuple(_request(endpoint) for endpoint in server.config["endpoint"])
        tried, broken = with_hypothesis.fuzz(Target(attempt, (*seeds, seeds[0] * 2, CHUNKED)), seconds, seed)
    return tried, broken + failures


CHUNKED = b"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\n\0\0\0\0\r\n0\r\nX: y\r\n\r\n"


def _request(endpoint: dict[str, str]) -> bytes:
    body, content_type, _ = codec(endpoint["protocol"]).encode(some(2, WIDTH))
    fields = f"Host: a\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}"
    return f"POST {endpoint['path']} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body


def _small_description() -> dict[str, Any]:
    """The description for a model of WIDTH pixels: of 784 numbers a row, and 4096 rows, little would ever be generated."""
    document: dict[str, Any] = json.loads(OPENAPI.read_text("utf-8"))
    instances = document["components"]["schemas"]["Images"]["properties"]["instances"]
    del instances["maxItems"]
    instances["items"] |= {"minItems": WIDTH, "maxItems": WIDTH}
    return document


def _run(server: Server, seconds: float, seed: int) -> tuple[int, list[str]]:
    folder = server.log.parent
    report, description = folder / "report.ndjson", folder / "openapi.json"
    description.write_text(json.dumps(_small_description()), "utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(description), "--url", f"http://127.0.0.1:{server.port}"),
        *("--checks", CHECKS, "--max-time", str(int(seconds)), "--seed", str(seed), "--continue-on-failure", "--no-color"),
        *(
            "--request-timeout",
            "20",
            "--generation-database",
            "none",
            "--max-examples",
            "100000",
            "--phases",
            "examples,coverage,fuzzing",
        ),
        *("--report", "ndjson", "--report-ndjson-path", str(report), "--output-sanitize", "false"),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        timeout=seconds * 3 + 300,
        check=False,
    )
    tried = _requests(report)
    if done.returncode != 0 or tried == 0:
        return tried, [f"schemathesis ended with {done.returncode}:\n{(done.stdout + done.stderr)[-6000:]}"]
    return tried, []


def _requests(report: Path) -> int:
    """How many requests its report tells of."""
    if not report.exists():
        return 0
    return sum(
        len(re.findall(r'"status_code": ?\d+', line))
        for line in report.read_text("utf-8", "replace").splitlines()
        if json.loads(line)
    )
