"""Command-line options that are ini keys too: one way to declare and to read them, for all three plugins."""

from __future__ import annotations

import pytest

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
    """Whether the switch is on."""
    value = config.getoption(dest_of(flag))
    return bool(config.getini(_key(flag)) if value is None else value)


def _key(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def dest_of(flag: str) -> str:
    """Under which name pytest keeps what the command line says."""
    return f"servebench_{_key(flag)}"
