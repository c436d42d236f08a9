"""The differences between two runs: machine, code, model, dataset, engine, options."""

import json
from collections.abc import Collection, Mapping

from bench.contract.records import Run

_MACHINE = (
    *("host", "system", "kernel", "machine", "cpu", "cpus_usable", "governor", "turbo_off", "hypervisor"),
    *("client_cpu", "client_priority", "server_cpus", "python", "packages"),
)
_MEMORY = "memory_bytes"
_MEMORY_PERCENT = 1  # kernels reserve some memory, and not the same amount at every boot
_SHOWN = 60


def differences(then: Run, now: Run, free: Collection[str] = ()) -> list[str]:
    """The differences because of which two runs' cells may not be in one table, one line each; options in `free` may differ."""
    before, after = then.environment, now.environment
    lines = [difference(name, before.get(name), after[name]) for name in _MACHINE if name in after]
    lines += [_memory_difference(before.get(_MEMORY), after[_MEMORY])] if _MEMORY in after else []
    for name, digest in _sources(now).items():
        old = _sources(then).get(name)
        if old != digest:
            code = (f"{str(old)[:12]}, commit {before.get('commit')}", f"{digest[:12]}, commit {after.get('commit')}")
            lines.append(difference(f"code: the files in {name}/", *code))
    lines.append(difference("model: sha256", then.model.get("sha256"), now.model.get("sha256")))
    lines.append(difference("dataset: sha256", then.dataset.get("sha256"), now.dataset.get("sha256")))
    lines.append(difference("engine", then.engine, now.engine))
    options = [name for name in dict.fromkeys([*now.options, *then.options]) if name not in free]
    lines += [difference(f"option {name}", then.options.get(name), now.options.get(name)) for name in options]
    return [line for line in lines if line]


def _sources(run: Run) -> Mapping[str, str]:
    digests = run.environment.get("sources")
    return digests if isinstance(digests, Mapping) else {}


def difference(what: str, then: object, now: object) -> str:
    """`<what>: <value> then, <value> now`; empty if both are the same as JSON: a run read from a file has lists for tuples."""
    before, after = (json.dumps(value, sort_keys=True, default=str) for value in (then, now))
    return "" if before == after else f"{what}: {_cut(before)} then, {_cut(after)} now"


def _memory_difference(then: object, now: object) -> str:
    """The difference of the memory sizes, empty if within 1 %; caches, limits and swapping depend on the size."""
    if isinstance(then, int) and isinstance(now, int) and 100 * abs(then - now) <= _MEMORY_PERCENT * max(then, now):
        return ""
    return difference(_MEMORY, then, now)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
