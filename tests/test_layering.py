"""Who may import whom, held on the syntax tree."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tools.draw_rooms import APART, DOCUMENT, ROOMS, ROOT, SHARED, arrows, drawn, height, imports, modules, room_of

PACKAGES = tuple(ROOMS)
OURS = (*PACKAGES, "tools", "tests", "conftest")
MOST_FILES = 16
MOST_LINES = 250


def offences(module: str, source: str) -> list[str]:
    """The imports of a module that the house rules forbid."""
    package = module.split(".")[0]
    found = []
    for name in imports(source):
        top, _, rest = name.partition(".")
        if top == package and package in ROOMS:
            own, other = room_of(module), room_of(name)
            if height(package, other) > height(package, own):
                found.append(name)
        elif top in ROOMS and package in ROOMS:
            if package == "bench" or top != "bench" or rest.partition(".")[0] not in SHARED:
                found.append(name)
        elif name.startswith(".") or top in ("conftest", "tests") or (top == "tools" and package in ROOMS):
            found.append(name)
    return found


@pytest.mark.parametrize("package", [*PACKAGES, "tools"])
def test_modules_import_only_what_the_design_allows(package: str) -> None:
    """bench imports no other package; fixtures and reports import two of its rooms; each room only rooms below it.

    Nobody imports the tools, which may import all three.
    """
    found = {module: offences(module, path.read_text(encoding="utf-8")) for module, path in modules(package).items()}
    assert found, f"no module found in {package}"
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_have_no_circle(package: str) -> None:
    """Of all arrows between rooms none goes up, and none leads back."""
    found = arrows(package)
    assert found
    assert [pair for pair in found if height(package, pair[0]) < height(package, pair[1])] == []
    graph: dict[str, set[str]] = {}
    for one, other in found:
        graph.setdefault(one, set()).add(other)
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_known(package: str) -> None:
    """A folder with modules is a room, or runs elsewhere; a room that is gone is no longer named."""
    folders = {path.relative_to(ROOT / package).parts[0] for path in (ROOT / package).glob("*/**/*.py")}
    apart = {place.split("/")[1] for place in APART if place.startswith(f"{package}/")}
    assert folders - apart == set(ROOMS[package])


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_is_crowded(package: str) -> None:
    """More files than can be overseen are two rooms; the backends are one folder each."""
    counts: dict[Path, int] = {}
    for path in (ROOT / package).rglob("*.py"):
        if not path.is_relative_to(ROOT / "fixtures" / "backends"):
            counts[path.parent] = counts.get(path.parent, 0) + 1
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES} == {}


@pytest.mark.parametrize("package", [*PACKAGES, "tools"])
def test_a_long_module_says_why_it_is_one(package: str) -> None:
    """Beyond so many lines its docstring tells, with the words "one module", what would be torn apart in two."""
    unexplained = {}
    for module, path in modules(package).items():
        source = path.read_text(encoding="utf-8")
        lines, told = len(source.splitlines()), ast.get_docstring(ast.parse(source)) or ""
        if lines > MOST_LINES and "one module" not in " ".join(told.lower().split()):
            unexplained[module] = lines
    assert unexplained == {}


def test_the_drawing_is_current() -> None:
    """docs/architecture.md shows the imports as they are."""
    assert DOCUMENT.read_text(encoding="utf-8") == drawn(), "run python -m tools.draw_rooms, and read what it changed"


def test_code_that_runs_elsewhere_imports_nothing_of_ours() -> None:
    """What is staged onto a server must run there: without this project beside it."""
    for folder in APART:
        files = sorted((ROOT / folder).rglob("*.py"))
        assert files, folder
        for path in files:
            assert not [name for name in imports(path.read_text(encoding="utf-8")) if name.split(".")[0] in OURS], path


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bench.plugin", "from fixtures.model.load import load_model"),
        ("reports.plugin", "import fixtures.fleet"),
        ("fixtures.plugin", "from bench import experiments"),
        ("fixtures.plugin", "from bench.load.lane import Lane"),
        ("reports.tables.numbers", "def f():\n    from bench.plugin import x"),
        ("fixtures.plugin", "import conftest"),
        ("bench.contract.wire", "from . import tensors"),
        ("bench.load.lane", "from bench.analysis import gate"),
        ("bench.statistics.bootstrap", "import bench.load.lane"),
        ("bench.session.state", "from bench.plugin import x"),
        ("fixtures.host.cpus", "def f():\n    from fixtures.specs import spec"),
        ("reports.tables.columns", "from reports.sections.answer import answers"),
        ("bench.plugin", "from tools.web import main"),
        ("tools.web", "from tests.conftest import locked"),
    ],
)
def test_offences_are_seen(module: str, source: str) -> None:
    """The rule itself can fail: each of these is an offence."""
    assert offences(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bench.analysis.gate", "from bench.load import lane"),
        ("bench.load.lane", "from bench.load.scheduler import Settings"),
        ("reports.sections.gate", "from bench.contract import gate_rows"),
        ("fixtures.model.exports", "from bench.statistics import Magnitude"),
        ("tools.web", "from fixtures.model.load import load_model\nimport reports.plugin"),
    ],
)
def test_what_is_allowed_is_no_offence(module: str, source: str) -> None:
    """Downwards, within a room, and from the tools to all."""
    assert offences(module, source) == []
