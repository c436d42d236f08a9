"""A copy of this checkout that a test may change, or shut."""

import shutil
import subprocess
from pathlib import Path

from tests.sessions import ROOT


def copy_checkout(place: Path) -> None:
    """The files that belong to it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)
