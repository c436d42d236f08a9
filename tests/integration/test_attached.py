"""Sessions over servers that run elsewhere: TLS and a token, some gone, some wrong; none is touched, no secret is told."""

import json
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

pytest.importorskip("trustme")  # of the group `test`; an older environment may lack it
import trustme

from bench.contract.records import Verdict
from bench.contract.wire import Endpoint
from bench.protocols import transport_of
from bench.verification.probe import Probe
from fixtures.engines.process.process import free_ports
from fixtures.engines.process.process_server import ProcessServer
from fixtures.fleet.fleet import LocalFleet
from tests import sessions
from tests.integration.house import SPECS, a_house, refuse_absence
from tests.sessions import ROOT
from tests.standins.elsewhere import Elsewhere, Scores, elsewhere

MODEL = ROOT / "fixtures" / "model" / "emnist-mlp.onnx"
TOKEN = "tok-0123456789abcdef"
ITEMS = 1000

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sessions are started: with inputs, and with the authority's certificate."""
    folder = tmp_path_factory.mktemp("attached")
    images = np.random.default_rng(3).random((ITEMS, 784)).astype(np.float32)
    np.savez(folder / "my.npz", images=images)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


@pytest.fixture(scope="module")
def secured(here: Path) -> Iterator[Elsewhere]:
    """Over TLS, for who has the token."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(here / "ca.pem")
    own = authority.issue_cert("127.0.0.1", common_name="models.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.configure_cert(context)
    pair = (own.private_key_pem.bytes(), b"".join(each.bytes() for each in own.cert_chain_pems))
    with elsewhere(Elsewhere(MODEL, TOKEN), (context, grpc.ssl_server_credentials([pair]))) as served:
        yield served


@dataclass(frozen=True)
class Session:
    """How a session ended, and all that it left."""

    code: int
    told: str
    out: Path

    @property
    def results(self) -> Mapping[str, Any]:
        """What was stored."""
        assert (self.out / "latest" / "results.json").is_file(), self.told
        return dict(json.loads((self.out / "latest" / "results.json").read_text()))

    @property
    def run(self) -> Mapping[str, Any]:
        """What holds for all cells."""
        return dict(self.results["run"])

    @property
    def cells(self) -> Mapping[str, Mapping[str, Any]]:
        """By id."""
        return {f"{cell['backend']}-{cell['endpoint']}-{cell['scenario']}": cell for cell in self.results["cells"]}

    def said(self) -> str:
        """Everything, files included."""
        files = [path for path in self.out.rglob("*") if path.is_file()]
        return self.told + "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def session(
    here: Path, *arguments: str, which: str = "accuracy or single", within: Sequence[str] = (), **environment: str
) -> Session:
    """A run of the suite over the inputs; `within` is put before its command."""
    out = here / f"out-{len(list(here.glob('out-*')))}"
    command = sessions.command()
    command += ["--benchmark-only", "--benchmark-max-time=0.2", "--engine=process", f"--report-dir={out}", "-k", which, "-l"]
    command += [f"--inputs={here / 'my.npz'}", "-m", "not replay", "--batch-sizes=1", *arguments, str(ROOT / "bench")]
    variables = sessions.environment(environment)
    done = subprocess.run([*within, *command], cwd=here, env=variables, capture_output=True, text=True, timeout=300)
    return Session(done.returncode, done.stdout + done.stderr, out)


def urls_of(served: Elsewhere) -> list[str]:
    return [
        f"--url=one=v1-json@https://127.0.0.1:{served.rest_port}/v1/models/emnist:predict",
        f"--url=two=v2-grpc@grpcs://127.0.0.1:{served.grpc_port}/emnist",
        f"--url=three=v2-json@https://127.0.0.1:{served.rest_port}/v2/models/emnist",
    ]


def test_over_tls_with_a_token_beside_one_that_is_gone(here: Path, secured: Elsewhere) -> None:
    """All answers are verified; who is gone has its row, with address and error; the token is told nowhere."""
    (port,) = free_ports(1)
    gone = f"--url=gone=v1-json@http://127.0.0.1:{port}/v1/models/emnist:predict"
    asked = session(
        here,
        *urls_of(secured),
        gone,
        f"--model={MODEL}",
        "--ca=ca.pem",
        "--header=Authorization=ENV:TOKEN",
        TOKEN=f"Bearer {TOKEN}",
    )
    cells = asked.cells
    for name in ("one-v1-json", "two-v2-grpc", "three-v2-json"):
        cell = cells[f"{name}-single"]
        assert cell["engine"] == "attached"
        assert not cells[f"{name}-accuracy"]["reason"]
        assert not Verdict[cell["verdict"]].fails_test, cell["reason"]  # how fast it is, a busy machine decides
        assert cell["agreement"] == 1.0
        assert cell["answers_verified"] >= cell["exchanges"] > 0
        assert (cell["server_cpu_s_per_image"], cell["server_peak_memory_bytes"]) == (None, None)
        assert 0 < cell["client_share"] < 1
    assert cells["gone-v1-json-single"]["verdict"] == "FAILED"
    assert f"127.0.0.1:{port}" in cells["gone-v1-json-single"]["reason"]
    assert "refused" in cells["gone-v1-json-single"]["reason"]
    for name, protocol in (("two", "v2-grpc"), ("three", "v2-json")):
        known = asked.run["backends"][name]["attached"][protocol]
        assert (known["model"], known["versions"]) == ("emnist", ["7"])
        assert (known["inputs"], known["outputs"]) == (["images FP32 [-1, 784]"], ["scores FP32 [-1, 62]"])
        assert min(known["connect_s"], known["round_trip_s"]) > 0
    assert "not measured (not ours)" in (asked.out / "latest" / "report.html").read_text()
    assert TOKEN not in asked.said()
    assert "--header=Authorization=ENV:TOKEN" in cells["one-v1-json-single"]["again"]


def test_without_trust_or_without_the_token(here: Path, secured: Elsewhere) -> None:
    """A certificate that is not trusted ends the session before anything is measured; a refusal is the row's reason."""
    distrusted = session(here, *urls_of(secured), TOKEN="x")
    assert distrusted.code == 4
    assert re.search(r"not trusted: .*subject .*CN=models\.example.*--ca FILE", distrusted.told)
    refused = session(
        here,
        *urls_of(secured)[:2],
        f"--model={MODEL}",
        "--ca=ca.pem",
        "--header=one:Authorization=ENV:TOKEN",  # and none for the other
        TOKEN="Bearer tok-wrong",
    )
    reasons = {name: cell["reason"] for name, cell in refused.cells.items() if cell["engine"] is None}
    assert {"one-v1-json-single", "two-v2-grpc-single"} <= set(reasons)
    assert "HTTP status 401" in reasons["one-v1-json-single"]
    assert "UNAUTHENTICATED" in reasons["two-v2-grpc-single"]
    assert "--header NAME=ENV:VARIABLE" in reasons["one-v1-json-single"]
    assert "tok-wrong" not in refused.said()


def rolled(rows: Scores, scores: Scores) -> Scores:
    """In another order, where there is one."""
    return np.roll(scores, 1, axis=0) if len(scores) > 1 else scores


@dataclass
class OneWrong:
    """One item's answer is another's."""

    item: Scores

    def __call__(self, rows: Scores, scores: Scores) -> Scores:
        wrong = np.roll(scores, 1, axis=1)
        return np.where((rows == self.item).all(axis=1, keepdims=True), wrong, scores).astype(np.float32)


def test_wrong_in_each_way_and_said_with_the_first(here: Path) -> None:
    """Another order, datatype or name of the output, one item in a thousand: WRONG_ANSWERS, and its first, in each protocol."""
    item = np.load(here / "my.npz")["images"][617]
    faulty = {
        "order": Elsewhere(MODEL, spoil=rolled),
        "dtype": Elsewhere(MODEL, datatype="INT64"),
        "name": Elsewhere(MODEL, output="logits"),
        "one": Elsewhere(MODEL, spoil=OneWrong(item)),
        "right": Elsewhere(MODEL),
    }
    with ExitStack() as stack:
        urls = []
        for name, served in faulty.items():
            ports = stack.enter_context(elsewhere(served))
            urls.append(f"--url={name}=v2-json@http://127.0.0.1:{ports.rest_port}/v2/models/emnist")
            urls.append(f"--url={name}-grpc=v2-grpc@grpc://127.0.0.1:{ports.grpc_port}/emnist")
        asked = session(here, *urls, f"--model={MODEL}", which="accuracy")
    cells = {cell["backend"]: cell for cell in asked.cells.values() if cell["scenario"] == "accuracy"}
    assert {name for name, cell in cells.items() if cell["verdict"] == "VALID"} == {"right", "right-grpc", "reference"}
    for kind in ("", "-grpc"):
        reasons = {name: cells[f"{name}{kind}"]["reason"] for name in ("order", "dtype", "name", "one")}
        assert {cells[f"{name}{kind}"]["verdict"] for name in reasons} == {"WRONG_ANSWERS"}
        assert re.search(r"item 0 .*answered .* the reference says", reasons["order"])
        assert re.search("(?i)int64", reasons["dtype"])
        assert "logits" in reasons["name"]
        assert re.search(r"^1 of \d+ answers .*item 617 .*answered .* the reference says", reasons["one"])
        assert cells[f"one{kind}"]["agreement"] == 1 - 1 / ITEMS
    assert asked.code == 1


@pytest.mark.parametrize(
    "names", [("flask", "fastapi"), pytest.param(("flask", "fastapi", "triton", "mlserver"), marks=pytest.mark.slow)], ids=len
)
def test_beside_the_same_servers_that_the_session_starts(here: Path, names: Sequence[str]) -> None:
    """Attached and started rows are verified alike; of theirs nothing is looked into or stopped, they answer on."""
    house = a_house()
    probe = Probe(house.factory, [1])
    with house.fleet(*(SPECS[name] for name in names)) as theirs:
        theirs.start(names, probe)
        for name in names:
            refuse_absence(theirs.absent.get(name))
        processes = {name: psutil.Process(server.pid) for name, server in servers_of(theirs).items()}
        endpoints = [endpoint for server in theirs.running.values() for endpoint in server.endpoints.values()]
        urls = [f"--url=their-{each.id}={each.protocol}@{url_of(each)}" for each in endpoints]
        asked = session(
            here,
            *urls,
            f"--backend={','.join(names)}",
            f"--model={MODEL}",
            "--starts=1",
            which="accuracy or single or startup",
        )
        for name, server in theirs.running.items():
            assert processes[name].is_running(), name  # by its start as well: nobody else has its number
            probe(server)
    assert asked.code == 0, asked.told
    for each in endpoints:
        for scenario in ("accuracy", "single"):
            ours, attached = asked.cells[f"{each.id}-{scenario}"], asked.cells[f"their-{each.id}-{each.protocol}-{scenario}"]
            assert (ours["engine"], attached["engine"]) == ("process", "attached")
            for cell in (ours, attached):
                assert not Verdict[cell["verdict"]].fails_test, cell["reason"]  # how fast it is, a busy machine decides
                assert (cell["agreement"], cell["errors"]) == (1.0, 0)
                assert cell["answers_verified"] >= cell["exchanges"] > 0
        assert ours["server_peak_memory_bytes"] > 0
        assert (attached["server_cpu_s_per_image"], attached["server_peak_memory_bytes"]) == (None, None)
        if each.protocol.startswith("v2-"):
            known = asked.run["backends"][f"their-{each.id}"]["attached"][each.protocol]
            assert known["model"] == "emnist"
            assert known["inputs"] == (["images FP32 [-1, 784]"] if each.backend == "triton" else [])  # mlserver says none
    assert {row["backend"] for row in asked.run["startup"]} == set(names)


def servers_of(fleet: LocalFleet) -> Mapping[str, ProcessServer]:
    return {name: server for name, server in fleet.running.items() if isinstance(server, ProcessServer)}


def url_of(endpoint: Endpoint) -> str:
    """As a person would write it."""
    if transport_of(endpoint.protocol) == "grpc":
        return f"grpc://{endpoint.authority}/{endpoint.model}"
    return f"http://{endpoint.authority}{endpoint.path}"


def test_without_a_model(here: Path) -> None:
    """Held against each other they are not verified, who differs is wrong; expected answers verify; signatures must agree."""
    images = np.load(here / "my.npz")["images"]
    with elsewhere(Elsewhere(MODEL)) as right, elsewhere(Elsewhere(MODEL, spoil=OneWrong(images[3]))) as other:
        np.savez(here / "answers.npz", scores=right.answer(images))
        one = f"--url=one=v2-json@http://127.0.0.1:{right.rest_port}/v2/models/emnist"
        two = f"--url=two=v2-json@http://127.0.0.1:{other.rest_port}/v2/models/emnist"
        three = f"--url=three=v2-grpc@grpc://127.0.0.1:{right.grpc_port}/emnist"
        nobody = session(here, one, two, three, which="accuracy").cells
        told = session(here, one, two, f"--expected={here / 'answers.npz'}", which="accuracy").cells
        np.savez(here / "other.npz", pixels=images)
        mismatches = [session(here, each, f"--inputs={here / 'other.npz'}", which="accuracy") for each in (one, three)]
    assert {name: cell["verdict"] for name, cell in nobody.items()} == {
        "one-v2-json-accuracy": "NOT_VERIFIED",
        "two-v2-json-accuracy": "WRONG_ANSWERS",
        "three-v2-grpc-accuracy": "NOT_VERIFIED",
    }
    assert "held against what one-v2-json answered first" in nobody["three-v2-grpc-accuracy"]["reason"]
    assert "one of the two is wrong; answer 1: item 3 " in nobody["two-v2-json-accuracy"]["reason"]
    assert nobody["one-v2-json-accuracy"]["agreement"] is None
    assert {name: cell["verdict"] for name, cell in told.items()} == {
        "one-v2-json-accuracy": "VALID",
        "two-v2-json-accuracy": "WRONG_ANSWERS",
    }
    for mismatch in mismatches:
        assert mismatch.code == 4, mismatch.told
        assert re.search(r"expected the signature .*pixels float32.*seen images float32 .*--model=FILE", mismatch.told)


def test_nobody_answers(here: Path) -> None:
    """The only server is gone: one sentence with address and error, and nothing is started."""
    (port,) = free_ports(1)
    alone = session(here, f"--url=gone=v2-grpc@grpc://127.0.0.1:{port}/x")
    assert alone.code == 4
    assert re.search(rf"no server answers .*grpc://127\.0\.0\.1:{port}.*[Cc]onnection refused", alone.told)
    assert not (alone.out / "latest").exists()


FAR = "192.0.2.7"
"""Kept for documentation (RFC 5737): nobody has it."""


@pytest.fixture
def far() -> Iterator[tuple[str, Sequence[str]]]:
    """A server at an address that is not the loopback's, in a network of its own: its URL, and what puts a command there."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("no network of its own can be made without unshare, nsenter and ip")
    script = f'ip link set lo up && ip address add {FAR}/32 dev lo && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-m", "tests.standins.elsewhere", str(MODEL), FAR]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ports = process.stdout.readline()
        if not ports:
            pytest.skip(f"no network of its own may be made here: {process.stderr.read().strip()}")
        yield (
            f"v2-json@http://{FAR}:{json.loads(ports)['rest']}/v2/models/emnist",
            ["nsenter", f"--net=/proc/{process.pid}/ns/net"],
        )


def test_load_on_another_host_needs_leave(here: Path, far: tuple[str, Sequence[str]]) -> None:
    """Without --may-load its cells under load are not measured, with their reason; null is no ceiling for it."""
    url, within = far
    options = [f"--url=far={url}", f"--model={MODEL}", "--clients=2", "-m", "load or not replay"]
    refused = session(here, *options, which="single or c02", within=within)
    allowed = session(here, *options, f"--may-load={FAR}", which="single or c02", within=within)
    assert (refused.code, allowed.code) == (0, 0), refused.told + allowed.told
    spared = refused.cells["far-v2-json-c02"]
    assert (spared["verdict"], spared["exchanges"]) == ("NOT_MEASURED", 0)
    assert f"load on it needs --may-load {FAR}" in spared["reason"]
    for cell in (refused.cells["far-v2-json-single"], *(allowed.cells[f"far-v2-json-{name}"] for name in ("single", "c02"))):
        assert Verdict[cell["verdict"]].measured, cell["reason"]
        assert cell["agreement"] == 1.0
        assert cell["ceiling_fraction"] is None
        assert 0 < cell["client_share"] < 1
