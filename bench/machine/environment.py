"""The machine and the software that a run is measured with, and warnings if they make its numbers less trustworthy."""

import os
import platform
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.machine.code_digest import commit, digests
from bench.machine.priority import Priority, may_lock_memory

_PACKAGES = ("numpy", "onnxruntime", "pytest", "pytest-benchmark", "requests", "docker", "hpack", "orjson")
_BUSY_LOAD = 0.5  # runnable tasks per CPU before we start


def environment(client_cpu: int, client_priority: Priority, server_cpus: Sequence[int]) -> Mapping[str, Any]:
    """Facts about this machine, JSON-able; what cannot be read is None."""
    return {
        "host": socket.gethostname(),
        "system": platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpus_usable": sorted(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo_off": _read("/sys/devices/system/cpu/intel_pstate/no_turbo"),
        "hypervisor": "hypervisor" in (_read("/proc/cpuinfo") or ""),
        "load_1m_at_start": os.getloadavg()[0],
        "client_cpu": client_cpu,
        "client_priority": str(client_priority.beside(client_cpu, server_cpus)),
        "client_memory_locked": may_lock_memory(),
        "server_cpus": list(server_cpus),
        "commit": commit(),
        "sources": dict(digests()),
        "python": sys.version.split()[0],
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def warnings_about(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Warnings for the reader of the numbers, each with what to do about it."""
    warnings = []
    if len(facts["cpus_usable"]) < 2:
        warnings.append(
            "Client and servers share the machine's only CPU: every figure holds the client's work too. Use two CPUs."
        )
    elif facts["client_cpu"] in facts["server_cpus"]:
        warnings.append("The client's CPU is among the servers' CPUs: they take time from each other. Choose disjoint ones.")
    if facts["governor"] not in (None, "performance"):
        warnings.append(f"CPU frequency governor is {facts['governor']!r}: clock speed may follow the load. Use 'performance'.")
    if facts["load_1m_at_start"] > _BUSY_LOAD * len(facts["cpus_usable"]):
        warnings.append(
            f"The machine was busy at the start (load {facts['load_1m_at_start']:.1f}). Stop other work and run again."
        )
    if facts["hypervisor"]:
        warnings.append("A virtual machine: neighbours can take its CPU time. Trust the ratios, less the absolute figures.")
    return tuple(warnings)


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _cpu_model() -> str | None:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
