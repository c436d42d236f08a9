"""Parses the options of the load: --clients to --replicas, --agents, --may-load and --soak; an error names the option."""

import re

import pytest

from bench.contract.errors import BadInput
from bench.contract.options import whole_number
from bench.contract.scenarios import CONNECTIONS, Arrival, Offer
from bench.contract.system import Room
from bench.machine.host import usable_cpus

ARRIVALS = {"poisson": (Arrival.POISSON,), "constant": (Arrival.CONSTANT,), "both": (Arrival.POISSON, Arrival.CONSTANT)}
AUTO = "auto"
"""Value of --agents: as many as it takes to load null fully."""

_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_LONGEST_S = 3600.0
_LONGEST_SOAK_S = 7 * 24 * 3600
_FASTEST_PER_S = 1_000_000.0


def clients_of(text: str | None) -> list[int]:
    """`1,2,4` -> numbers of clients, ascending, each once; raises BadInput."""
    numbers = set()
    for word in _words("--clients", text, "numbers of clients, like 1,2,4,8"):
        number = whole_number(word, 1, CONNECTIONS)
        if number is None:
            raise BadInput(f"--clients {text}: expected numbers from 1 to {CONNECTIONS}, seen {word!r}; like 1,2,4,8")
        numbers.add(number)
    return sorted(numbers)


def loads_of(text: str | None) -> tuple[Offer, ...]:
    """`30%,200/s` -> the offered loads, each once; raises BadInput."""
    words = _words("--loads", text, "parts of a server's peak or rates, like 30%,70%,200/s")
    return tuple(_offer(word, text) for word in dict.fromkeys(words))


def arrivals_of(text: str | None) -> tuple[Arrival, ...]:
    """`poisson`, `constant` or `both` -> the arrival processes; raises BadInput."""
    arrivals = ARRIVALS.get(text or "")
    if arrivals is None:
        raise BadInput(f"--arrivals {text}: expected one of {', '.join(ARRIVALS)}")
    return arrivals


def limit_of(text: str | None) -> float | None:
    """`15ms` -> 0.015 seconds; None for 0; raises BadInput."""
    if text is None or text.strip() == "0":
        return None
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s)", text.strip(), re.ASCII)
    limit_s = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if not 0 < limit_s <= _LONGEST_S:
        raise BadInput(f"--slo {text}: expected a time above 0 and up to {_LONGEST_S:g} s, like 15ms or 0.5s; 0 looks for none")
    return limit_s


def cpus_of(text: str | None, config: pytest.Config) -> list[int]:
    """`1,2` -> numbers of CPUs, ascending, each once; if not given, 1, 2, 4, ... as many as there are. Raises BadInput."""
    most = len(config.hook.pytest_servebench_server_cpus(config=config) or usable_cpus())
    return _numbers_of("--cpus", text, "numbers of CPUs", most, "as many as a server may have (--server-cpus)")


def replicas_of(text: str | None, config: pytest.Config) -> list[int]:
    """`1,2` -> numbers of instances, ascending, each once; if not given, 1, 2, 4, ... as many as fit. Raises BadInput."""
    room = config.hook.pytest_servebench_room(config=config) or Room(len(usable_cpus()), "on this machine")
    why = f"for each has one of the CPUs that servers may have {room.where}"
    return _numbers_of("--replicas", text, "numbers of replicas", room.most, why)


def _numbers_of(flag: str, text: str | None, what: str, most: int, why: str) -> list[int]:
    if text is None:
        return [2**power for power in range(most.bit_length())]
    numbers = set()
    for word in _words(flag, text, f"{what}, like 1,2,4"):
        number = whole_number(word, 1, most)
        if number is None:
            raise BadInput(f"{flag} {text[:200]}: expected {what} from 1 to {most}, {why}, seen {word[:80]!r}; like 1,2")
        numbers.add(number)
    return sorted(numbers)


def agents_of(text: str | None) -> int | str:
    """`2` -> 2 load agents; `auto` -> AUTO; 0 if not given, so that this process itself sends. Raises BadInput."""
    if text is None:
        return 0
    number = whole_number(text, 1, CONNECTIONS)
    if number is None and text != AUTO:
        raise BadInput(f"--agents {text[:200]}: expected how many processes send together, from 1 to {CONNECTIONS}, or {AUTO}")
    return number or AUTO


def checked_host(text: str) -> str:
    """A host as in a URL, without scheme and port, like `models.example`, in lower case; raises BadInput."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", text):
        raise BadInput(f"--may-load {text}: expected a host alone, as it stands in the URL, like models.example")
    return text.lower()


def _offer(word: str, loads: str | None) -> Offer:
    match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)(%|/s)", word, re.ASCII)
    value = float(match[1]) if match else 0.0
    if match and match[2] == "%" and 0 < value <= 200:
        return Offer(load=value / 100)
    if match and match[2] == "/s" and 0 < value <= _FASTEST_PER_S:
        return Offer(rate_per_s=value)
    raise BadInput(
        f"--loads {loads}: expected parts of the peak above 0 and up to 200%, or rates up to {_FASTEST_PER_S:g}/s, "
        f"seen {word!r}; like 30%,70%,200/s"
    )


def soak_seconds(text: str | None) -> float:
    """`3600` -> 3600.0; raises BadInput."""
    seconds = whole_number(text or "", 1, _LONGEST_SOAK_S)
    if seconds is None:
        raise BadInput(f"--soak {str(text)[:200]}: expected whole seconds, from 1 to {_LONGEST_SOAK_S:,}")
    return float(seconds)


def _words(flag: str, text: str | None, expected: str) -> list[str]:
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    if not words:
        raise BadInput(f"{flag} {text or ''}: names nothing; expected {expected}")
    return words
