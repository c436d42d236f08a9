"""Archives, models and backend.toml files, hostile ones included, and the places where prepared things are kept."""

import gzip
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from fixtures.dataset.archive import OFFICIAL_TEST
from tests.bad_input.case import BAD_INPUT, NOT_FILES, Case, Write, fifo, file, folder, head, link, npz, sparse
from tests.fixtures.archive_builder import MAPPING, MAPPING_TEXT, images_name, labels_name
from tests.fixtures.models import model_of
from tests.fixtures.specs.test_spec import FULL

DEEP = 100_000
_INPUTS = ("--inputs", "expected")

Array = npt.NDArray[Any]
_WEIGHTS = np.ones((784, 10), np.float32)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _archives()
    yield from _models()
    yield from _inputs()
    yield from _backends()
    yield from _caches()
    yield from _web()


def _archives() -> Iterator[Case]:
    """Each is given by option; none is unpacked to the disk, and none inflated beyond what the split holds."""
    rows = OFFICIAL_TEST.rows
    images = struct.pack(">4I", 0x0803, rows, 28, 28)
    labels = gzip.compress(struct.pack(">2I", 0x0801, rows) + bytes(rows))
    good = {MAPPING: MAPPING_TEXT, images_name(): gzip.compress(images), labels_name(): labels}
    members: dict[str, Mapping[str, bytes]] = {
        "no member": {},
        "other members": {"hello.txt": b"no images"},
        "members above the folder": {f"../{name}": content for name, content in good.items()},
        "members with absolute names": {f"/etc/{name}": content for name, content in good.items()},
        "names of markup": {"<script>alert(1)</script>": b"", "\x1b[2J": b"", "\u202egpj": b""},
        "wrong magic": {**good, labels_name(): gzip.compress(struct.pack(">2I", 0x0901, rows) + bytes(rows))},
        "other count": {**good, labels_name(): gzip.compress(struct.pack(">2I", 0x0801, 2**31) + bytes(rows))},
        "cut gzip": {**good, labels_name(): labels[:-20]},
        "no gzip": {**good, labels_name(): b"GIF89a" * 10},
        "other labels": good,
        "gzip bomb": {**good, labels_name(): gzip.compress(struct.pack(">2I", 0x0801, rows) + bytes(30_000_000))},
        "other mapping": {**good, MAPPING: b"0 48\n"},
        "huge mapping": {**good, MAPPING: MAPPING_TEXT * 10_000},
    }

    def archive(content: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Write:
        def write(here: Path) -> None:
            with zipfile.ZipFile(here / "emnist.zip", "w", compression) as packed:
                for name, data in content.items():
                    packed.writestr(name, data)

        return write

    writes = {name: archive(content) for name, content in members.items()}
    writes["zip bomb"] = archive({**good, labels_name(): bytes(30_000_000)}, zipfile.ZIP_DEFLATED)
    writes["bzip2"] = archive(good, zipfile.ZIP_BZIP2)
    writes["lzma"] = archive(good, zipfile.ZIP_LZMA)
    writes["no zip"] = file("emnist.zip", "no zip at all")
    writes["empty"] = file("emnist.zip", b"")
    writes["end of a zip only"] = file("emnist.zip", b"PK\x05\x06" + bytes(18))
    writes["a hundred gigabytes"] = sparse("emnist.zip", 10**11)
    writes["a gigabyte of nothing"] = sparse("emnist.zip", 10**9)
    writes["what the kernel never ends"] = link("emnist.zip", "/proc/kmsg")
    writes["what cannot be read"] = link("emnist.zip", "/proc/self/mem")

    def encrypted(here: Path) -> None:
        archive(good)(here)
        content = bytearray((here / "emnist.zip").read_bytes())
        for mark, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            start = content.find(mark)
            while start >= 0:
                content[start + at] |= 1
                start = content.find(mark, start + 4)
        (here / "emnist.zip").write_bytes(content)

    writes["encrypted"] = encrypted
    for name, write in writes.items():
        words = ("emnist.zip: expected", "seen", "official EMNIST gzip.zip")
        yield Case(f"archive: {name}", "pytest", ("--benchmark-only", "--emnist=emnist.zip"), words, write=write)


def _graph(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Array], output: Sequence[int | str] = ("N", "K")
) -> onnx.ModelProto:
    return model_of(nodes, {"x": (TensorProto.FLOAT, ["N", 784])}, {"p": (TensorProto.FLOAT, list(output))}, constants)


def _product(weights: Array | None = None) -> onnx.ModelProto:
    """A classifier that would be good, with other weights."""
    return _graph([helper.make_node("MatMul", ["x", "w"], ["p"])], {"w": _WEIGHTS if weights is None else weights})


def _external(location: str) -> onnx.ModelProto:
    model = _product()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value=location))
    return model


def _declared(shape: Sequence[int]) -> onnx.ModelProto:
    """Weights that say that they are larger than they are."""
    model = _product()
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(shape)
    return model


def _cycle() -> onnx.ModelProto:
    return _graph([helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])], {})


def _huge(elements: Sequence[int], folded: bool) -> onnx.ModelProto:
    """A few bytes that ask for terabytes: when it is loaded (constants are folded), or when it is asked."""
    if folded:
        nodes = [
            helper.make_node("ConstantOfShape", ["s"], ["c"]),
            helper.make_node("ReduceSum", ["c"], ["r"], keepdims=0),
            helper.make_node("Add", ["x", "r"], ["p"]),
        ]
    else:
        nodes = [
            helper.make_node("ReduceSum", ["x"], ["r"], keepdims=0),
            helper.make_node("Expand", ["r", "s"], ["c"]),
            helper.make_node("ReduceSum", ["c"], ["q"], keepdims=0),
            helper.make_node("Add", ["x", "q"], ["p"]),
        ]
    return _graph(nodes, {"s": np.array(elements, np.int64)})


def _endless() -> onnx.ModelProto:
    """A loop that would take years."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["before"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    return _graph(
        [helper.make_node("Loop", ["n", "yes", "x"], ["p"], body=body)],
        {"n": np.array(2**62, np.int64), "yes": np.array(True)},
    )


def _models() -> Iterator[Case]:
    content = _product().SerializeToString()
    models: dict[str, bytes] = {
        "empty": b"",
        "text": b"no onnx at all",
        "markup": b"<script>alert(1)</script>",
        "zip": b"PK\x03\x04" + bytes(100),
        "noise": bytes(range(256)) * 40,
        "cut": content[: len(content) // 2],
        "weights above its folder": _external("../../../../etc/passwd").SerializeToString(),
        "weights at an absolute path": _external("/etc/passwd").SerializeToString(),
        "weights on a device": _external("/dev/zero").SerializeToString(),
        "weights beside it": _external("weights.bin").SerializeToString(),
        "weights larger than they are": _declared([10**6, 10**6]).SerializeToString(),
        "weights of a negative size": _declared([-784, 10]).SerializeToString(),
        "weights of an overflowing size": _declared([2**62, 2**62]).SerializeToString(),
        "cycle": _cycle().SerializeToString(),
        "a terabyte when loaded": _huge([10**6, 10**6], folded=True).SerializeToString(),
        "a terabyte when asked": _huge([10**6, 10**6], folded=False).SerializeToString(),
        "more than there is when asked": _huge([2**62], folded=False).SerializeToString(),
        "a loop of years": _endless().SerializeToString(),
        "unknown operator": _graph([helper.make_node("Frobnicate", ["x"], ["p"])], {}).SerializeToString(),
        "operator of another domain": _graph([helper.make_node("Run", ["x"], ["p"], domain="evil.so")], {}).SerializeToString(),
        "no node": _graph([], {}).SerializeToString(),
        "one class": _product(np.ones((784, 1), np.float32)).SerializeToString(),
        "fixed output": _graph([helper.make_node("MatMul", ["w", "w"], ["p"])], {"w": np.ones((784, 784))}).SerializeToString(),
        "infinite scores": _product(np.full((784, 10), 3e38, np.float32)).SerializeToString(),
    }
    writes = {name: file("mine.onnx", content) for name, content in models.items()}
    writes["a hundred gigabytes"] = sparse("mine.onnx", 10**11)
    writes["what the kernel never ends"] = link("mine.onnx", "/proc/kmsg")
    writes["what cannot be read"] = link("mine.onnx", "/proc/self/mem")
    for name, write in writes.items():
        words = ("mine.onnx: expected", "seen")
        yield Case(f"model: {name}", "pytest", ("--benchmark-only", "--model=mine.onnx"), words, write=write)
        yield Case(f"web model: {name}", "web", ("mine.onnx",), ("error: ", *words), BAD_INPUT, write)
    yield from _metrics(content)


def _metrics(model: bytes) -> Iterator[Case]:
    metrics: dict[str, Write] = {
        "half": file("mine.metrics.json", "{"),
        "list": file("mine.metrics.json", "[]"),
        "of another model": file("mine.metrics.json", '{"model_sha256": "00"}'),
        "deep": file("mine.metrics.json", "[" * DEEP),
        "not utf-8": file("mine.metrics.json", b"\xff\xfe"),
        "empty": file("mine.metrics.json", ""),
        "a hundred gigabytes": sparse("mine.metrics.json", 10**11),
    }
    for name, write in metrics.items():

        def both(here: Path, write: Write = write) -> None:
            write(here)
            (here / "mine.onnx").write_bytes(model)

        words = ("metrics ", "mine.metrics.json: expected")
        yield Case(f"metrics: {name}", "pytest", ("--benchmark-only", "--model=mine.onnx"), words, write=both)


EDITS: Mapping[str, tuple[str, str, str]] = {
    "no summary": ("summary =", "# summary =", "summary: is missing"),
    "empty summary": ('summary = "A server"', 'summary = ""', "summary: expected"),
    "number for summary": ('summary = "A server"', "summary = 3", "summary: expected"),
    "nul in summary": ('summary = "A server"', 'summary = "\\u0000"', "summary: expected"),
    "escape in summary": ('summary = "A server"', 'summary = "\\u001b[2J"', "summary: expected"),
    "list for runtime": ('runtime = "onnxruntime"', "runtime = []", "runtime: expected"),
    "text for sets": ('sets = ["default", "light"]', 'sets = "default"', "sets: expected"),
    "numbers in sets": ('sets = ["default", "light"]', "sets = [1]", "sets: expected"),
    "comma in sets": ('sets = ["default", "light"]', 'sets = ["a,b"]', "sets: expected"),
    "markup in sets": ('sets = ["default", "light"]', 'sets = ["<script>"]', "sets: expected"),
    "all as a set": ('sets = ["default", "light"]', 'sets = ["all"]', "is taken"),
    "shared above": ('shared = ["serving"]', 'shared = ["../../etc"]', "shared: there is no folder"),
    "shared absolute": ('shared = ["serving"]', 'shared = ["/etc"]', "shared: there is no folder"),
    "needs above": ('needs = ["nnef"]', 'needs = ["../x"]', "needs: there is no exporter"),
    "command a text": ("command = [", "command = 3 # [", "command: expected"),
    "nul in command": ('"-m", "server"', '"-m", "ser\\u0000ver"', "command: expected"),
    "attribute in command": ("{model}", "{model.__class__}", "cannot be filled in"),
    "open brace in command": ("{model}", "{", "cannot be filled in"),
    "huge width in command": ("{model}", "{model:>99999999999999999999}", "cannot be filled in"),
    "env a number": ('THREADS = "1"', "THREADS = 1", "env.THREADS: expected"),
    "env with an equals sign": ('THREADS = "1"', '"A=B" = "1"', "env.A=B: expected"),
    "env with nul": ('THREADS = "1"', 'THREADS = "\\u0000"', "env.THREADS: expected"),
    "env with nul in its name": ('THREADS = "1"', '"A\\u0000" = "1"', "expected"),
    "moving image": ("build = true", 'image = "repo:latest"', "container.image: expected"),
    "image and build": ("build = true", 'build = true\nimage = "r:1"', "container.image: expected"),
    "build a text": ("build = true", 'build = "yes"', "container.build: expected"),
    "root": ("build = true", 'build = true\nuser = "0:0"', "container.user: expected"),
    "root by zeros": ("build = true", 'build = true\nuser = "00"', "container.user: expected"),
    "unknown key": ("build = true", "build = true\nprivileged = true", "container.privileged: unknown key"),
    "requirements above": ('"requirements.txt"', '"../../../etc/passwd"', "process.requirements: "),
    "requirements absolute": ('"requirements.txt"', '"/etc/passwd"', "process.requirements: "),
    "python": ('"requirements.txt"', '"requirements.txt"\npython = "3.x"', "process.python: expected versions"),
    "requirements missing": ('"requirements.txt"', '"none.txt"', "process.requirements: there is no file"),
    "timeout nan": ("timeout_s = 5", "timeout_s = nan", "ready.timeout_s: expected"),
    "timeout inf": ("timeout_s = 5", "timeout_s = inf", "ready.timeout_s: expected"),
    "timeout zero": ("timeout_s = 5", "timeout_s = 0", "ready.timeout_s: expected"),
    "timeout huge": ("timeout_s = 5", f"timeout_s = {'9' * 400}", "ready.timeout_s: expected"),
    "timeout too many digits": ("timeout_s = 5", f"timeout_s = {'9' * 5000}", "TOML"),
    "timeout true": ("timeout_s = 5", "timeout_s = true", "ready.timeout_s: expected"),
    "timeout a date": ("timeout_s = 5", "timeout_s = 2026-01-01", "ready.timeout_s: expected"),
    "port zero": ("port = 8001", "port = 0", "endpoint[1].port: expected"),
    "port too large": ("port = 8001", "port = 65536", "endpoint[1].port: expected"),
    "port a text": ("port = 8001", 'port = "8001"', "endpoint[1].port: expected"),
    "path relative": ('path = "/batch', 'path = "batch', "endpoint[0].path: expected"),
    "path with a second line": ('path = "/batch', 'path = "/ HTTP/1.1\\r\\nX-Evil: 1', "endpoint[0].path: expected"),
    "path with a blank": ('path = "/batch', 'path = "/a b', "endpoint[0].path: expected"),
    "endpoint name of markup": ('name = "grpc"', 'name = "<b>"', "endpoint[1].name: expected"),
    "endpoint name with a slash": ('name = "grpc"', 'name = "../x"', "endpoint[1].name: expected"),
    "two of a name": ('name = "grpc"', 'name = "rest"', "endpoint: two endpoints"),
    "unknown protocol": ('protocol = "grpc"', 'protocol = "smoke-signals"', "smoke-signals"),
    "protocol with a path": ('protocol = "grpc"', 'protocol = "../../x"', "unknown protocol"),
    "no endpoint": ("[[endpoint]]", "[[endpoints]]", "endpoints: unknown key"),
    "unknown role": ('runtime = "onnxruntime"', 'runtime = "x"\nrole = "judge"', "role: expected"),
    "twin": ('runtime = "onnxruntime"', 'runtime = "x"\nrole = "twin"', "role: expected"),
    "no toml": ("summary =", "summary", "TOML"),
    "a key twice": ('runtime = "onnxruntime"', 'runtime = "a"\nruntime = "b"', "TOML"),
}  # fmt: skip
"""By name, what is replaced in a good backend.toml, by what, and what must be said of it."""


def _inputs() -> Iterator[Case]:
    """What --inputs names: nothing that is pickled, claims what it does not hold, or inflates without end."""
    rows = np.ones((128, 784), np.float32)
    good = npz(inputs=rows)
    contents = {
        "empty": b"",
        "no zip": b"hello",
        "cut": good[:-30],
        "no array": npz(),
        "other names": npz(pictures=rows),
        "two names for one": npz(inputs=rows, images=rows),
        "further names": npz(inputs=rows, secret=rows),
        "objects": npz(inputs=head("(3, 784)", "'|O'") + b"cos\nsystem\n"),
        "texts": npz(inputs=np.full((128, 784), "a")),
        "double": npz(inputs=rows.astype(np.float64) + 1e-12),
        "not finite": npz(inputs=np.full_like(rows, np.nan)),
        "too few": npz(inputs=rows[:5]),
        "one dimension": npz(inputs=rows[0]),
        "no item": npz(inputs=rows[:0]),
        "other width": npz(inputs=rows[:, :5]),
        "huge shape": npz(inputs=head("(10000000000, 784)", "'<f4'")),
        "negative shape": npz(inputs=head("(-1, 784)", "'<f4'")),
        "no head": npz(inputs=b"NUMPY?"),
        "head that is code": npz(inputs=head("(__import__('os').getpid(),)", "'<f4'")),
        "labels of another length": npz(inputs=rows, labels=np.zeros(3, np.int64)),
        "labels below zero": npz(inputs=rows, labels=np.full(128, -1)),
        "labels beyond the model": npz(inputs=rows, labels=np.full(128, 62)),
        "names that are pickled": npz(inputs=rows, class_names=head("(62,)", "'|O'")),
    }
    entries = {name: file("my.npz", content) for name, content in contents.items()}
    entries["bomb"] = _bomb("inputs", head("(10000000, 784)", "'<f4'"))
    entries["bomb beside"] = _bomb("labels", head("(40000000,)", "'<i8'"), inputs=rows)
    for name, write in entries.items():
        yield Case(f"--inputs: {name}", "pytest", ("--benchmark-only", "--inputs=my.npz"), _INPUTS, write=write)
    both = ("--benchmark-only", "--inputs=my.npz", "--emnist=my.npz")
    yield Case("--inputs: beside --emnist", "pytest", both, (*_INPUTS, "no --emnist"), write=file("my.npz", good))
    both = ("--benchmark-only", "--inputs=my.npz", "--random-inputs=128")
    yield Case("--inputs: beside --random-inputs", "pytest", both, (*_INPUTS, "no --random-inputs"), write=file("my.npz", good))
    named = ("--benchmark-only", "--inputs=my.npz", "--scores-output=labels")
    words = ("expected --scores-output to name an output", "seen 'labels'; its outputs are scores")
    yield Case("--scores-output: unknown", "pytest", named, words, write=file("my.npz", good))
    few = ("--benchmark-only", "--random-inputs=127")
    yield Case("--random-inputs: too few", "pytest", few, ("--random-inputs 127", "at least 128 items"))


def _bomb(name: str, begin: bytes, **arrays: Array) -> Write:
    """Made when it is needed: 320 MB of nothing, a few hundred kilobytes on the disk, of an array that may say it is larger."""
    return lambda here: (here / "my.npz").write_bytes(npz(**arrays, **{name: begin + bytes(320_000_000)}))


def _backends() -> Iterator[Case]:
    manifest = "root/backends/server/backend.toml"
    writes: dict[str, tuple[Write, str]] = {
        "empty": (file(manifest, ""), "summary"),
        "deep": (file(manifest, "a = " + "[" * DEEP), "TOML"),
        "not utf-8": (file(manifest, b"\xff\xfe"), "TOML"),
        "nul bytes": (file(manifest, b"\0" * 100), "TOML"),
        "folder": (folder(manifest), "cannot be read"),
        "link to itself": (_beside(link(manifest, "backend.toml")), "no backend in"),
        "fifo": (_beside(fifo(manifest)), "cannot be read"),
        "endless": (_beside(link(manifest, "/dev/zero")), "cannot be read"),
        "a hundred gigabytes": (_beside(sparse(manifest, 10**11)), "cannot be read"),
        "folder of another name": (file("root/backends/Ser ver/backend.toml", FULL), "lower case"),
        "no backend": (folder("root/backends"), "no backend in"),
    }
    for name, (write, word) in writes.items():
        yield Case(f"backend.toml: {name}", "backends", ("--benchmark-only",), (word,), write=write)
    for name, (old, new, word) in EDITS.items():
        assert old in FULL, old
        yield Case(f"backend.toml: {name}", "backends", ("--benchmark-only", "--backend=all"), (word,), write=_edited(old, new))


def _beside(write: Write) -> Write:
    def both(here: Path) -> None:
        (here / "root/backends/server").mkdir(parents=True)
        write(here)

    return both


def _edited(old: str, new: str) -> Write:
    def write(here: Path) -> None:
        text = FULL.replace('protocol = "grpc"', 'protocol = "v2-grpc"') if "protocol" not in old else FULL
        for name in ("backends/server", "serving", "exporters/nnef"):
            (here / "root" / name).mkdir(parents=True)
        (here / "root/backends/server/requirements.txt").write_text("")
        (here / "root/exporters/nnef/export.py").write_text("")
        (here / "root/backends/server/backend.toml").write_text(text.replace(old, new, 1))

    return write


def _caches() -> Iterator[Case]:
    """Where environments, exports and locks are kept."""
    places = {"file": "{here}/file", "device": "/dev/null", "proc": "/proc/self/none", "name too long": "/" + "x" * 5000}
    for name, place in places.items():
        for variable in ("XDG_CACHE_HOME", "SERVEBENCH_CACHE"):
            yield Case(
                f"{variable}: {name}",
                "pytest",
                ("--benchmark-only", "--engine=process"),
                ("cache ", "expected a folder that can be written", "SERVEBENCH_CACHE"),
                write=file("file", ""),
                environment={variable: place},
            )
    environment = {"SERVEBENCH_CACHE": "~no-such-user/x"}
    yield Case(
        "SERVEBENCH_CACHE: unknown home", "pytest", ("--benchmark-only",), ("SERVEBENCH_CACHE",), environment=environment
    )


def _web() -> Iterator[Case]:
    for name, (path, write) in NOT_FILES.items():
        yield Case(f"web: {name}", "web", (path,), ("python -m tools.web: error: ", "expected"), BAD_INPUT, write)
    for port in ("0", "-1", "65536", "abc", "9" * 5000, "1.5", "nan", "²", ""):
        yield Case(f"web --port: {port[:10]!r}", "web", (f"--port={port}",), ("--port",), BAD_INPUT)
    yield Case("web: two models", "web", ("a", "b"), ("unrecognized arguments: b",), BAD_INPUT)
