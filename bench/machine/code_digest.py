"""Identifies the measuring code: a digest of each package that results depend on, and the git commit, for people, if known."""

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_MEASURING = ("bench", "fixtures")
_GIT_TIMEOUT_S = 10.0


def digests(checkout: Path = CHECKOUT) -> Mapping[str, str]:
    """The sha256 of each package's files, names and content, committed or not; without `reports`, which measures nothing."""
    digest_of = {}
    for package in _MEASURING:
        digest = hashlib.sha256()
        for path in _files(checkout / package):
            content = _content(path)
            digest.update(f"{path.relative_to(checkout).as_posix()}\0{content}\n".encode("utf-8", "surrogateescape"))
        digest_of[package] = digest.hexdigest()
    return digest_of


def commit(checkout: Path = CHECKOUT) -> str | None:
    """The commit, followed by `+` if files of the packages differ from it; None without git or a repository."""
    head = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if not head:
        return None
    return head + ("+" if _git(checkout, "status", "--porcelain", "--", *_MEASURING) else "")


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:  # not code that runs here, but a backend's, which is then NOT_MEASURED
        return f"cannot be read: {error.strerror}"


def _files(folder: Path) -> Iterator[Path]:
    """The files in the folder and below, in a fixed order, without hidden and compiled ones."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
            yield path


def _git(checkout: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=checkout, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
