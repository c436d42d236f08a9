"""How much of h2load's throughput does our gRPC transport reach? `python -m tools.compare_h2load`; needs nghttp2-client.

The null backend answers; h2load (one connection, one stream at a time) and our transport send the same calls to it, turn and
turn about: a single image's request and answer of `v2-grpc`, and those of 128. The last line is our HTTP transport at the
same server, with the same image as raw float32.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import requests

from bench.contract.tensors import FREE, Signature, TensorSpec
from bench.contract.wire import Endpoint, Payload
from bench.protocols import codec
from bench.transports.grpc import GrpcTransport
from bench.transports.http import HttpTransport
from tools.turns import answering, apart, compare, free_port, options_of, our_turn

NULL = Path(__file__).parents[1] / "fixtures" / "backends" / "null"
PATH = "/inference.GRPCInferenceService/ModelInfer"
WIDTH, CLASSES = 784, 62


def main() -> None:
    """Print the comparison; exit code 2 with one line if h2load is missing."""
    options = options_of("compare_h2load", __doc__, ("h2load",), "nghttp2-client")
    for batch_size in (1, 128):
        port = free_port()
        command = [sys.executable, "server.py", "--port", str(port)]
        with apart(answering(command, port, cwd=NULL, stderr=subprocess.DEVNULL)):
            _compare(port, batch_size, options.turns, options.turn_s)


def _compare(port: int, batch_size: int, turns: int, turn_s: int) -> None:
    rng = np.random.default_rng(1)
    images = rng.random((batch_size, WIDTH), dtype=np.float32)
    scores = rng.random((batch_size, CLASSES), dtype=np.float32)
    rows = (TensorSpec("images", "float32", (FREE, WIDTH)), TensorSpec("scores", "float32", (FREE, CLASSES)))
    signature = Signature(rows[:1], rows[1:], scores="scores")
    grpc, raw = codec("v2-grpc", signature), codec("raw", signature)
    body, content_type, headers = grpc.encode({"images": images})
    requests.put(f"http://127.0.0.1:{port}{PATH}", data=grpc.encode_answer({"scores": scores}), timeout=10).raise_for_status()
    transport = GrpcTransport(Endpoint("null", "grpc", "v2-grpc", PATH, port, "127.0.0.1"))
    request = transport.prepare(Payload(body, content_type, (0,), headers))
    with tempfile.NamedTemporaryFile() as file:
        file.write(request.message)
        file.flush()
        theirs = ("h2load", lambda: _h2load(port, file.name, turn_s))
        compare(f"gRPC, batch of {batch_size}", transport, request, theirs, turns, turn_s)
    requests.put(f"http://127.0.0.1:{port}/raw", data=raw.encode_answer({"scores": scores}), timeout=10).raise_for_status()
    http = HttpTransport(Endpoint("null", "raw", "raw", "/raw", port, "127.0.0.1"))
    body, content_type, headers = raw.encode({"images": images})
    prepared = http.prepare(Payload(body, content_type, (0,), headers))
    ours = (GrpcTransport(Endpoint("null", "grpc", "v2-grpc", PATH, port, "127.0.0.1")), request)
    ours[0].connect()
    compare(f"HTTP, batch of {batch_size}", http, prepared, ("our gRPC", lambda: our_turn(*ours, turn_s)[1]), turns, turn_s)


def _h2load(port: int, file: str, turn_s: int) -> float:
    command = ["h2load", "-c1", "-m1", f"-D{turn_s}", f"-d{file}", "-Hcontent-type: application/grpc", "-Hte: trailers"]
    output = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{PATH}"], capture_output=True, text=True, check=True, timeout=turn_s + 30
    ).stdout
    rate, failed = re.search(r"finished in [^,]*, ([0-9.]+) req/s", output), re.search(r"(\d+) failed, (\d+) errored", output)
    if rate is None or failed is None or failed.groups() != ("0", "0"):
        raise RuntimeError(f"compare_h2load: expected h2load to print its rate and no failure, seen:\n{output}")
    return float(rate[1])


if __name__ == "__main__":
    main()
