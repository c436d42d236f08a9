"""Writes docs/backends.md's table from the backends' files: `python -m tools.backends_table`; starts and builds nothing."""

import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.contract.errors import BadInput
from bench.contract.system import Role
from fixtures.engines.base import EngineSettings
from fixtures.engines.docker.docker import DockerApi, EngineError, ImageFacts
from fixtures.engines.docker.images import Images
from fixtures.engines.venv import find_venv, requirement_texts
from fixtures.host.cache import Say, cache_root
from fixtures.host.cpus import server_cpus
from fixtures.host.run_identity import RunIdentity
from fixtures.specs.catalogue import load_specs
from fixtures.specs.spec import BackendSpec
from tools.backend_sizes import SIZES, Local, Size, content_of, measured, read_sizes, requirements_of, write_sizes

BACKENDS = Path(__file__).parents[1] / "fixtures" / "backends"
PAGE = Path(__file__).parents[1] / "docs" / "backends.md"
BEGIN, END = "<!-- backends: begin -->", "<!-- backends: end -->"

_HEAD = ("backend", "runtime: endpoints", "versions", "engines, size", "what is tuned, and why")
_NOT_MEASURED = "size not measured"
_PIN = re.compile(r"^\s*([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*==\s*([^\s;#]+)", re.M)


def main() -> None:
    """Measure the environments and images that are here, then write the file of sizes and the table."""
    try:
        specs = servers(BACKENDS)
        with ExitStack() as stack:
            local = local_things(stack, print)
            known = read_sizes(SIZES)
            bases = [spec for spec in specs if not spec.backend.variant_of]
            sizes = {spec.name: measured(spec, known.get(spec.name), local) for spec in bases}
        kept = {name: size for name, size in sizes.items() if size is not None}
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table(specs, kept)), encoding="utf-8")
        write_sizes(SIZES, kept)
    except BadInput as error:
        raise SystemExit(str(error)) from error
    print(f"{PAGE.name}: {len(bases)} backends, {len(kept)} of them with a size", file=sys.stderr)


def servers(folder: Path) -> list[BackendSpec]:
    """The backends that can be compared: all but the instruments."""
    return [spec for spec in load_specs(folder).values() if spec.backend.role is Role.SERVER]


def local_things(stack: ExitStack, say: Say) -> Local:
    """This machine's environments, and its engine's images if one answers."""
    find = partial(find_venv, cache=cache_root())
    try:
        api = DockerApi.connect()
    except EngineError as error:
        say(f"no container engine answers ({error}): the sizes of images stay as they are")
        return Local(find, _no_image)
    stack.callback(api.close)
    images = Images(api, EngineSettings(RunIdentity.new(), server_cpus(None), cache_root(), say))

    def image(spec: BackendSpec) -> ImageFacts | None:
        return images.find(spec, spec.container.image if spec.container is not None else None)

    return Local(find, image)


def _no_image(spec: BackendSpec) -> None:
    """Looks up nothing: used if no engine answers."""


def with_table(readme: str, text: str) -> str:
    """The page with `text` between its marks; raises BadInput if they are not there once each, in order."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise BadInput(f"{PAGE.name}: expected {BEGIN} and then {END}, once each: the table stands between them")
    return f"{before}{begin}\n{text}{end}{after}"


def table(specs: Iterable[BackendSpec], sizes: Mapping[str, Size]) -> str:
    """The table in Markdown, and a line for each set; a size that was measured with other requirements is ignored."""
    specs = list(specs)
    bases = [spec for spec in specs if not spec.backend.variant_of]
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(_row(spec, sizes.get(spec.name), _variants(spec, specs)) for spec in bases)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    names = sorted({name for spec in specs for name in spec.backend.sets})
    members = {name: [f"`{spec.name}`" for spec in specs if name in spec.backend.sets] for name in names}
    return "\n".join([*lines, "", *(f"- Set `{name}`: {', '.join(members[name])}" for name in names), ""])


def _variants(spec: BackendSpec, specs: Iterable[BackendSpec]) -> list[str]:
    """A text for each of the backend's variants: what it differs in."""
    variants = (each.backend for each in specs if each.backend.variant_of == spec.name)
    return [f"**`{backend.name}`**: {backend.differs}" for backend in variants]


def _row(spec: BackendSpec, size: Size | None, variants: list[str]) -> tuple[str, ...]:
    backend = spec.backend
    if size is not None and size.content != content_of(spec):
        size = None
    endpoints = ", ".join(f"`{endpoint.name}` {endpoint.protocol}" for endpoint in backend.endpoints)
    cells = (
        f"**`{backend.name}`**<br>{backend.summary}",
        f"{backend.runtime}:<br>{endpoints}",
        ", ".join(versions(spec)),
        "<br>".join(_engines(spec, size)),
        "<br>".join([spec.tuning, *variants]),
    )
    return tuple(" ".join(cell.split()).replace("|", r"\|") for cell in cells)


def versions(spec: BackendSpec) -> list[str]:
    """The pinned packages and versions, or the public image, as the files name them."""
    if spec.container is not None and spec.container.image is not None and spec.process is None:
        return [f"`{spec.container.image}`"]
    pins = [pin for _, text in requirement_texts(requirements_of(spec)) for pin in _PIN.findall(text)]
    return [f"{name} {version}" for name, version in sorted(pins)]


def _engines(spec: BackendSpec, size: Size | None) -> Iterable[str]:
    if spec.container is not None:
        kind = "built" if spec.container.image is None else "public"
        yield f"Docker: {kind} image, {_mb(size.image_mb if size is not None else None)}"
    if spec.process is not None:
        yield f"process: venv, {_mb(size.venv_mb if size is not None else None)}"


def _mb(size_mb: int | None) -> str:
    return _NOT_MEASURED if size_mb is None else f"{size_mb:,} MB"


if __name__ == "__main__":
    main()
