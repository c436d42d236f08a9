"""What is known of a backend apart from its figures: what was installed, how it started, how it idles. One type for all sides.

Engines, the fleet and the measuring side each know a part; `merged` puts the parts together, `as_dict` gives what
`run.backends` of results.json holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PAUSED_ABOVE = 0.01
"""A server that uses more than this fraction of one core while it gets no requests is paused outside its slices."""

_BESIDE = "beside"


def _null_beside(name: str) -> Any:
    """A field that is written as null if the field `name` is known: null then means that there is none."""
    return field(default=None, metadata={_BESIDE: name})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """Everything that is known of one backend in one run; None: not known, or not applicable to this engine.

    In `BackendFacts()` nothing is known. Fields are keys of results.json; the comment above a group says who writes it.
    """

    # The measuring side, from backend.toml; also of backends that were not available.
    summary: str | None = None
    """One line on what it is."""
    sets: tuple[str, ...] | None = None
    """The sets, as `--backend` names them, that it belongs to, sorted."""
    variant_of: str | None = None
    """The backend of which this one is a variant with another setting."""
    differs: str | None = None
    """What the variant changes, in words."""

    # Both engines.
    size_bytes: int | None = None
    """Bytes of its image, or of its virtual environment."""
    versions: Mapping[str, str] | None = None
    """Installed distribution -> version, dependencies included, and each program's output for `--version`."""
    hashes: str | None = None
    """`checked`: what was installed was checked against hashes; else why not."""
    server_cpus: tuple[int, ...] | None = None
    """CPUs that it is pinned to, ascending."""
    local_cpus: tuple[int, ...] | None = None
    """Those of `server_cpus` on the client's machine, if servers may run on others: only these can be the client's too."""
    instances: Mapping[str, Mapping[str, Any]] | None = None
    """If it has several instances, or runs on a cluster: number, from 1 -> `addresses`, `cpus` and, on a cluster, `node`."""
    env: Mapping[str, str] | None = None
    """Environment variables that its backend.toml sets, placeholders not filled in."""
    command: tuple[str, ...] | None = None
    """The command that its backend.toml has, placeholders not filled in; empty: the image's own."""

    # Of a server that was already running and is not ours: queried by the measuring side before it measures.
    attached: Mapping[str, Mapping[str, Any]] | None = None
    """Endpoint -> its `url`, the least times of the path to it (`connect_s`, and `round_trip_s` of the health route `health`),
    and what it reports of its model (`model`, `versions`, `platform`, `state`, `inputs`, `outputs`), as far as it does."""

    # The process engine.
    venv: str | None = None
    """Name of its virtual environment's folder in the cache."""

    # The engine of containers.
    image: str | None = None
    """Reference of its image."""
    image_id: str | None = None
    """The engine's id of that image, `sha256:...`."""
    image_digest: str | None = _null_beside("image")
    """The registry's digest of that image; None if it was built here."""
    base_image: str | None = _null_beside("image")
    """Reference of the image that it was built on; None if it was pulled."""
    network: str | None = None
    """`internal`, `egress` or `published`: how it is reached and isolated."""
    way_out: str | None = _null_beside("network")
    """What it can reach apart from its client, and why; None: nothing."""
    unmet_limits: tuple[str, ...] | None = None
    """Those of its CPUs and limits that are not in effect, by the engine's warnings or as read back."""

    # The fleet.
    prepare_s: float | None = None
    """Seconds that building or installing it took, its exports included; small if all was in the cache."""
    start_s: float | None = None
    """Seconds from the order to start until the first correct answer."""
    exports: Mapping[str, Mapping[str, Any]] | None = None
    """Format -> what is known of the model exported to it: `max_abs_diff` from the reference, `items` compared, `versions`."""
    lines_of_code: int | None = None
    """Lines in its own folder, without blank lines and comments."""
    lines_of_configuration: int | None = None
    """Lines in its own folder, backend.toml included, without blank lines, comments and lock files."""
    shared_lines: Mapping[str, int] | None = None
    """Module that it shares with other backends here -> lines of that module."""

    # The measuring side, of servers, after it watched them idle.
    idle_cpu_fraction: float | None = _null_beside("paused_while_idle")
    """Fraction of one core that it uses while it gets no requests; None if its CPU time cannot be read."""
    paused_while_idle: bool | None = None
    """Whether it was paused outside its own slices, because it uses CPU while idle (`PAUSED_ABOVE`)."""
    paused_cpu_fraction: float | None = None
    """If it was paused: the fraction of one core that it used nevertheless."""
    pause_failed: str | None = None
    """Why pausing it stopped working, so that it ran on while others were measured."""

    other: Mapping[str, Any] = field(default_factory=dict)
    """Keys of another version of servebench, and values of other types than above: kept and shown, not interpreted."""

    @property
    def cpus_here(self) -> tuple[int, ...] | None:
        """The CPUs of the client's machine that it is pinned to; None if its CPUs are not known."""
        return self.server_cpus if self.local_cpus is None else self.local_cpus

    def as_dict(self) -> dict[str, Any]:
        """What is known, as plain JSON-able values: the keys of results.json."""
        return {**{name: _plain(value) for name, value in self._known().items() if name != "other"}, **self.other}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackendFacts:
        """The inverse of `as_dict`, for runs of all versions; raises TypeError if `values` is no mapping."""
        if not isinstance(values, Mapping):
            raise TypeError(f"facts of a backend: expected an object, seen {str(values)[:60]!r}")
        known: dict[str, Any] = {}
        other: dict[str, Any] = {}
        for name, value in values.items():
            read = _READ.get(name)
            stored = read(value) if read is not None else None
            if stored is not None:
                known[name] = stored
            elif value is not None or read is None:
                other[name] = value
        return cls(**known, other=other)

    def merged(self, newer: BackendFacts) -> BackendFacts:
        """The facts of both; if both have a value, that of `newer`."""
        both = {**self._known(), **newer._known(), "other": {**self.other, **newer.other}}
        return BackendFacts(**both)

    def _known(self) -> dict[str, Any]:
        names = {each.name for each in fields(self) if getattr(self, each.name) != each.default}
        names |= {each.name for each in fields(self) if each.metadata.get(_BESIDE) in names}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and float(number).is_integer() else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _listed(kind: type) -> Callable[[object], tuple[Any, ...] | None]:
    return lambda value: (
        tuple(value) if isinstance(value, list | tuple) and all(isinstance(each, kind) for each in value) else None
    )


def _named(kind: type) -> Callable[[object], dict[str, Any] | None]:
    return lambda value: (
        dict(value) if isinstance(value, Mapping) and all(isinstance(each, kind) for each in value.values()) else None
    )


_BY_TYPE: Mapping[str, Callable[[object], Any]] = {
    "str | None": _text,
    "int | None": _whole,
    "float | None": _number,
    "bool | None": _flag,
    "tuple[str, ...] | None": _listed(str),
    "tuple[int, ...] | None": _listed(int),
    "Mapping[str, str] | None": _named(str),
    "Mapping[str, int] | None": _named(int),
    "Mapping[str, Mapping[str, Any]] | None": _named(Mapping),
}
_READ = {each.name: _BY_TYPE[str(each.type)] for each in fields(BackendFacts) if each.name != "other"}
