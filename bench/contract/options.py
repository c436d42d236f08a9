"""Options of pytest, each a field of a frozen dataclass: one declaration serves help, parsing, checks, results and re-runs.

    @dataclass(frozen=True, slots=True)
    class MeasuringOptions(OptionGroup):
        seed: int = option(seed_of, metavar="N", default="42", help="seed of the order of slices", written_as="seed")

A field `some_name` is the option `--some-name` and the ini key `some_name`; the command line wins. A plugin calls `add_to` in
pytest_addoption and `parse` in pytest_configure; from then on `MeasuringOptions.of(config)` has the values. The command that
measures a cell again, `run.options` in results.json and what --resume compares come from the same declarations,
which is why all of it is one module.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import pytest

from bench.contract.errors import BadInput

GROUP = "servebench"
_TITLE = "servebench: benchmark of model serving"
_METADATA = "servebench_option"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Declared:
    """One option as it was declared; made by `option`, `path_option`, `list_option`, `switch` and `borrowed`.

    `parse` takes the effective text (None if there is none or it is empty), for a list all texts, and raises BadInput.
    `repeated`: the command that measures a cell again includes it. `written_as` is its key in `run.options` of results.json,
    empty if it is not written; a written option must have the same value for --resume, unless it `may_differ`.
    """

    help: str
    parse: Callable[[Any, pytest.Config], Any]
    metavar: str | None = None
    default: str | None = None
    repeated: bool = True
    written_as: str = ""
    may_differ: bool = False
    flag: str = ""
    is_switch: bool = False
    is_list: bool = False
    is_borrowed: bool = False

    def add_to(self, parser: pytest.Parser) -> None:
        """Declare the option and its ini key."""
        if self.is_borrowed:
            return
        group, key = parser.getgroup(GROUP, _TITLE), key_of(self.flag)
        shown = self.help.replace("%", "%%")
        if self.is_switch:
            help_text = f"{shown} (ini: {key})"
            group.addoption(self.flag, dest=_dest_of(self.flag), action="store_true", default=None, help=help_text)
            parser.addini(key, help=self.help, type="bool", default=False)
            return
        if self.is_list:
            help_text = f"{shown}; may be repeated (ini: {key}, one a line)"
            group.addoption(
                self.flag, dest=_dest_of(self.flag), metavar=self.metavar, action="append", default=None, help=help_text
            )
            parser.addini(key, help=self.help, type="linelist", default=[])
            return
        default = f"; default: {self.default.replace('%', '%%')}" if self.default is not None else ""
        help_text = f"{shown} (ini: {key}{default})"
        group.addoption(self.flag, dest=_dest_of(self.flag), metavar=self.metavar, default=None, help=help_text)
        parser.addini(key, help=self.help, default=self.default)

    def given(self, config: pytest.Config) -> Any:
        """The effective text, not parsed: from the command line, else the ini file, else the default; None if it is empty."""
        if self.is_borrowed:
            return config.getoption(key_of(self.flag))
        value = config.getoption(_dest_of(self.flag))
        if value is None:
            value = self._from_ini(config)
        return value or None

    def value(self, config: pytest.Config) -> Any:
        """The effective value, parsed; raises BadInput, also if the parser raises TypeError or ValueError."""
        given = self.given(config)
        try:
            return self.parse(given, config)
        except (TypeError, ValueError) as error:
            raise BadInput(f"{self.flag} {str(given)[:200]}: {error}") from error

    def arguments(self, config: pytest.Config) -> list[str]:
        """The command-line arguments that give it its present value; none if it needs none."""
        value = self.given(config)
        if value is None or (self.is_borrowed and str(value) == self.default):
            return []
        # With "=": if the value is a separate word and an existing path, pytest looks for its ini file there.
        if self.is_list:
            return [f"{self.flag}={each}" for each in value]
        return [self.flag if self.is_switch else f"{self.flag}={f'{value:.15g}' if isinstance(value, float) else value}"]

    def _from_ini(self, config: pytest.Config) -> Any:
        key = key_of(self.flag)
        try:
            return config.getini(key)
        except (ValueError, pytest.UsageError) as error:  # of a switch: ValueError before pytest 9, UsageError since
            raise BadInput(f"ini key {key}: expected true or false, {error}") from error


def option(
    parse: Callable[[str | None], T],
    *,
    metavar: str,
    help: str,
    default: str | None = None,
    repeated: bool = True,
    written_as: str = "",
    may_differ: bool = False,
) -> T:
    """A field for an option with a value; see `Declared`."""
    declared = Declared(
        help=help,
        parse=lambda text, _: parse(text),
        metavar=metavar,
        default=default,
        repeated=repeated,
        written_as=written_as,
        may_differ=may_differ,
    )
    return cast(T, field(metadata={_METADATA: declared}))


def path_option(
    parse: Callable[[str | None, pytest.Config], T],
    *,
    metavar: str,
    help: str,
    default: str | None = None,
    repeated: bool = True,
) -> T:
    """A field for an option that is a path; its parser also gets the config, to resolve relative paths; see `Declared`."""
    return cast(
        T, field(metadata={_METADATA: Declared(help=help, parse=parse, metavar=metavar, default=default, repeated=repeated)})
    )


def list_option(
    parse: Callable[[Sequence[str], pytest.Config], T], *, metavar: str, help: str, written_as: str = "", repeated: bool = True
) -> T:
    """A field for an option that may be given several times; its parser gets all the texts given."""
    declared = Declared(
        help=help,
        parse=lambda texts, config: parse(texts or (), config),
        metavar=metavar,
        repeated=repeated,
        written_as=written_as,
        is_list=True,
    )
    return cast(T, field(metadata={_METADATA: declared}))


def switch(*, help: str, repeated: bool = True, written_as: str = "", may_differ: bool = False) -> bool:
    """A field for an option without a value; see `Declared`."""
    declared = Declared(
        help=help,
        parse=lambda value, _: bool(value),
        repeated=repeated,
        written_as=written_as,
        may_differ=may_differ,
        is_switch=True,
    )
    return cast(bool, field(metadata={_METADATA: declared}))


def borrowed(flag: str, parse: Callable[[Any], T], *, default: str | None = None, written_as: str = "") -> T:
    """A field for an option of another plugin, which that plugin has parsed and `parse` checks further.

    `default` is that plugin's: the command that measures a cell again leaves the option out if it has that value.
    """
    declared = Declared(
        help="",
        parse=lambda value, _: parse(value),
        default=default,
        written_as=written_as,
        flag=flag,
        is_borrowed=True,
    )
    return cast(T, field(metadata={_METADATA: declared}))


def as_given(text: str | None) -> str | None:
    """The parser of an option whose text is checked elsewhere: returns it unchanged."""
    return text


class OptionGroup:
    """The options of one plugin: base of frozen dataclasses whose fields are made by the functions above."""

    __slots__ = ()

    @classmethod
    def declared(cls) -> dict[str, Declared]:
        """Field name -> option, in the order of `pytest --help`."""
        options = {}
        for each in fields(cast(Any, cls)):
            option: Declared = each.metadata[_METADATA]
            options[each.name] = option if option.flag else replace(option, flag=f"--{each.name.replace('_', '-')}")
        return options

    @classmethod
    def add_to(cls, parser: pytest.Parser) -> None:
        """Declare all of them, as options and as ini keys."""
        for declared in cls.declared().values():
            declared.add_to(parser)

    @classmethod
    def parse(cls, config: pytest.Config) -> Self:
        """Parse all of them and keep the values for `of`; raises BadInput, which names the option and what is expected."""
        values = {name: declared.value(config) for name, declared in cls.declared().items()}
        return cast(Self, config.stash.setdefault(_PARSED, {}).setdefault(cls, cls(**values)))

    @classmethod
    def of(cls, config: pytest.Config) -> Self:
        """The values that `parse` kept in this session."""
        return cast(Self, config.stash[_PARSED][cls])


_PARSED = pytest.StashKey[dict[type[OptionGroup], OptionGroup]]()


def value_of(config: pytest.Config, name: str) -> Any:
    """The parsed value of an option that another plugin declares; raises KeyError if none does, or it is not parsed yet."""
    for group in config.stash[_PARSED].values():
        if name in group.declared():
            return getattr(group, name)
    raise KeyError(name)


def given_text(config: pytest.Config, flag: str) -> str | None:
    """The effective text of an option that another plugin declares, not parsed; None if it is not set."""
    value = config.getoption(_dest_of(flag))
    return (config.getini(key_of(flag)) if value is None else value) or None


def repeated_arguments(config: pytest.Config, instead: Mapping[str, str]) -> list[str]:
    """The command-line arguments that repeat the session's options; `instead`: flag -> value that replaces the session's."""
    said = [declared for _, declared, _ in _all(config) if declared.repeated and declared.flag not in instead]
    words = [word for declared in said for word in declared.arguments(config)]
    return [*words, *(f"{flag}={value}" for flag, value in instead.items())]


def written_options(config: pytest.Config) -> dict[str, Any]:
    """`run.options` of results.json: key -> parsed value."""
    return {declared.written_as: getattr(group, name) for name, declared, group in _all(config) if declared.written_as}


def free_options(config: pytest.Config) -> set[str]:
    """The keys of `written_options` whose values may differ between a run and the one that resumes it."""
    return {declared.written_as for _, declared, _ in _all(config) if declared.may_differ}


def _all(config: pytest.Config) -> Iterator[tuple[str, Declared, OptionGroup]]:
    for group in config.stash[_PARSED].values():
        for name, declared in group.declared().items():
            yield name, declared, group


def whole_number(text: str, least: int, most: int) -> int | None:
    """The number from `least` to `most` that the text has in ASCII digits; None for anything else."""
    digits = re.fullmatch(r"[0-9]{1,18}", text)  # not isdigit: that accepts ² as well, and any length
    return int(text) if digits and least <= int(text) <= most else None


def given_path(flag: str, value: str, typed_in: Path) -> Path:
    """The path that a user gave, `~` expanded, whether it exists or not; raises BadInput if it cannot be a path."""
    try:
        path = typed_in / Path(value).expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path  # whoever opens it reports that better
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BadInput(f"{flag} {value[:200]}: expected a path, seen what cannot be one: {why}") from error
    return path


@contextmanager
def may_be_read(what: str) -> Iterator[None]:
    """Turn a PermissionError inside into BadInput, whose message begins with `what`."""
    try:
        yield
    except PermissionError as error:
        raise BadInput(
            f"{what}: expected what this user may read, seen {error.strerror}: {error.filename}; change its mode or give a copy"
        ) from error


def key_of(flag: str) -> str:
    """The ini key of an option: `some_name` of `--some-name`."""
    return flag.removeprefix("--").replace("-", "_")


def _dest_of(flag: str) -> str:
    return f"servebench_{key_of(flag)}"
