"""A server that somebody else runs: V1 and V2 over REST and V2 over gRPC, with TLS and a token if wanted; any model in ONNX.

What it says wrongly is set on it while it runs: another order, name or datatype of the answer, one item in many.
`python -m tests.standins.elsewhere MODEL HOST` serves in a process of its own, prints its ports and ends with its input.
"""

import contextlib
import json
import ssl
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import onnxruntime

from bench.protocols import _inference_pb2 as messages
from tests.standins.serving import KeptConnection, in_a_thread

Scores = npt.NDArray[np.float32]
SERVICE = "/inference.GRPCInferenceService"


@dataclass
class Elsewhere:
    """What it serves and how; `spoil` alters the scores [n, classes] of the rows asked [n, width]. Ports once it runs."""

    model: Path
    token: str = ""
    spoil: Callable[[Scores, Scores], Scores] = lambda rows, scores: scores
    output: str = "scores"
    datatype: str = "FP32"
    width: int = 784
    rest_port: int = 0
    grpc_port: int = 0
    host: str = "127.0.0.1"
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._session = onnxruntime.InferenceSession(self.model)

    def answer(self, rows: Scores) -> Scores:
        """The scores of rows [n, width], as it tells them."""
        scores: Scores = self._session.run(None, {self._session.get_inputs()[0].name: rows})[0]
        return self.spoil(rows, scores)

    def may_ask(self, authorization: str | None) -> bool:
        """Whether the token is right."""
        return not self.token or authorization == f"Bearer {self.token}"


@contextlib.contextmanager
def elsewhere(served: Elsewhere, tls: tuple[ssl.SSLContext, grpc.ServerCredentials] | None = None) -> Iterator[Elsewhere]:
    """Serve it on two ports."""
    rest = _Rest(served)
    if tls is not None:
        rest.socket = tls[0].wrap_socket(rest.socket, server_side=True)
    service = grpc.server(ThreadPoolExecutor(2), handlers=[_Calls(served)])
    served.rest_port = rest.server_port
    address = f"{served.host}:0"
    served.grpc_port = service.add_secure_port(address, tls[1]) if tls else service.add_insecure_port(address)
    service.start()
    try:
        with in_a_thread(rest):
            yield served
    finally:
        service.stop(grace=None).wait()


class _Rest(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, served: Elsewhere) -> None:
        super().__init__((served.host, 0), _Handler)
        self.served = served

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that trusts nobody hangs up; that is no error of ours."""


class _Handler(KeptConnection):
    server: _Rest

    def respond(self, body: bytes) -> None:
        served = self.server.served
        served.asked.append(f"{self.command} {self.path}")
        if not served.may_ask(self.headers.get("Authorization")):
            self._send(401, {"error": f"not with {self.headers.get('Authorization')}"})
            return
        said = _said(served, f"{self.command} {self.path}", body)
        self._send(404 if said is None else 200, said or {"error": "not found"})

    def _send(self, status: int, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _said(served: Elsewhere, asked: str, body: bytes) -> Any:
    tensor = {"name": served.output, "datatype": served.datatype}
    if asked == "GET /v2/health/ready":
        return {"ready": True}
    if asked == "GET /v2/models/emnist":
        return _metadata(served)
    if asked == "POST /v2/models/emnist/infer":
        (given,) = json.loads(body)["inputs"]
        scores = served.answer(np.array(given["data"], dtype=np.float32).reshape(given["shape"]))
        return {"outputs": [{**tensor, "shape": list(scores.shape), "data": scores.ravel().tolist()}]}
    if asked == "GET /v1/models/emnist":
        return {"model_version_status": [{"version": "7", "state": "AVAILABLE"}]}
    if asked == "POST /v1/models/emnist:predict":
        rows = np.array(json.loads(body)["instances"], dtype=np.float32)
        return {"predictions": served.answer(rows).tolist()}
    return None


def _metadata(served: Elsewhere) -> dict[str, Any]:
    inputs = [{"name": "images", "datatype": "FP32", "shape": [-1, served.width]}]
    outputs = [{"name": "scores", "datatype": "FP32", "shape": [-1, 62]}]
    return {"name": "emnist", "versions": ["7"], "platform": "elsewhere", "inputs": inputs, "outputs": outputs}


class _Calls(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    def __init__(self, served: Elsewhere) -> None:
        self._served = served

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:  # type: ignore[type-arg]
        self._served.asked.append(details.method)
        call = {f"{SERVICE}/ModelInfer": self._infer, f"{SERVICE}/ModelMetadata": self._metadata}.get(details.method)
        if call is None:
            return None
        sent = {key: str(value) for key, value in details.invocation_metadata}
        may = self._served.may_ask(sent.get("authorization"))
        return grpc.unary_unary_rpc_method_handler(call if may else _refuse)

    def _metadata(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        if messages.ModelMetadataRequest.FromString(body).name != "emnist":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        return messages.ModelMetadataResponse(**_metadata(self._served)).SerializeToString()

    def _infer(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        request = messages.ModelInferRequest.FromString(body)
        rows = np.frombuffer(request.raw_input_contents[0], dtype="<f4").reshape(list(request.inputs[0].shape))
        scores = self._served.answer(rows)
        output = messages.ModelInferResponse.InferOutputTensor(
            name=self._served.output, datatype=self._served.datatype, shape=scores.shape
        )
        answer = messages.ModelInferResponse(model_name="emnist", outputs=[output], raw_output_contents=[scores.tobytes()])
        return answer.SerializeToString()


def _refuse(body: bytes, context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "not with this token")


def main(model: Path, host: str) -> None:
    """Serve until the input ends."""
    with elsewhere(Elsewhere(model, host=host)) as served:
        print(json.dumps({"rest": served.rest_port, "grpc": served.grpc_port}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
