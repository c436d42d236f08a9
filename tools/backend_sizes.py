"""Sizes of the backends' environments and images: measured if they exist here, kept in a file with a hash of their content."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.contract.errors import BadInput
from fixtures.engines.docker.build_context import usual_requirements
from fixtures.engines.docker.docker import ImageFacts
from fixtures.engines.staging import DOCKERFILE, NO_DEPS
from fixtures.engines.venv import Requirements, Venv, requirement_texts
from fixtures.specs.spec import BackendSpec

SIZES = Path(__file__).parent / "backends-sizes.json"

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of one backend, in megabytes; None = not measured. `content` is the hash of what was installed then."""

    content: str
    venv_mb: int | None = None
    image_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """Looks up what this machine has already, an environment and an image; neither builds anything."""

    venv: Callable[[Requirements], Venv | None]
    image: Callable[[BackendSpec], ImageFacts | None]


def content_of(spec: BackendSpec) -> str:
    """A hash of what decides the size: requirements, the backend's Dockerfile, the public image's tag; not the server code."""
    texts = requirement_texts(requirements_of(spec))
    own = spec.folder / DOCKERFILE
    if own.is_file():
        texts.append((DOCKERFILE, own.read_text(encoding="utf-8")))
    if spec.container is not None and spec.container.image is not None:
        texts.append(("image", spec.container.image))
    return hashlib.sha256("\0".join(part for text in texts for part in text).encode()).hexdigest()[:12]


def requirements_of(spec: BackendSpec) -> Requirements:
    """The requirements files in the backend's folder."""
    return Requirements(spec.folder / usual_requirements(spec), spec.folder / NO_DEPS)


def read_sizes(file: Path) -> dict[str, Size]:
    """The measured sizes by backend; raises BadInput for a file that is not one of sizes."""
    try:
        return {name: Size(**values) for name, values in json.loads(file.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        remedy = "delete its content but {} and run python -m tools.backends_table"
        raise BadInput(f"{file}: expected the sizes of backends, seen {error!r}; {remedy}") from error


def write_sizes(file: Path, sizes: Mapping[str, Size]) -> None:
    """Write a line for each backend, sorted by name, so that a change is one line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(asdict(size))}" for name, size in sorted(sizes.items())]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def measured(spec: BackendSpec, known: Size | None, local: Local) -> Size | None:
    """The sizes measured here, else those that are known and still hold; None if there are none."""
    content = content_of(spec)
    if known is None or known.content != content:
        known = Size(content)
    venv = local.venv(requirements_of(spec)) if spec.process is not None else None
    if venv is not None and not _is_as_pinned(venv, spec):
        venv = None
    image = local.image(spec) if spec.container is not None else None
    size = Size(
        content,
        venv_mb=round(venv.size_bytes / _MB) if venv is not None else known.venv_mb,
        image_mb=round(image.size_bytes / _MB) if image is not None else known.image_mb,
    )
    return size if size != Size(content) else None


def _is_as_pinned(venv: Venv, spec: BackendSpec) -> bool:
    """Whether it has no other build from this machine's own index (torch 2.13.0+cpu is gigabytes smaller than torch 2.13.0)."""
    texts = [text for _, text in requirement_texts(requirements_of(spec))]
    return all(any(version in text for text in texts) for version in venv.versions.values() if "+" in version)
