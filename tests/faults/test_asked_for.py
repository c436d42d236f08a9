"""The engine and the surroundings that a person asked for: honoured, or the session ends with exit code 4.

Each entry is a session with the project's plugins, in a home of its own, that says which engine it has got. `auto` falls back
to processes only where nothing was set. The engine that answers is a stand-in that holds nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.bad_input.case import USAGE, Write, file, folder
from tests.bad_input.jobs import Job, Outcomes, outcomes_of

OK = 0
CHECKOUT = Path(__file__).parents[2]
PLUGINS = 'pytest_plugins = ["bench.plugin", "fixtures.plugin", "reports.plugin"]\n'
NOWHERE = """
from fixtures.engines.docker import docker
docker._environment = lambda: {"DOCKER_HOST": "unix:///no/such.sock"}
"""
"""As if nothing listened at the default socket, should an engine run on this machine."""

TEST = """
import os

def test_engine(fleet):
    fleet.start(os.environ["STARTED"].split(), lambda server: None)
    for name in fleet.running:
        print(name, "runs")
    for name, absence in fleet.absent.items():
        print(name, "is absent:", absence.reason)
"""
PROCESS, ANSWERS = "engine: process", "engine: docker 99.9"
FELL_BACK = "engine: process, for no container engine answers"
NOBODY = "tcp://127.0.0.1:1"
OFFERED = "use --engine process, which needs none"


@dataclass(frozen=True, slots=True)
class Asked:
    """A session with these `--engine`, environment and files ends with `code` and says `words`.

    `{here}` is its folder and home, `{engine}` the stand-in's address. `started`: backends that are started.
    """

    name: str
    code: int
    words: tuple[str, ...]
    engine: str = "auto"
    environment: Mapping[str, str] = field(default_factory=dict)
    write: Write = lambda here: None
    conftest: str = ""
    started: str = ""


def config(place: str = ".docker", **content: object) -> Write:
    """Writes a config.json."""
    return file(f"{place}/config.json", json.dumps(content))


def contexts(place: str = ".docker", current: str = "", **hosts: str) -> Write:
    """Contexts as `docker context create` writes them, and as `docker context use` chooses one."""

    def write(here: Path) -> None:
        config(place, **({"currentContext": current} if current else {}))(here)
        for name, host in hosts.items():
            meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
            at = hashlib.sha256(name.encode()).hexdigest()
            file(f"{place}/contexts/meta/{at}/meta.json", json.dumps(meta))(here)

    return write


def both(*writes: Write) -> Write:
    """One after the other."""

    def write(here: Path) -> None:
        for each in writes:
            each(here)

    return write


FAR = {"DOCKER_CONTEXT": "far"}
OWN = {"DOCKER_CONFIG": "{here}/own"}

TABLE: Sequence[Asked] = [
    # nothing set
    Asked("nothing set", OK, (FELL_BACK,), conftest=NOWHERE),
    Asked("only the default context", OK, (FELL_BACK,), write=config(currentContext="default"), conftest=NOWHERE),
    # --engine
    Asked("docker: nobody", USAGE, ("--engine docker", OFFERED), engine="docker", conftest=NOWHERE),
    Asked("docker: it answers", OK, (f"{ANSWERS} at {{engine}} (asked for)",), "docker", {"DOCKER_HOST": "{engine}"}),
    Asked("process, whatever else is set", OK, (f"{PROCESS} (asked for)",), "process", {"DOCKER_HOST": NOBODY}),
    # DOCKER_HOST
    Asked("host: it answers", OK, (f"{ANSWERS} at {{engine}} (it answers)",), environment={"DOCKER_HOST": "{engine}"}),
    Asked("host: nobody", USAGE, (f"DOCKER_HOST={NOBODY}: ", OFFERED), environment={"DOCKER_HOST": NOBODY}),
    Asked("host: ssh", USAGE, ("DOCKER_HOST=ssh://", OFFERED), environment={"DOCKER_HOST": "ssh://nobody@127.0.0.1:1"}),
    # DOCKER_CONTEXT
    Asked("context: it answers", OK, (ANSWERS,), environment=FAR, write=contexts(far="{engine}")),
    Asked("context: nobody", USAGE, ("DOCKER_CONTEXT=far: ", OFFERED), environment=FAR, write=contexts(far=NOBODY)),
    Asked("context: unknown", USAGE, ("DOCKER_CONTEXT=far: there is no such context",), environment=FAR),
    Asked("host before context", OK, (ANSWERS,), environment={"DOCKER_HOST": "{engine}", **FAR}, write=contexts()),
    # docker context use
    Asked("chosen context: it answers", OK, (ANSWERS,), write=contexts(current="far", far="{engine}")),
    Asked("chosen context: nobody", USAGE, ("the context far that ", OFFERED), write=contexts(current="far", far=NOBODY)),
    Asked("chosen context: unknown", USAGE, ("the context far that ", "no such context"), write=contexts(current="far")),
    Asked(
        "default context before the chosen",
        USAGE,
        ("DOCKER_CONTEXT=default: ",),
        environment={"DOCKER_CONTEXT": "default"},
        write=contexts(current="far", far="{engine}"),
        conftest=NOWHERE,
    ),
    # DOCKER_CONFIG
    Asked("config: not there", USAGE, ("DOCKER_CONFIG={here}/own: ",), environment=OWN),
    Asked("config: a file", USAGE, ("DOCKER_CONFIG=",), environment=OWN, write=file("own", "")),
    Asked("config: no JSON", USAGE, ("DOCKER_CONFIG=",), environment=OWN, write=file("own/config.json", b"\xff")),
    Asked("config: no object", USAGE, ("a JSON object",), environment=OWN, write=file("own/config.json", "[]")),
    Asked(
        "config: empty, and one at home",
        USAGE,
        ("DOCKER_CONFIG={here}/own: expected a config.json", "write {} into one"),
        environment=OWN,
        write=both(folder("own"), config(credsStore="gone")),
    ),
    Asked("config: empty, and none at home", OK, (FELL_BACK,), environment=OWN, write=folder("own"), conftest=NOWHERE),
    Asked(
        "config: its context",
        OK,
        (ANSWERS,),
        environment=OWN,
        write=both(contexts("own", "far", far="{engine}"), contexts(current="near", near=NOBODY)),
    ),
    Asked("config: of no interest to processes", OK, (f"{PROCESS} (asked for)",), engine="process", environment=OWN),
    Asked(
        "a credential store left over",
        OK,
        ("tensorflow-serving is absent: ", "docker-credential-gone", "remove credsStore and credHelpers"),
        environment={"DOCKER_HOST": "{engine}"},
        write=config(credsStore="gone"),
        started="tensorflow-serving",
    ),
    # where it runs
    Asked(
        "a temporary folder with a blank",
        OK,
        ("null runs",),
        engine="process",
        environment={"TMPDIR": "{here}/a b"},
        started="null",
        write=folder("a b"),
    ),
]


class Empty(BaseHTTPRequestHandler):
    """A container engine with nothing in it."""

    def do_GET(self) -> None:
        found = {"/version": {"Version": "99.9", "ApiVersion": "1.44"}, "/volumes": {"Volumes": []}}
        path = self.path.partition("?")[0]
        answers = [content for end, content in found.items() if path.endswith(end)]
        listed = path.endswith(("/containers/json", "/networks", "/images/json"))
        self._send(*((200, answers[0]) if answers else (200, []) if listed else (404, {"message": "No such image"})))

    def do_POST(self) -> None:
        self._send(500, {"message": "it makes nothing"})

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"tcp://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def job(asked: Asked, number: int, parent: Path, engine: str) -> Job:
    """What the worker is told; prepares the session's folder."""
    here = parent / f"{number:02}"
    here.mkdir()
    asked.write(here)
    for meta in here.rglob("meta.json"):
        meta.write_text(meta.read_text().replace("{engine}", engine))
    (here / "pytest.ini").write_text("[pytest]\n")
    (here / "conftest.py").write_text(PLUGINS + asked.conftest)
    (here / "test_engine.py").write_text(TEST)
    arguments = ["--benchmark-disable", "-s", f"--engine={asked.engine}", "--backend=tensorflow-serving", "--random-inputs=4"]
    environment = {"HOME": "{here}", "STARTED": asked.started, **asked.environment}
    filled = {name: value.replace("{here}", str(here)).replace("{engine}", engine) for name, value in environment.items()}
    return Job(asked.name, "session", str(here), [*arguments, "--batch-sizes=1"], filled)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Below it each session has its folder."""
    return tmp_path_factory.mktemp("asked")


@pytest.fixture(scope="module")
def outcomes(place: Path, engine: str) -> Outcomes:
    """What became of each."""
    return outcomes_of([job(asked, number, place, engine) for number, asked in enumerate(TABLE)], place)


@pytest.mark.parametrize("asked", TABLE, ids=[asked.name for asked in TABLE])
def test_what_was_asked_for_is_honoured_or_refused(asked: Asked, outcomes: Outcomes, place: Path, engine: str) -> None:
    """The documented exit code, the engine by its name, no traceback; refused, no other engine is said to measure."""
    code, said = outcomes[asked.name]
    assert "Traceback" not in said, said
    assert "INTERNALERROR" not in said, said
    assert code == asked.code, said
    here = str(place / f"{TABLE.index(asked):02}")
    for word in asked.words:
        assert word.replace("{here}", here).replace("{engine}", engine) in said, said
    assert (code == USAGE) != ("servebench engine: " in said), said


def test_a_locale_without_utf_8_is_no_obstacle(tmp_path: Path) -> None:
    """What the terminal cannot show it shows otherwise; nothing is escaped, nothing ends in a traceback."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(PLUGINS)
    (tmp_path / "test_cell.py").write_text("from tests.faults.test_session_end import CELL\nexec(CELL)\n")
    foreign = ("PYTEST_ADDOPTS", "PYTHONIOENCODING")
    locale = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--benchmark-only", "--engine=process", "--backend=null", "--report-dir=out"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in foreign} | locale,
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = done.stdout.decode("ascii")
    assert done.returncode == OK, said
    assert "Traceback" not in said
    assert "\\x" not in said
    assert "+/-" in said
