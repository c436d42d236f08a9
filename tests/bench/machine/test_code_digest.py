"""The digests and the commit that say which code measured."""

import subprocess
from pathlib import Path

import pytest

from bench.machine.code_digest import commit, digests


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own, without a repository."""
    for name in ("bench/a.py", "bench/deep/b.py", "fixtures/c.toml", "reports/d.py", "tools/e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["bench/a.py", "bench/deep/b.py", "bench/new.py", "fixtures/c.toml"])
def test_any_file_that_measures_counts(checkout: Path, name: str) -> None:
    """Changed or new, committed or not; only its own package's digest changes."""
    before = digests(checkout)
    (checkout / name).write_text("changed")
    after = digests(checkout)
    assert {package for package in before if before[package] != after[package]} == {name.split("/")[0]}


def test_a_file_that_moved_counts(checkout: Path) -> None:
    """Names are part of it."""
    before = digests(checkout)
    (checkout / "bench" / "a.py").rename(checkout / "bench" / "z.py")
    assert digests(checkout) != before


@pytest.mark.parametrize(
    "name", ["reports/d.py", "tools/e.py", "bench/__pycache__/a.pyc", "bench/.a.py.swp", "fixtures/.cache/x"]
)
def test_what_does_not_measure_does_not_count(checkout: Path, name: str) -> None:
    """Reports explain only, tools measure nothing; compiled and hidden files are nobody's code."""
    before = digests(checkout)
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed")
    assert digests(checkout) == before


def test_the_commit_says_whether_files_differ_from_it(checkout: Path) -> None:
    """A plus behind it; None where there is no repository."""
    assert commit(checkout) is None

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=checkout, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    clean = commit(checkout)
    assert clean is not None
    assert not clean.endswith("+")
    (checkout / "bench" / "a.py").write_text("changed")
    assert commit(checkout) == f"{clean}+"
