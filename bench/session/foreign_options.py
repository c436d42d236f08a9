"""Checks the options of pytest and pytest-benchmark before anything starts: else they would fail after hours.

The plugin that an option belongs to carries it out at the end; only whether it can is checked here.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_benchmark.utils
from pytest_benchmark.logger import Logger
from pytest_benchmark.storage.file import FileStorage

from bench.contract.errors import BadInput

_UTILS: Any = pytest_benchmark.utils  # it has no types
_GROUPS = ("group", "name", "fullname", "func", "fullfunc", "param")
_REPLAYED = "what is handed to pytest-benchmark are durations that were measured before, with time.perf_counter"


def check_foreign_options(config: pytest.Config) -> None:
    """Raise BadInput for an option that cannot be carried out."""
    for check in _CHECKS:
        check(config.getoption)
    _check_storage(config)


def check_groups(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Raise BadInput if --benchmark-group-by names a parameter that a collected benchmark does not have."""
    given = config.getoption("benchmark_group_by")
    for name in (part.removeprefix("param:") for part in given.split(",") if part.startswith("param:")):
        lacks = next((item for item in items if name not in getattr(getattr(item, "callspec", None), "params", {})), None)
        if lacks is not None:
            raise BadInput(
                f"--benchmark-group-by {given}: expected a parameter that each selected benchmark has, "
                f"seen {lacks.nodeid} without {name!r}; select others with -k or -m, or group by param"
            )


Given = Callable[[str], Any]
"""Returns the value of an option by its name."""


def _json(given: Given) -> None:
    path = given("benchmark_json")
    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        raise _cannot("--benchmark-json", path, "a file in a folder that exists", "make the folder first")
    _check_writable("--benchmark-json", path, path if path.exists() else path.parent)


def _histogram(given: Given) -> None:
    prefix = _only_one("--benchmark-histogram", given("benchmark_histogram"))
    if prefix is None:
        return
    if importlib.util.find_spec("pygal") is None:
        raise BadInput("--benchmark-histogram: expected the package pygal, seen none; pip install pygal pygaljs")
    _check_folder_can_be("--benchmark-histogram", prefix, Path(f"{prefix}.svg").parent)


def _replayed(given: Given) -> None:
    if given("benchmark_cprofile") or given("benchmark_cprofile_dump"):
        raise BadInput(
            f"--benchmark-cprofile: a benchmark of this suite has no function to profile: {_REPLAYED}; leave it out, "
            'and see the report\'s "where the time of a request goes"'
        )
    if given("benchmark_timer") != "time.perf_counter":
        raise BadInput(
            f"--benchmark-timer {given('benchmark_timer')}: another clock changes nothing: {_REPLAYED}; leave it out"
        )


def _group_by(given: Given) -> None:
    by = given("benchmark_group_by")
    bad = [part for part in by.split(",") if part not in _GROUPS and not part.startswith("param:")]
    if bad:
        raise BadInput(f"--benchmark-group-by {by}: expected {', '.join(_GROUPS)} or param:NAME, seen {bad[0]!r}")


def _check_storage(config: pytest.Config) -> None:
    """Raise BadInput if runs cannot be saved where the options say, or the run to compare with cannot be used."""
    given = config.getoption
    flag = "--benchmark-save" if given("benchmark_save") else "--benchmark-autosave" if given("benchmark_autosave") else ""
    storage = _storage(given)
    if not isinstance(storage, FileStorage):
        return
    if flag:
        folder = storage.path / _UTILS.get_machine_id()
        _check_folder_can_be(flag, f"in --benchmark-storage {given('benchmark_storage')}", folder)
    _check_compared(config, storage)


def _storage(given: Given) -> Any:
    uri = given("benchmark_storage")
    used = given("benchmark_save") or given("benchmark_autosave") or given("benchmark_compare")
    if not used and ("://" not in uri or uri.startswith("file://")):
        return None
    try:
        return _UTILS.load_storage(
            uri, logger=_quiet(), default_machine_id=_UTILS.get_machine_id(), netrc=given("benchmark_netrc")
        )
    except Exception as error:  # such as a missing package, or an invalid address
        raise BadInput(
            f"--benchmark-storage {uri[:200]}: expected a folder, file://PATH or elasticsearch+http://..., seen one that "
            f"pytest-benchmark cannot use: {error}"
        ) from error


def _check_compared(config: pytest.Config, storage: Any) -> None:
    wanted, fail = config.getoption("benchmark_compare"), config.getoption("benchmark_compare_fail")
    if not wanted:
        return
    flag = f"--benchmark-compare{'' if wanted is True else f' {wanted}'}"
    try:
        files = storage.query(*(() if wanted is True else (wanted,)))
    except (OSError, ValueError) as error:
        raise BadInput(f"{flag}: {error}") from error
    if not files and (fail or wanted is not True):
        remedy = "save a run first, with --benchmark-autosave"
        raise BadInput(f"{flag}: expected a run that was saved, seen none in {storage}; {remedy}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs = [run for _, run in storage.load(*files[-1 if wanted is True else None :])]
    if fail and not runs:
        raise BadInput(f"{flag}: expected a run of pytest-benchmark, seen {files[-1]}, which cannot be read; save one anew")
    if storage.path.is_relative_to(Path.cwd()):
        return
    here = config.hook.pytest_benchmark_generate_machine_info(config=config)
    if any(_UTILS.consistent_dumps(run.get("machine_info")) != _UTILS.consistent_dumps(here) for run in runs):
        # it warns about each with the storage's path relative to this folder, which fails if it is not below
        raise BadInput(
            f"{flag}: expected a run of this very machine, or a --benchmark-storage below the folder that pytest is called "
            f"in, seen another machine's in {storage}; copy it here"
        )


def _fails_alone(given: Given) -> None:
    if given("benchmark_compare_fail") and not given("benchmark_compare"):
        raise BadInput("--benchmark-compare-fail: expected --benchmark-compare beside it: the saved run to compare with")


def _several_processes(given: Given) -> None:
    if given("benchmark_only") and given("dist", "no") != "no":  # type: ignore[call-arg]
        raise BadInput("-n: expected one process with --benchmark-only: workers would measure each other; leave -n out")


def _log_files(given: Given) -> None:
    for flag, path in (("--junit-xml", given("xmlpath")), ("--log-file", given("log_file"))):
        if path:
            place = Path(path).absolute()
            if place.is_dir():
                raise _cannot(flag, path, "a file", "name one in it")
            _check_folder_can_be(flag, path, place.parent)
            if place.exists():
                _check_writable(flag, path, place)


_CHECKS = (_several_processes, _replayed, _json, _histogram, _group_by, _fails_alone, _log_files)


def _only_one(flag: str, values: Sequence[str]) -> str | None:
    if len(values) > 1:
        raise BadInput(f"{flag}: expected it once, seen {len(values)} times")
    return values[0] if values else None


def _check_folder_can_be(flag: str, shown: object, folder: Path) -> None:
    """Raise BadInput unless the folder exists and is writable, or can be created."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        raise _cannot(flag, shown, f"a folder, seen something else at {there}", "name another")
    _check_writable(flag, shown, there)


def _check_writable(flag: str, shown: object, there: Path) -> None:
    if not os.access(there, os.W_OK | (os.X_OK if there.is_dir() else 0)):
        raise _cannot(flag, shown, f"that {there} can be written", "name another place")


def _cannot(flag: str, shown: object, expected: str, remedy: str) -> BadInput:
    return BadInput(f"{flag} {str(shown)[:200]}: expected {expected}; {remedy}")


def _quiet() -> Logger:
    return Logger(Logger.QUIET)  # type: ignore[no-untyped-call]
