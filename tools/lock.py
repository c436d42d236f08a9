"""`python -m tools.lock`: writes every lock file again, from PyPI's own index; `tox -e lock` has the tool for it.

One for each requirements file of a backend and an exporter, and one for each dependency group that CI uses. What is locked
holds for every Python from the oldest that the project runs on, and for every platform. A version that a lock has already is
kept where it still does; `--upgrade` takes the newest. Pythons for which a lock has no wheels on Linux are said, and are wrong
where the backend.toml beside it promises them ([process] python).
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet

from fixtures.engines.installer import WHEELS_ONLY
from fixtures.engines.locks import LOCK_SUFFIX, asks_for_something, opt_out
from fixtures.specs.manifest import MANIFEST, load_spec

CHECKOUT = Path(__file__).parents[1]
GROUPS = ("run", "audit", "test", "lint", "type", "ray")
"""The groups that CI installs, and `ray`; not `train`: it has PyTorch, whose CPU builds come from an index of their own."""

FIXTURES = CHECKOUT / "fixtures"
LOCKS = CHECKOUT / "locks"
PYPI = "https://pypi.org/simple"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
OLDEST_PYTHON = PYTHONS[0]
_PLATFORM = "x86_64-manylinux_2_35"


def group_lock(group: str) -> Path:
    """The lock file of a dependency group."""
    return LOCKS / f"{group}{LOCK_SUFFIX}"


def requirements_files() -> list[Path]:
    """Every requirements file that is to have a lock."""
    files = sorted([*FIXTURES.glob("backends/*/requirements*.txt"), *FIXTURES.glob("exporters/*/requirements*.txt")])
    files += sorted(LOCKS.glob("*.txt"))
    return [file for file in files if asks_for_something(file) and opt_out(file) is None]


def _jobs() -> Iterator[tuple[list[str], Path]]:
    """For each lock: what to lock, as arguments for uv, and the lock file."""
    for file in requirements_files():
        options = ["--no-deps"] if "no-deps" in file.stem else []
        yield [*options, str(file.relative_to(CHECKOUT))], file.with_suffix(LOCK_SUFFIX)
    for group in GROUPS:
        beside = ["--constraint", str(group_lock("test").relative_to(CHECKOUT))] if group == "ray" else []
        yield [*beside, "--group", f"pyproject.toml:{group}"], group_lock(group)


def main(arguments: list[str]) -> int:
    """Write all locks; returns 1 if one could not be made, or lacks wheels for a Python that is promised."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that the requirements allow")
    upgrade = ["--upgrade"] if parser.parse_args(arguments).upgrade else []
    failed = 0
    LOCKS.mkdir(exist_ok=True)
    for what, lock in _jobs():
        # ignore this machine's settings: neither its index nor its files may affect what others install
        command = ["uv", "pip", "compile", "--quiet", "--no-config", "--default-index", PYPI, "--universal"]
        command += ["--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-header", "--no-annotate", *upgrade]
        done = subprocess.run([*command, *what, "--output-file", str(lock.relative_to(CHECKOUT))], cwd=CHECKOUT, check=False)
        lacking = [version for version in PYTHONS if done.returncode == 0 and not has_wheels(lock, version)]
        broken = [version for version in lacking if promised(lock).contains(version)]
        state = "FAILED" if done.returncode else "written"
        state += f", no wheels for Python {', '.join(lacking)}" if lacking else ""
        state += f", FAILED: backend.toml promises {', '.join(broken)}" if broken else ""
        print(f"{lock.relative_to(CHECKOUT)}: {state}", flush=True)
        failed += done.returncode != 0 or bool(broken)
    return min(failed, 1)


def has_wheels(lock: Path, version: str) -> bool:
    """Whether a Python of that version can install a lock on Linux without compiling anything."""
    with tempfile.TemporaryDirectory() as target:
        command = ["uv", "pip", "sync", "--quiet", "--no-config", "--default-index", PYPI, "--dry-run", f"--target={target}"]
        command += [*WHEELS_ONLY, "--require-hashes", f"--python-version={version}", f"--python-platform={_PLATFORM}"]
        return subprocess.run([*command, str(lock)], capture_output=True, check=False).returncode == 0


def promised(lock: Path) -> SpecifierSet:
    """The Python versions that the backend.toml beside a lock promises to support; none if there is no such promise."""
    manifest = lock.with_name(MANIFEST)
    spec = load_spec(manifest) if manifest.is_file() else None
    return spec.process.python if spec is not None and spec.process is not None else SpecifierSet("<0")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
