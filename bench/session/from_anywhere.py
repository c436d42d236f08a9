"""Lets `pytest -c CHECKOUT/tox.ini` in another folder run this checkout: without a path pytest would not find its options."""

from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).parents[2]


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Add this checkout's path if none is given, before pytest looks for a conftest.py there."""
    known, here = early_config.known_args_namespace, early_config.invocation_params.dir
    # An argument that is no path is the value of an option that is not known yet.
    if here.is_relative_to(_CHECKOUT) or any((here / word.partition("::")[0]).exists() for word in known.file_or_dir):
        return
    path = str(_CHECKOUT / ("bench" if known.benchmark_only or known.benchmark_disable else "tests"))
    known.file_or_dir.append(path)
    args.insert(0, path)
