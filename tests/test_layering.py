"""Who may import whom, held on the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "fixtures", "reports")
SEAMS = {
    "bench.contract.npy_header",
    "bench.contract.confusion",
    "bench.contract.system",
    "bench.analysis.gate",
    "bench.statistics.leak_check",
    "bench.contract.resource_usage",
    "bench.contract.records",
    "bench.contract.scenarios",
    "bench.statistics",
    "bench.contract.hooks",
    "bench.contract.options",
    "bench.contract.interrupts",
    "bench.contract.console",
}
ON_THE_SERVER = ("fixtures/backends/", "fixtures/shared/", "fixtures/exporters/")  # run elsewhere, import nothing of ours


def imports(source: str) -> Iterator[str]:
    """The dotted names of all modules that a source imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or "")
            else:
                # `from bench import contract` imports bench.contract.system
                of_ours = node.module in PACKAGES
                yield from (f"{node.module}.{alias.name}" if of_ours else str(node.module) for alias in node.names)


def offences(package: str, source: str) -> list[str]:
    """The imports of a module of `package` that the house rules forbid."""
    found = []
    for name in imports(source):
        top = name.split(".")[0]
        if name.startswith(".") or top in ("conftest", "tests"):
            found.append(name)
        elif top in PACKAGES and top != package:
            allowed = package != "bench" and top == "bench" and any(name == s or name.startswith(f"{s}.") for s in SEAMS)
            if not allowed:
                found.append(name)
    return found


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(ON_THE_SERVER)]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_the_design_allows(package: str) -> None:
    """bench imports neither fixtures nor reports; these import bench's seams only, and never each other."""
    found = {path.relative_to(ROOT).as_posix(): offences(package, path.read_text()) for path in modules(package)}
    assert found, f"no module found in {package}"
    assert {path: names for path, names in found.items() if names} == {}


def test_server_code_imports_nothing_of_ours() -> None:
    """What is staged onto a server must run there: without this project beside it."""
    for folder in ON_THE_SERVER:
        for path in sorted((ROOT / folder).rglob("*.py")):
            assert not [name for name in imports(path.read_text()) if name.split(".")[0] in (*PACKAGES, "tests", "conftest")], (
                path
            )


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("bench", "from fixtures.model.load import load_model"),
        ("reports", "import fixtures.fleet.fleet"),
        ("fixtures", "from bench import campaign"),
        ("reports", "def f():\n    from bench.plugin import x"),
        ("fixtures", "import conftest"),
        ("bench", "from . import contract"),
    ],
)
def test_offences_are_seen(package: str, source: str) -> None:
    """The rule itself can fail: each of these is an offence."""
    assert offences(package, source)
