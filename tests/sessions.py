"""Sessions of the suite, each in a process of its own, as a user starts them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


def command(*arguments: str, root: Path = ROOT) -> list[str]:
    """pytest with a checkout's settings; it leaves no cache there."""
    own = ["-c", str(root / "tox.ini"), f"--rootdir={root}", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", *own, *arguments]


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, without what concerns the pytest that runs in it, and with further `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, **(variables or {})}


def run(*arguments: str, root: Path = ROOT, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A whole session in the folder of a checkout, of at most nine minutes."""
    return subprocess.run(
        command(*arguments, root=root),
        cwd=root,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
