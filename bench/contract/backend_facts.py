"""What is known of a backend beside its figures: what was installed, how it started, how it idles. One type for all sides.

Engines, the fleet and the measuring side each know a part; `merged` puts the parts together, `as_dict` is what
`run.backends` of results.json holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PAUSED_ABOVE = 0.01
"""A server that uses more than this part of one core while nobody asks it is paused outside its slices."""

_BESIDE = "beside"


def _null_beside(name: str) -> Any:
    """A field that is written as null where the field `name` is known: then it is known that there is none."""
    return field(default=None, metadata={_BESIDE: name})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """Everything that is known of one backend in one run; None: not known, or not of this engine.

    `BackendFacts()` knows nothing. Fields are keys of results.json; who writes each stands above it.
    """

    # The measuring side, from backend.toml; of those that could not be had as well.
    summary: str | None = None
    """One line on what it is."""
    sets: tuple[str, ...] | None = None
    """The sets of `--backend` that it belongs to, sorted."""
    variant_of: str | None = None
    """The backend that this is another setting of."""
    differs: str | None = None
    """What that setting changes, in words."""

    # Both engines.
    size_bytes: int | None = None
    """Bytes of its image, or of its virtual environment."""
    versions: Mapping[str, str] | None = None
    """Installed distribution -> version, dependencies included, and what each program said to `--version`."""
    hashes: str | None = None
    """`checked`: what was installed was held against hashes; else why not."""
    server_cpus: tuple[int, ...] | None = None
    """CPUs that it is held to, ascending."""
    local_cpus: tuple[int, ...] | None = None
    """Of those the client's machine's own, where servers may run on another: no other can be the client's too."""
    instances: Mapping[str, Mapping[str, Any]] | None = None
    """Of several instances, or on a cluster: number, from 1 -> its `addresses`, `cpus` and, on a cluster, its `node`."""
    env: Mapping[str, str] | None = None
    """Environment variables that its backend.toml sets, placeholders not filled in."""
    command: tuple[str, ...] | None = None
    """The command that its backend.toml has, placeholders not filled in; empty: the image's own."""

    # Of a server that runs already and is not ours: asked by the measuring side before it measures.
    attached: Mapping[str, Mapping[str, Any]] | None = None
    """Endpoint -> its `url`, the floor of the path to it (`connect_s`, and `round_trip_s` of the health route `health`), and
    what it says of its model (`model`, `versions`, `platform`, `state`, `inputs`, `outputs`), as far as it says anything."""

    # The process engine.
    venv: str | None = None
    """Name of its virtual environment's folder in the cache."""

    # The engine of containers.
    image: str | None = None
    """Reference of its image."""
    image_id: str | None = None
    """The engine's id of that image, `sha256:...`."""
    image_digest: str | None = _null_beside("image")
    """The registry's digest of that image; None of one that was built here."""
    base_image: str | None = _null_beside("image")
    """Reference of the image that it was built on; None of one that was pulled."""
    network: str | None = None
    """`internal`, `egress` or `published`: how it is reached and what encloses it."""
    way_out: str | None = _null_beside("network")
    """What it can reach beside who asks it, and why; None: nothing."""
    unmet_limits: tuple[str, ...] | None = None
    """Of the CPUs and limits that it was started with, what does not hold, as the engine warned or as was read back."""

    # The fleet.
    prepare_s: float | None = None
    """Seconds that building or installing it took, its exports included; small where all was in the cache."""
    start_s: float | None = None
    """Seconds from the order to start until the first right answer."""
    exports: Mapping[str, Mapping[str, Any]] | None = None
    """Format -> what is known of the model in it: `max_abs_diff` from the reference, `items` compared, `versions`."""
    lines_of_code: int | None = None
    """In its own folder, without blanks and remarks."""
    lines_of_configuration: int | None = None
    """In its own folder, backend.toml included, without blanks, remarks and locks."""
    shared_lines: Mapping[str, int] | None = None
    """Module that it shares with other backends here -> its lines."""

    # The measuring side, of servers, once it watched them idle.
    idle_cpu_fraction: float | None = _null_beside("paused_while_idle")
    """Part of one core that it uses while nobody asks it; None where its CPU time cannot be read."""
    paused_while_idle: bool | None = None
    """Whether it was paused outside its own slices, because it uses CPU while idle (`PAUSED_ABOVE`)."""
    paused_cpu_fraction: float | None = None
    """Of one that was paused: the part of one core that it used nevertheless."""
    pause_failed: str | None = None
    """Why it could not be paused any more, so that it ran on beside the others."""

    other: Mapping[str, Any] = field(default_factory=dict)
    """What another version of servebench wrote, or what has not the type above: kept and shown, not understood."""

    @property
    def cpus_here(self) -> tuple[int, ...] | None:
        """Its CPUs of the client's machine; None where it is not known on which it runs."""
        return self.server_cpus if self.local_cpus is None else self.local_cpus

    def as_dict(self) -> dict[str, Any]:
        """What is known, as plain JSON-able values: the keys of results.json."""
        return {**{name: _plain(value) for name, value in self._known().items() if name != "other"}, **self.other}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BackendFacts:
        """The inverse of `as_dict`, for runs of all versions; raises TypeError for anything but an object."""
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
        """All that both know; where both do, `newer` holds."""
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
