"""Every backend that runs as a process, with the real engine: right, gone when stopped, and alone in its misfortunes."""

import os
import re
import signal
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from bench.contract.cells import Cell
from bench.contract.errors import ErrorStatus
from bench.contract.records import Record, Verdict
from bench.contract.scenarios import Scenario
from bench.contract.system import Role
from bench.contract.tensors import FloatArray
from bench.contract.wire import Endpoint, Payload
from bench.load.scheduler import Progress
from bench.protocols._inference_pb2 import ModelInferResponse
from bench.transports.connect import open_connection
from bench.transports.grpc import GrpcTransport
from bench.verification.probe import Probe
from fixtures.engines.process.process_server import ProcessServer
from fixtures.engines.process_tree import marked, with_relatives
from fixtures.engines.sweeping import run_folder_prefix
from fixtures.fleet.fleet import LocalFleet
from fixtures.specs.spec import BackendSpec
from tests.backends.launch import listening
from tests.flat import flat_codec as codec
from tests.integration.house import MEASURING_S, SPECS, House, Records, a_house, refuse_absence, refuse_unavailable

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NAMES = [name for name, spec in SPECS.items() if spec.process is not None and spec.backend.role is Role.SERVER]
BYSTANDERS = ("flask", "fastapi")
MAX_ABS_DIFF = 1e-4
CLIENTS, TURNS = 16, 6
TWO_CPUS = tuple(sorted(os.sched_getaffinity(0))[:2])
SINGLE = Scenario("single", batch_size=1)
NINE_MIB_IMAGES = 3010
SECONDS_SINCE_1970 = np.float32(1.7e9)
SHARED_PLACES = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/")


@pytest.fixture(scope="module")
def house() -> House:
    """Of this module's tests."""
    return a_house()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_right_and_leaves_nothing(house: House, name: str) -> None:
    """1, 3 and 128 images through every endpoint, on loopback alone; after its stop no process, port or file of it is left."""
    with leaving_nothing(house) as look, house.fleet(SPECS[name]) as fleet:
        fleet.start([name], Probe(house.factory, [1]))
        refuse_absence(fleet.absent.get(name))
        look(fleet)
        server = fleet.running[name]
        assert isinstance(server, ProcessServer)
        assert listening(with_relatives([server.pid, *marked(house.settings.run.variables)])) == {"127.0.0.1"}
        for endpoint in server.endpoints.values():
            for batch_size in (1, 3, 128):
                payload = house.factory.payload_set(endpoint, batch_size).payloads[0]
                expected = house.predict(house.images[list(payload.indices)])
                assert len(expected) == batch_size
                np.testing.assert_allclose(answer(endpoint, payload), expected, atol=MAX_ABS_DIFF)
        look(fleet)


@pytest.mark.parametrize("name", [name for name in NAMES if not SPECS[name].backend.variant_of])
def test_it_takes_any_value_and_large_requests(house: House, name: str) -> None:
    """Seconds since 1970 are values like others; 9 MiB go through every binary endpoint."""
    with house.fleet(SPECS[name]) as fleet:
        fleet.start([name], Probe(house.factory, [1]))
        refuse_absence(fleet.absent.get(name))
        server = fleet.running[name]
        few = house.images[:3]
        many = np.resize(few, (NINE_MIB_IMAGES, few.shape[1]))
        for endpoint in server.endpoints.values():
            asked = [few * SECONDS_SINCE_1970, *([] if "json" in endpoint.protocol else [many])]
            for images in asked:
                body, content_type, headers = codec(endpoint.protocol).encode(images)
                payload = Payload(body, content_type, tuple(range(len(images))), headers)
                expected = house.predict(images)
                np.testing.assert_allclose(answer(endpoint, payload), expected, atol=MAX_ABS_DIFF)


@pytest.mark.parametrize("name", [name for name in NAMES if "grpc" in {each.name for each in SPECS[name].backend.endpoints}])
def test_it_answers_our_transport_as_it_answers_grpcs(house: House, name: str) -> None:
    """The same message gets the same answer, and a bad one the same code, whichever client asks."""
    with house.fleet(SPECS[name]) as fleet:
        fleet.start([name], Probe(house.factory, [1]))
        refuse_absence(fleet.absent.get(name))
        server = fleet.running[name]
        endpoint = server.endpoints["grpc"]
        wire = codec(endpoint.protocol)
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(f"{endpoint.host}:{endpoint.port}", options=unlimited) as channel:
            call = channel.unary_unary(endpoint.path, request_serializer=None, response_deserializer=None)
            transport = GrpcTransport(endpoint)
            transport.connect()
            for rows in (1, 128, NINE_MIB_IMAGES):
                body, content_type, _ = wire.encode(np.resize(house.images, (rows, house.images.shape[1])))
                ours = transport.exchange(transport.prepare(Payload(body, content_type, tuple(range(rows)))))
                assert without_id(ours) == without_id(call(body, timeout=30))
            for bad in (b"garbage", wire.encode(house.images[:1, 1:].copy())[0]):
                with pytest.raises(grpc.RpcError) as theirs:
                    call(bad, timeout=30)
                with pytest.raises(ErrorStatus, match=f"gRPC status {theirs.value.code().name}"):
                    transport.exchange(transport.prepare(Payload(bad, "application/grpc", (0,))))
                transport.ensure_connected()
            transport.close()


def without_id(answer: bytes) -> bytes:
    """Some servers give each answer a number of its own."""
    message = ModelInferResponse.FromString(answer)
    message.ClearField("id")
    return bytes(message.SerializeToString(deterministic=True))


@pytest.mark.parametrize("name", [name for name in NAMES if SPECS[name].backend.variant_of])
def test_a_variant_gives_everybody_their_own(house: House, name: str) -> None:
    """Many clients at once, of 1, 3 and 128 images: none gets another's answer."""
    with house.fleet(SPECS[name]) as fleet:
        fleet.start([name], Probe(house.factory, [1]))
        refuse_absence(fleet.absent.get(name))
        server = fleet.running[name]
        for endpoint in server.endpoints.values():
            with ThreadPoolExecutor(CLIENTS) as pool:
                told = list(pool.map(partial(conversation, house, endpoint), range(CLIENTS)))
            assert [problem for problems in told for problem in problems] == []


@pytest.mark.skipif(len(TWO_CPUS) < 2, reason="one CPU is no two")
@pytest.mark.parametrize("name", NAMES)
def test_on_two_cpus_everybody_gets_their_own(house: House, name: str) -> None:
    """Started as its backend.toml says for two, it answers many clients at once, each rightly, and leaves nothing."""
    spec = replace(SPECS[name], cpus=TWO_CPUS)
    with leaving_nothing(house) as look, house.fleet(spec) as fleet:
        fleet.start([name], Probe(house.factory, [1]))
        refuse_absence(fleet.absent.get(name))
        server = fleet.running[name]
        assert server.facts.server_cpus == TWO_CPUS
        look(fleet)
        for endpoint in server.endpoints.values():
            with ThreadPoolExecutor(CLIENTS) as pool:
                told = list(pool.map(partial(conversation, house, endpoint), range(CLIENTS)))
            assert [problem for problems in told for problem in problems] == []
        look(fleet)


@pytest.mark.parametrize("name", NAMES)
def test_its_death_in_mid_campaign_is_its_own(house: House, name: str) -> None:
    """Its first process is killed while it is measured: FAILED, with its log's end; the bystander's row is as ever."""
    bystander = bystander_of(name)
    cells = [cell for spec in (SPECS[name], SPECS[bystander]) for cell in cells_of(spec)]
    with leaving_nothing(house) as look, house.fleet(SPECS[name], SPECS[bystander]) as fleet:

        def watch(progress: Progress) -> None:
            server = fleet.running[name]
            assert isinstance(server, ProcessServer)
            if progress.step == "measure" and progress.round_index > 3 and server.is_alive():
                look(fleet)
                os.kill(server.pid, signal.SIGKILL)

        campaigns, records = house.campaigns(fleet, cells, watch)
        campaigns.result(cells[0])
        refuse_absence(fleet.absent.get(name))
    assert_only_failure(records, name, bystander)
    for record in of(records, name):
        assert record.exchanges > 0, "it was killed before it was measured"
        assert "died" in record.reason
        assert "log's end:" in record.reason


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harm", ["model", "command"])
def test_its_refusal_to_start_is_its_own(house: House, name: str, harm: str, tmp_path: Path) -> None:
    """Without a readable model, or with a command that fails at once: FAILED, with its log's end; the bystander is measured."""
    bystander = bystander_of(name)
    harmed = with_garbage_for_a_model(SPECS[name], tmp_path) if harm == "model" else with_broken_command(SPECS[name])
    cells = [cell for spec in (SPECS[name], SPECS[bystander]) for cell in cells_of(spec)]
    with leaving_nothing(house) as look, house.fleet(harmed, SPECS[bystander]) as fleet:
        campaigns, records = house.campaigns(fleet, cells, lambda progress: None)
        campaigns.result(cells[0])
        look(fleet)
        refuse_unavailable(fleet.absent[name])
    assert_only_failure(records, name, bystander)
    for record in of(records, name):
        assert record.exchanges == 0
        log = record.reason.partition("log's end:")[2].partition("last error:")[0]
        assert log.strip() not in ("", "(nothing)"), record.reason
        assert "gave no prediction within" in record.reason or "after its start" in record.reason


def test_there_is_something_to_test() -> None:
    """The folders are found, and the bystanders are among them."""
    assert set(BYSTANDERS) < set(NAMES)


def bystander_of(name: str) -> str:
    """Another backend, which nothing happens to."""
    return next(other for other in BYSTANDERS if other != name)


def cells_of(spec: BackendSpec) -> list[Cell]:
    """One for each endpoint, single images."""
    return [Cell(spec.backend, endpoint, SINGLE) for endpoint in spec.backend.endpoints]


def with_garbage_for_a_model(spec: BackendSpec, folder: Path) -> BackendSpec:
    """The same backend, told of a model, or of an export, which is none; it need not wait its full time for it."""
    for name in ("model.onnx", "model.pt"):
        (folder / name).write_bytes(b"this is no model")
    assert spec.process is not None

    def harmed(text: str) -> str:
        return re.sub(r"\{export\[[^]]*\]\}", str(folder), text.replace("{model}", str(folder / "model.onnx")))

    env = {name: harmed(value) for name, value in spec.process.env.items()}
    command = tuple(harmed(word) for word in spec.process.command)
    process = replace(spec.process, env={"MODEL_PATH": str(folder / "model.onnx"), **env}, command=command)
    return replace(spec, process=process, ready_timeout_s=min(spec.ready_timeout_s, 45.0))


def with_broken_command(spec: BackendSpec) -> BackendSpec:
    """The same backend with an interpreter that dies of its environment before the first line of the server."""
    assert spec.process is not None
    env = {**spec.process.env, "PYTHONHOME": "/nowhere"}
    return replace(spec, process=replace(spec.process, env=env))


def answer(endpoint: Endpoint, payload: Payload) -> FloatArray:
    """What an endpoint says."""
    transport = open_connection(endpoint)
    try:
        transport.connect()
        return codec(endpoint.protocol).decode(transport.exchange(transport.prepare(payload)))
    finally:
        transport.close()


def conversation(house: House, endpoint: Endpoint, place: int) -> list[str]:
    """One client's requests over one connection, and what was wrong with their answers."""
    wire, problems = codec(endpoint.protocol), []
    payloads = house.factory.payload_set(endpoint, (1, 1, 3, 128)[place % 4]).payloads
    transport = open_connection(endpoint)
    try:
        for turn in range(TURNS):
            payload = payloads[(7 * place + turn) % len(payloads)]
            expected = house.predict(house.images[list(payload.indices)])
            transport.ensure_connected()
            try:
                scores = wire.decode(transport.exchange(transport.prepare(payload)))
            except ErrorStatus as error:
                problems.append(f"client {place}: {error}")
            else:
                if not np.allclose(scores, expected, atol=MAX_ABS_DIFF):
                    problems.append(f"client {place}: expected its own scores, seen others")
    finally:
        transport.close()
    return problems


def of(records: Records, name: str) -> list[Record]:
    """The rows of a backend."""
    found = [record for record in records.values() if record.backend == name]
    assert len(found) == len(SPECS[name].backend.endpoints)
    return found


def assert_only_failure(records: Records, name: str, bystander: str) -> None:
    """All of its rows are FAILED, with a reason; the other's are measured, right and believed."""
    for record in of(records, name):
        assert record.verdict is Verdict.FAILED, record.reason
        assert record.reason
    for record in of(records, bystander):
        assert record.verdict not in (Verdict.FAILED, Verdict.WRONG_ANSWERS, Verdict.NOT_MEASURED), record.reason
        assert (record.measured_s or 0.0) >= MEASURING_S, "it was given less time than it would have had"
        assert record.errors == 0
        assert record.agreement == 1.0


@dataclass(slots=True)
class Traces:
    """What processes of ours were seen to hold: themselves (with their start), listening ports, files in shared places."""

    processes: dict[int, float] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)

    def look(self, pids: Iterable[int]) -> None:
        """Note what they hold now. By holder, not by comparing before and after: other runs live on this machine too."""
        for pid in pids:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process = psutil.Process(pid)
                self.processes[pid] = process.create_time()
                connections = process.net_connections("all")
                self.ports |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
                names = {str(each.laddr) for each in connections if each.family == socket.AF_UNIX}
                names |= {file.path for file in process.open_files()}
                names |= {str(mapped.path) for mapped in process.memory_maps(grouped=True)}
                self.files |= {Path(name) for name in names if name.startswith(SHARED_PLACES)}

    def left(self) -> list[str]:
        """What of it is still there."""
        return [
            *(f"process {pid}" for pid, started in self.processes.items() if _lives(pid, started)),
            *(f"port {port}" for port in sorted(self.ports & _listening())),
            *(f"file {path}" for path in sorted(self.files) if path.exists()),
        ]


@contextmanager
def leaving_nothing(house: House) -> Iterator[Callable[[LocalFleet], None]]:
    """Hands out a look at what runs; in the end nothing of what was seen is left, nor anything that bears our mark."""
    run, traces = house.settings.run, Traces()

    def look(fleet: LocalFleet) -> None:
        servers = [server.pid for server in fleet.running.values() if isinstance(server, ProcessServer)]
        traces.look(with_relatives([*servers, *marked(run.variables)]))

    yield look
    assert traces.processes, "nothing was looked at"
    assert traces.left() == []
    assert marked(run.variables) == []
    assert list(Path(tempfile.gettempdir()).glob(f"{run_folder_prefix(run)}*")) == []


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _listening() -> set[int]:
    listeners = [each.laddr for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    return {address.port for address in listeners if address}
