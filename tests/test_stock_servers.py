"""Servers under test are stock: their folders hold what each server's own documentation has a user write, nothing deeper."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("fixtures/backends", "fixtures/serving")

NEVER_IMPORTED = ("gunicorn", "uvicorn", "granian", "hypercorn", "socketserver", "http.server", "wsgiref")
"""Servers that are started by their command: nothing of theirs belongs into our code."""

DOCUMENTED = {
    "bentoml", "bentoml.validators.DType",
    "fastapi.FastAPI", "fastapi.HTTPException", "fastapi.Request", "fastapi.Response",
    "flask.Blueprint", "flask.Flask", "flask.Response", "flask.jsonify", "flask.make_response", "flask.render_template",
    "flask.request",
    "kserve.InferOutput", "kserve.InferRequest", "kserve.InferResponse", "kserve.Model", "kserve.ModelServer",
    "kserve.model_server", "kserve.errors.InvalidInput",
    "litserve",
    "mlserver.MLModel", "mlserver.codecs.NumpyCodec", "mlserver.errors.InferenceError",
    "mlserver.types.InferenceRequest", "mlserver.types.InferenceResponse",
    "mosec.Runtime", "mosec.Server", "mosec.Worker", "mosec.errors.ValidationError",
    "ray", "ray.serve",
    "starlette.requests.Request", "starlette.responses.JSONResponse", "starlette.responses.Response",
    "triton_python_backend_utils",
    "ts.torch_handler.base_handler.BaseHandler",
    "werkzeug.exceptions.HTTPException", "werkzeug.exceptions.RequestEntityTooLarge",
}  # fmt: skip
"""What may be imported of a server's or framework's package: entry points that its documentation names."""

EXTENDED = {
    "kserve.Model", "litserve.LitAPI", "mlserver.MLModel", "mosec.Worker", "ts.torch_handler.base_handler.BaseHandler",
}  # fmt: skip
"""Classes that their documentation has a user derive from."""

SET = {"flask.request.max_content_length"}
"""Attributes that the documentation has a user set."""

PACKAGES = {name.partition(".")[0] for name in DOCUMENTED} | {name.partition(".")[0] for name in NEVER_IMPORTED}


def imported(tree: ast.Module) -> dict[str, str]:
    """Local name -> dotted name of all that a module imports from outside of its folder."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`ls.LitAPI` -> `litserve.LitAPI`; empty for what leads to no import."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    inner = dotted(node.value, names) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def of_a_server(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def offences(source: str) -> Iterator[str]:
    """What of a source goes deeper than a server's documentation."""
    tree = ast.parse(source)
    names = imported(tree)
    for name in names.values():
        never = any(name == banned or name.startswith(f"{banned}.") for banned in NEVER_IMPORTED)
        if never or (of_a_server(name) and name not in DOCUMENTED and not name.startswith("http.")):
            yield f"imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for base in (dotted(base, names) for base in node.bases):
                if of_a_server(base) and base not in EXTENDED:
                    yield f"derives {node.name} from {base}"
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute) and dotted(target, names) not in {"", *SET}:
                    yield f"patches {dotted(target, names)}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            yield "calls setattr"
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr) and ast.unparse(node.value) != "self":
            yield f"reads the private {node.attr}"


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_servers_are_stock() -> None:
    """No subclass, patch or private part of any server, in a backend's folder and in what they share."""
    assert len(sources()) > 25
    found = {path.relative_to(ROOT).as_posix(): list(offences(path.read_text("utf-8"))) for path in sources()}
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("from gunicorn.workers.gthread import ThreadWorker\nclass W(ThreadWorker): ...", "imports gunicorn"),
        ("from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol", "imports uvicorn"),
        ("import http.server\nclass S(http.server.HTTPServer): ...", "imports http.server"),
        ("import socketserver", "imports socketserver"),
        ("from werkzeug.serving import WSGIRequestHandler", "imports werkzeug.serving"),
        ("from flask import Flask\nclass App(Flask): ...", "derives App from flask.Flask"),
        ("import litserve as ls\nclass Server(ls.LitServer): ...", "derives Server from litserve.LitServer"),
        ("from kserve import model_server\nmodel_server.RESTServer = object", "patches kserve.model_server.RESTServer"),
        ("import json\njson.loads = None", "patches json.loads"),
        ("settings._custom_rest_server_settings = {}", "reads the private _custom_rest_server_settings"),
        ("setattr(server, 'host', host)", "calls setattr"),
    ],
)
def test_the_rule_can_fail(source: str, offence: str) -> None:
    """Each way of going deeper is seen."""
    assert any(each.startswith(offence) for each in offences(source))
