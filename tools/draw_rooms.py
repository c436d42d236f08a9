"""`python -m tools.draw_rooms`: writes docs/architecture.md, which rooms import which, from the syntax tree.

The order of the rooms is defined only here: the layering test checks the imports against it.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
ROOMS = {
    "bench": (
        "contract",
        "protocols",
        "transports",
        "statistics",
        "machine",
        "load",
        "verification",
        "agents",
        "analysis",
        "experiments",
        "session",
    ),
    "fixtures": ("host", "specs", "dataset", "engines", "model", "fleet", "training"),
    "reports": ("store", "tables", "charts", "sections", "across_runs", "renderers"),
}
"""Each package's rooms, lowest first: a room may import itself and the rooms before it."""

SHARED = ("contract", "statistics")
"""The rooms of `bench` that `fixtures` and `reports` may import; no other package may be imported by another."""

APART = ("fixtures/backends/", "fixtures/serving/", "fixtures/exporters/", "fixtures/examples/")
"""Code that runs elsewhere, without the rest of this project."""

TOP = "(top)"
"""The modules outside of the rooms: the plugin, and in `bench` those that read like the specification."""

_TEXT = """# Architecture

Written by `python -m tools.draw_rooms` from the imports; `tests/test_layering.py` holds that it is current.

`bench` measures, `fixtures` prepares, `reports` explains. `conftest.py` puts their three plugins together; `tools` are programs
for who works on this project, imported by nobody. A package is made of rooms. A room imports only rooms below it; what stands
beside the rooms (a package's plugin, and in `bench` what reads like the specification) imports any of them. So all arrows go
down, and there is no circle.

What lies in `fixtures/backends/`, `fixtures/serving/`, `fixtures/exporters/` and `fixtures/examples/` runs elsewhere, and
imports nothing of this project.

In the tables a row imports, a column is imported; a number counts the pairs of modules.
"""


def main() -> None:
    """Write the document."""
    DOCUMENT.write_text(drawn(), encoding="utf-8")


def drawn() -> str:
    """The text of the document, from the current imports."""
    return "\n".join([_TEXT, *_between_packages(), *(line for package in ROOMS for line in _package(package))])


def modules(package: str) -> dict[str, Path]:
    """The files of a package that run in this project, by their dotted names."""
    imports = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(APART):
            imports[name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = path
    return imports


def imports(source: str) -> Iterator[str]:
    """The dotted names of all modules that a source imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            # `from bench.load import lane` imports bench.load.lane; what is not a module is a name in bench.load
            inner = [f"{name}.{alias.name}" for alias in node.names]
            yield from dict.fromkeys(full if _is_module(full) else name for full in inner)


def _is_module(name: str) -> bool:
    if name.split(".")[0] not in (*ROOMS, "tools", "tests"):
        return False
    place = ROOT / name.replace(".", "/")
    return place.is_dir() or place.with_suffix(".py").is_file()


def room_of(module: str) -> str:
    """`bench.load.lane` -> `load`; TOP for modules outside of the rooms."""
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    return first if first in ROOMS[package] else TOP


def arrows(package: str) -> Counter[tuple[str, str]]:
    """Imports between the rooms of a package: by (importing, imported) room, how many pairs of modules."""
    counts: Counter[tuple[str, str]] = Counter()
    for module, path in modules(package).items():
        for name in set(imports(path.read_text(encoding="utf-8"))):
            pair = room_of(module), room_of(name) if name.split(".")[0] == package else ""
            if pair[1] and pair[0] != pair[1]:
                counts[pair] += 1
    return counts


def height(package: str, room: str) -> int:
    """A room's level: rooms at a higher level import those at a lower one."""
    return (*ROOMS[package], TOP).index(room)


def _between_packages() -> Iterator[str]:
    yield "## Between the packages\n"
    rows = []
    for package in ("fixtures", "reports"):
        counts: Counter[str] = Counter()
        for path in modules(package).values():
            counts.update(room_of(name) for name in set(imports(path.read_text(encoding="utf-8"))) if name.startswith("bench."))
        rows.append([f"`{package}`", *(str(counts[room] or "") for room in SHARED)])
    yield from _table(["", *(f"`bench.{room}`" for room in SHARED)], rows)


def _package(package: str) -> Iterator[str]:
    counts = arrows(package)
    down = [TOP, *reversed(ROOMS[package])]
    yield f"## {package}\n"
    yield f"{_docstring(ROOT / package)}\n"
    yield from _table(["room", "what lives there"], [[f"`{room}/`", _docstring(ROOT / package / room)] for room in down[1:]])
    rows = [[room, *(str(counts[room, other] or "") for other in down[1:])] for room in down if room != down[-1]]
    yield from _table(["", *down[1:]], rows)


def _docstring(folder: Path) -> str:
    """The first paragraph of a package's docstring, on one line."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    main()
