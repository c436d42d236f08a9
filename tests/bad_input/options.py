"""Options of pytest, the same as ini keys, and environment variables."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bad_input.case import NOT_FILES, USAGE, Case, file, folder

HUGE = "9" * 5000
NUMBERS = {
    "word": "abc",
    "negative": "-1",
    "fraction": "0.5",
    "nan": "nan",
    "inf": "inf",
    "huge": HUGE,
    "power": "1e3",
    "hexadecimal": "0x1",
    "superscript": "²",
    "blank": " ",
    "markup": "<script>alert(1)</script>",
    "two": "1 2",
}
"""What is no whole number, or none of use."""

VALUES: dict[str, dict[str, str]] = {
    "--client-cpu": {**NUMBERS, "too large": "9999"},
    "--client-priority": {**NUMBERS, "negative": "-21"},
    "--server-cpus": {**NUMBERS, "too large": "9999", "range": "1-0", "open range": "0-", "commas": ",,", "wide": "0-99999"},
    "--seed": {**NUMBERS, "too large": str(2**32)},
    "--engine": {"unknown": "podman", "case": "Docker", "list": "docker,process", "blank": " ", "nul": "docker\0"},
    "--backend": {
        "unknown": "flusk",
        "commas": ",,",
        "blank": " ",
        "pattern": "fl*",
        "markup": "<b>flask</b>",
        "many": ",".join(["x"] * 2000),
        "case": "FLASK",
    },
    "--ratio-to": {"unknown": "flusk", "blank": " ", "case": "Flask", "markup": "<i>", "not selected": "fastapi"},
    "--batch-sizes": {**NUMBERS, "zero": "0", "too large": "4097", "twice": "8,8", "commas": ",,"},
    "--accuracy-batch": {**NUMBERS, "zero": "0", "too large": "4097"},
    "--tolerance": {**NUMBERS, "fraction": "1.5", "zero": "0", "one": "1"},
    "--clients": {**NUMBERS, "zero": "0", "too large": "65", "commas": ",,"},
    "--loads": {**NUMBERS, "no unit": "50", "zero": "0%", "above": "201%", "rate of nan": "nan/s", "too fast": "9999999/s"},
    "--arrivals": {"unknown": "uniform", "blank": " ", "case": "Poisson", "list": "poisson,constant", "markup": "<b>"},
    "--slo": {**NUMBERS, "no unit": "15", "zero of a unit": "0ms", "too long": "3601s", "other unit": "15ns"},
    "--timeout": {**NUMBERS, "zero": "0", "too long": "3601"},
    "--agents": {**NUMBERS, "zero": "0", "too large": "65", "case": "Auto"},
    "--ray": {**NUMBERS, "url": "ray://10.0.0.1:10001", "no port": "10.0.0.1:", "large port": "10.0.0.1:65536", "auto": "auto"},
    "--cpus": {**NUMBERS, "zero": "0", "more than there are": "1,9999", "commas": ",,", "range": "1-2"},
    "--replicas": {**NUMBERS, "zero": "0", "more than there are": "1,9999", "commas": ",,", "range": "1-2"},
    "--starts": {**NUMBERS, "too many": "101"},
    "--random-inputs": {**NUMBERS, "zero": "0", "too many": "1000001"},
    "--export": {
        "no format": "here",
        "unknown": "keras=here",
        "no folder": "nnef=nowhere",
        "twice": "nnef=.,nnef=.",
        "blank": " ",
    },
    "--soak": {**NUMBERS, "zero": "0", "too long": "604801"},
    "--gate": {**NUMBERS, "zero": "0%", "most": "51%", "below zero": "-5%", "nan of a sign": "nan%", "no sign": "5"},
}
"""By option, what it must refuse by name. Each of them is tried as an ini key, too."""

REMEDIES = {
    "--client-cpu": "usable",
    "--server-cpus": "this process may use",
    "--engine": "auto, docker, process",
    "--backend": "backends: ",
    "--ratio-to": "flask-rest",
    "--batch-sizes": "like 1,128",
    "--accuracy-batch": "whole number of items",
    "--tolerance": "like 1e-3",
    "--clients": "like 1,2,4,8",
    "--loads": "like 30%,70%,200/s",
    "--arrivals": "poisson, constant, both",
    "--slo": "like 15ms",
    "--agents": "from 1 to 64, or auto",
    "--ray": "ray start --head",
    "--cpus": "numbers",
    "--replicas": "numbers of replicas",
    "--starts": "from 0",
    "--gate": "5%",
    "--random-inputs": "whole number of items",
    "--export": "expected",
}
"""By option, what each refusal says of what it takes."""


MAY = "expected what this user may read"


def closed(here: Path, name: str) -> None:
    """A file that may not be read, or in a folder of the name `shut` that may not be entered."""
    file(name, "x")(here)
    (here / name).chmod(0)
    if (here / "shut").is_dir():
        (here / "shut").chmod(0)


def cases() -> Iterator[Case]:
    """All of them."""
    for flag, values in VALUES.items():
        extra = {"--gate": ("--baseline=HEAD",), "--ratio-to": ("--backend=flask",)}.get(flag, ())
        for place, (name, value) in enumerate(values.items()):
            words = (f"{flag} {value.strip()}"[:60].rstrip(), REMEDIES.get(flag, "expected"))
            yield Case(f"{flag}: {name}", "pytest", (f"{flag}={value}", *extra), words)
            if place == 0:  # an ini key's text is read by the very parser of the option
                ini = file("pytest.ini", f"[pytest]\n{flag.lstrip('-').replace('-', '_')} = {value}\n")
                yield Case(f"ini {flag}: {name}", "pytest", extra, words, write=ini)
    yield from _attached()
    yield from _flags()
    yield from _benchmark()
    yield from _baseline()
    yield from _paths()
    yield from _environment()


def _attached() -> Iterator[Case]:
    """Servers that run already, what goes along to reach them, and folders elsewhere."""
    urls = {
        "no url": ("mine", "NAME=PROTOCOL@URL"),
        "name": ("Mine=v1-json@http://127.0.0.1:1/x", "lower case letters"),
        "scheme": ("mine=v1-json@ftp://127.0.0.1/x", "http, https, grpc, grpcs"),
        "scheme of the protocol": ("mine=v2-grpc@https://127.0.0.1/x", "grpc or grpcs"),
        "protocol": ("mine=v9-json@http://127.0.0.1:1/x", "v1-json, v2-binary, v2-grpc, v2-json"),
        "no model": ("mine=v2-json@http://127.0.0.1:1/x", "/v2/models/"),
        "port": ("mine=v1-json@http://127.0.0.1:99999/x", "Port out of range"),
        "password": ("mine=v1-json@http://me:hunter22@127.0.0.1:1/x", "--header"),
    }
    for name, (value, words) in urls.items():
        yield Case(f"--url: {name}", "pytest", (f"--url={value}",), (words,))
    nobody = "--url=mine=v1-json@http://127.0.0.1:1/x"
    yield Case(
        "--url: twice", "pytest", (nobody, "--url=mine=v1-json@http://127.0.0.1:2/x"), ("--url", "'mine' was given twice")
    )
    yield Case("ini --url", "pytest", (), ("--url nonsense",), write=file("pytest.ini", "[pytest]\nurl = nonsense\n"))
    headers = {
        "not set": ("X-Key=ENV:NOT_SET_ANYWHERE", "NOT_SET_ANYWHERE is not set"),
        "no file": ("X-Key=FILE:missing", "cannot be read"),
        "value itself": ("X-Key=hunter22", "the value itself never stands there"),
        "ours": ("Host=ENV:PATH", "this client's own"),
        "no such server": ("other:X-Key=ENV:PATH", "those are: mine"),
    }
    for name, (value, words) in headers.items():
        yield Case(f"--header: {name}", "pytest", (nobody, f"--header={value}"), ("--header", words))
    ca = file("ca.pem", "no certificate")
    yield Case("--ca: no certificate", "pytest", (nobody, "--ca=ca.pem"), ("--ca", "certificates in PEM"), write=ca)
    yield Case("--ca: missing", "pytest", (nobody, "--ca=nowhere.pem"), ("--ca nowhere.pem", "expected a file"))
    expected = (nobody, "--benchmark-only", "--expected=answers.npz")
    no_array = file("answers.npz", "nothing")
    yield Case("--expected: missing", "pytest", expected, ("--expected answers.npz", "expected a file"))
    yield Case("--expected: no inputs", "pytest", expected, ("--expected", "--inputs=FILE.npz beside it"), write=no_array)
    started = ("--backend=flask", *expected)
    yield Case("--expected: with a backend", "pytest", started, ("--expected", "a started backend"), write=no_array)
    yield Case("--may-load: url", "pytest", ("--may-load=http://h/",), ("--may-load http://h/", "a host alone"))
    yield Case("--backend: no folder", "pytest", ("--backend=../flask",), ("--backend ../flask", "backend.toml"))


def _flags() -> Iterator[Case]:
    for name, value in {"word": "maybe", "number": "7", "markup": "<b>"}.items():
        ini = file("pytest.ini", f"[pytest]\nstrict_backends = {value}\n")
        yield Case(f"ini strict_backends: {name}", "pytest", ("--benchmark-only",), ("strict_backends", value), write=ini)
    yield Case("unknown option", "pytest", ("--engines=docker",), ("unrecognized arguments", "--engines"))
    yield Case("option without its value", "pytest", ("--engine",), ("--engine", "expected one argument"))
    yield Case("ini file: nul byte", "pytest", (), ("engine",), write=file("pytest.ini", "[pytest]\nengine = doc\0ker\n"))
    yield Case("ini file: no section", "pytest", (), ("pytest.ini",), write=file("pytest.ini", "engine = docker\n"))
    yield Case("engine of a cluster without one", "pytest", ("--engine=ray",), ("--engine ray", "--ray HOST:PORT"))
    yield Case("gate without baseline", "pytest", ("--gate=5%",), ("--baseline REV_OR_DIR",))
    yield Case("baseline without gate", "pytest", ("--baseline=HEAD",), ("--gate 5%",))


def _benchmark() -> Iterator[Case]:
    """pytest-benchmark's own options, of which this suite makes more than it does."""
    wrong = {
        "--benchmark-max-time": {"zero": "0", "negative": "-1", "nan": "nan", "inf": "inf", "huge": "1e400", "word": "abc"},
        "--benchmark-min-rounds": {"zero": "0", "negative": "-1", "fraction": "0.5", "word": "abc", "huge": "9" * 30},
        "--benchmark-precision": {"zero": "0", "negative": "-1", "nan": "nan", "above one": "2", "word": "abc"},
        "--benchmark-confidence": {"zero": "0", "one": "1", "nan": "nan", "word": "abc"},
    }
    for flag, values in wrong.items():
        for name, value in values.items():
            yield Case(f"{flag}: {name}", "pytest", ("--benchmark-only", f"{flag}={value}"), (flag,))


def _baseline() -> Iterator[Case]:
    wrong = {
        "unknown": "no-such-thing",
        "option of git": "--upload-pack=touch here",
        "range": "HEAD..HEAD",
        "file of a commit": "HEAD:README.md",
        "blank": " ",
        "huge": "x" * 5000,
        "unknown home": "~no-such-user/x",
        "folder of something else": "other",
    }
    for name, value in wrong.items():
        arguments = (f"--baseline={value}", "--gate=5%")
        yield Case(f"--baseline: {name}", "pytest", arguments, ("--baseline",), write=folder("other"))


def _paths() -> Iterator[Case]:
    """Options that name files, and EMNIST_ARCHIVE."""
    for name, (path, write) in NOT_FILES.items():
        seen = re.match(r"[ -~]*", path[:20])[0]  # type: ignore[index]
        for flag in ("--emnist", "--model", "--inputs"):
            yield Case(
                f"{flag}: {name}", "pytest", ("--benchmark-only", f"{flag}={path}"), (flag, seen, "expected"), write=write
            )
        environment = {"EMNIST_ARCHIVE": path}
        words = ("EMNIST_ARCHIVE", seen, "expected")
        yield Case(f"EMNIST_ARCHIVE: {name}", "pytest", ("--benchmark-only",), words, write=write, environment=environment)
        yield Case(f"--resume: {name}", "pytest", ("--benchmark-only", f"--resume={path}"), ("expected", seen), write=write)
    for flag in ("--emnist", "--model", "--inputs"):
        shut = partial(closed, name="shut/bad")
        yield Case(f"{flag}: in a shut folder", "pytest", ("--benchmark-only", f"{flag}=shut/bad"), (flag, MAY), write=shut)
        shut = partial(closed, name="bad")
        yield Case(f"{flag}: shut", "pytest", ("--benchmark-only", f"{flag}=bad"), (flag, "bad", MAY), write=shut)
    shut = partial(closed, name="shut/results.json")
    for name in ("shut", "shut/run"):
        yield Case(f"--resume: {name}", "pytest", ("--benchmark-only", f"--resume={name}"), (name, MAY), write=shut)
        told = (f"--baseline {name}", MAY)
        yield Case(f"--baseline: {name}", "pytest", (f"--baseline={name}", "--gate=5%"), told, write=shut)
    yield Case("--resume: no run yet", "pytest", ("--benchmark-only", "--resume=latest", "--report-dir={here}"), ("latest",))
    for name in ("name too long", "path too long", "unknown home"):
        arguments = (f"--report-dir={NOT_FILES[name][0]}",)
        yield Case(f"--report-dir: {name}", "pytest", arguments, ("--report-dir", "expected a path"))
    ini = file("pytest.ini", "[pytest]\nreport_dir = ba\0d\n")
    yield Case("ini --report-dir: nul byte", "pytest", (), ("--report-dir", "expected a path"), write=ini)
    for flag in ("--emnist", "--model", "--inputs", "--resume"):
        ini = file("pytest.ini", f"[pytest]\n{flag.lstrip('-')} = ba\0d\n")
        yield Case(f"ini {flag}: nul byte", "pytest", ("--benchmark-only",), ("expected",), write=ini)


def _environment() -> Iterator[Case]:
    hosts = {
        "word": "nonsense",
        "scheme": "gopher://127.0.0.1:1",
        "no host": "tcp://",
        "nobody listens": "tcp://127.0.0.1:1",
        "port too large": "tcp://127.0.0.1:99999",
        "port a word": "tcp://127.0.0.1:port",
        "half an address": "tcp://[::1",
        "no socket": "unix:///no/such.sock",
        "socket is a folder": "unix://{here}",
        "socket is a file": "unix://{here}/file",
        "pipe of another system": "npipe:////./pipe/docker_engine",
        "unknown name": "tcp://no-such-host.invalid:2375",
        "markup": "<script>alert(1)</script>",
        "huge": "tcp://" + "a" * 5000,
    }
    for name, host in hosts.items():
        yield Case(
            f"DOCKER_HOST: {name}",
            "pytest",
            ("--benchmark-only", "--engine=docker"),
            ("--engine docker: no container engine answers", "DOCKER_HOST="),
            write=file("file", ""),
            environment={"DOCKER_HOST": host},
        )
    tls = {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "{here}/none"}
    words = ("no container engine answers",)
    yield Case("DOCKER_CERT_PATH: missing", "pytest", ("--benchmark-only", "--engine=docker"), words, environment=tls)
    added = {"unknown option": "--no-such-option", "unknown backend": "--backend=flusk", "bad seed": "--seed=x"}
    for name, value in added.items():
        words = (value.partition("=")[2] or value,)
        yield Case(f"PYTEST_ADDOPTS: {name}", "pytest", (), words, USAGE, environment={"PYTEST_ADDOPTS": value})
