"""Command-line options that are ini keys too: one way to declare and to read them, for all three plugins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.contract.errors import BadInput

GROUP = "servebench"


def add_option(parser: pytest.Parser, flag: str, *, help: str, default: str | None = None, metavar: str = "VALUE") -> None:
    """Declare `--some-name` and the ini key `some_name`; the command line wins over the ini file."""
    group = parser.getgroup(GROUP, "servebench: benchmark of model serving")
    suffix = f" (ini: {_key(flag)}; default: {default.replace('%', '%%')})" if default is not None else f" (ini: {_key(flag)})"
    group.addoption(flag, dest=dest_of(flag), metavar=metavar, default=None, help=help + suffix)
    parser.addini(_key(flag), help=help, default=default)


def add_flag(parser: pytest.Parser, flag: str, *, help: str) -> None:
    """Declare a switch `--some-name` and the boolean ini key `some_name`."""
    group = parser.getgroup(GROUP, "servebench: benchmark of model serving")
    group.addoption(flag, dest=dest_of(flag), action="store_true", default=None, help=f"{help} (ini: {_key(flag)})")
    parser.addini(_key(flag), help=help, type="bool", default=False)


def get_option(config: pytest.Config, flag: str) -> str | None:
    """The option's value from the command line, else from the ini file, else its default; None if empty."""
    value = config.getoption(dest_of(flag))
    if value is None:
        value = config.getini(_key(flag))
    return str(value) if value else None


def get_flag(config: pytest.Config, flag: str) -> bool:
    """Whether the switch is on; raises BadInput for an ini value that is neither."""
    value = config.getoption(dest_of(flag))
    if value is not None:
        return bool(value)
    try:
        return bool(config.getini(_key(flag)))
    except (ValueError, pytest.UsageError) as error:  # the one before pytest 9, the other since
        raise BadInput(f"ini key {_key(flag)}: expected true or false, {error}") from error


def whole_number(text: str, least: int, most: int) -> int | None:
    """The number that a person wrote in digits; None for anything else."""
    found = re.fullmatch(r"[0-9]{1,18}", text)  # not isdigit: that takes ² as well, and any length
    return int(text) if found and least <= int(text) <= most else None


def given_path(flag: str, value: str, typed_in: Path) -> Path:
    """The path that a person means, `~` included, whether anything lies there or not; raises BadInput if nothing ever can."""
    try:
        path = typed_in / Path(value).expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path  # whoever opens it says it better
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"{flag} {value[:200]}: expected a path, seen what cannot be one: {why}") from error
    return path


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def dest_of(flag: str) -> str:
    """Under which name pytest keeps what the command line says."""
    return f"servebench_{_key(flag)}"
