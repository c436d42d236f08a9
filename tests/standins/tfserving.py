"""A stand-in of TensorFlow Serving around any predictor: what our codecs and readiness ask by REST and gRPC, as documented."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from bench.contract.tensors import FloatArray
from bench.protocols import _tfserving_pb2 as messages
from tests.standins.serving import KeptConnection, Refusal, RestServer, Served, on_two_ports

METHOD = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
SIGNATURES = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
INPUT, OUTPUT = "images", "scores"
CLASSES = 62
_PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<asked>:predict|/metadata)?")


@dataclass(slots=True)
class ServedModel:
    """One model at one version; `available` False is a model that still loads; `tensor_content` as by the server's flag."""

    predict: Callable[[FloatArray], FloatArray]
    width: int
    name: str = "emnist"
    version: int = 1
    available: bool = True
    tensor_content: bool = False

    def run(self, name: str, version: int | None, images: FloatArray) -> FloatArray:
        """The scores; raises Refusal unless this is the model and version, it is loaded, and TensorFlow can multiply."""
        if name != self.name or version not in (None, self.version) or not self.available:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")
        if images.shape[1] != self.width:
            sizes = f"In[0]: [{','.join(map(str, images.shape))}], In[1]: [{self.width},512]"
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Matrix size-incompatible: {sizes}\n\t [[{{{{node MatMul}}}}]]")
        return self.predict(images)


def tfserving(model: ServedModel, rest_port: int = 0, grpc_port: int = 0) -> AbstractContextManager[Served]:
    """Serve `model` on two ports of the loopback."""
    calls = {METHOD: partial(_predict, model), METADATA: partial(_metadata, model)}
    return on_two_ports(RestServer(_Handler, model, rest_port), calls, grpc_port)


class _Handler(KeptConnection):
    server: RestServer

    def respond(self, body: bytes) -> None:
        if not self.path.startswith("/v1/"):
            self.send(404, b"", "text/html")
            return
        try:
            text, status = json.dumps(self._answer(body), indent=4), 200
        except Refusal as error:
            text, status = f'{{ "error": {json.dumps(error.message)} }}', error.http_status
        self.send(status, text.encode(), "application/json")

    def _answer(self, body: bytes) -> dict[str, Any]:
        model: ServedModel = self.server.model
        asked = _PATH.fullmatch(self.path)
        if asked is None or (self.command == "POST") != (asked["asked"] == ":predict"):
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"Malformed request: {self.command} {self.path}")
        if self.command == "GET":
            if asked["name"] != model.name:
                raise Refusal(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {asked['name']}")
            if asked["asked"]:
                return _told(model)
            state = "AVAILABLE" if model.available else "LOADING"
            status = {"error_code": "OK", "error_message": ""}
            return {"model_version_status": [{"version": str(model.version), "state": state, "status": status}]}
        images = np.array(json.loads(body)["instances"], dtype=np.float32)
        scores = model.run(asked["name"], int(asked["version"]) if asked["version"] else None, images)
        return {"predictions": [[_printed(score) for score in row] for row in scores]}


def _told(model: ServedModel) -> dict[str, Any]:
    """The metadata, as the server's REST prints them."""
    shapes = {INPUT: (-1, model.width), OUTPUT: (-1, CLASSES)}
    tensors = {
        name: {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": [{"size": str(length), "name": ""} for length in shape], "unknown_rank": False},
            "name": f"{name}:0",
        }
        for name, shape in shapes.items()
    }
    sides = {"inputs": {INPUT: tensors[INPUT]}, "outputs": {OUTPUT: tensors[OUTPUT]}}
    signature = {**sides, "method_name": "tensorflow/serving/predict"}
    spec = {"name": model.name, "signature_name": "", "version": str(model.version)}
    return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}}


def _metadata(model: ServedModel, body: bytes, context: grpc.ServicerContext) -> bytes:
    """The same over gRPC, where what was not asked for is refused."""
    asked = messages.GetModelMetadataRequest.FromString(body)
    if asked.model_spec.name != model.name:
        context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {asked.model_spec.name}")
    if list(asked.metadata_field) != ["signature_def"]:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "GetModelMetadataRequest must specify at least one metadata_field")

    def info(name: str, *shape: int) -> messages.TensorInfo:
        dims = [messages.TensorShapeProto.Dim(size=length) for length in shape]
        return messages.TensorInfo(name=f"{name}:0", dtype=messages.DT_FLOAT, tensor_shape=messages.TensorShapeProto(dim=dims))

    signature = messages.SignatureDef(
        inputs={INPUT: info(INPUT, -1, model.width)},
        outputs={OUTPUT: info(OUTPUT, -1, CLASSES)},
        method_name="tensorflow/serving/predict",
    )
    signatures = messages.SignatureDefMap(signature_def={"serving_default": signature})
    spec = messages.ModelSpec(name=model.name, version=messages.Version(value=model.version))
    packed = messages.Packed(type_url=SIGNATURES, value=signatures.SerializeToString())
    return messages.GetModelMetadataResponse(model_spec=spec, metadata={"signature_def": packed}).SerializeToString()


def _printed(score: np.float32) -> float:
    """As the server prints a float: with six digits where they tell it apart, else with nine."""
    short = float(f"{score:.6g}")
    return short if np.float32(short) == score else float(f"{score:.9g}")


def _predict(model: ServedModel, body: bytes, context: grpc.ServicerContext) -> bytes:
    try:
        return _answer(model, messages.PredictRequest.FromString(body)).SerializeToString()
    except DecodeError:
        context.abort(grpc.StatusCode.INTERNAL, "")
    except Refusal as error:
        context.abort(error.code, error.message)


def _answer(model: ServedModel, request: messages.PredictRequest) -> messages.PredictResponse:
    spec, given = request.model_spec, request.inputs[INPUT]
    images = np.frombuffer(given.tensor_content, dtype="<f4").reshape([dim.size for dim in given.tensor_shape.dim])
    scores = model.run(spec.name, spec.version.value if spec.HasField("version") else None, images)
    dims = [messages.TensorShapeProto.Dim(size=length) for length in scores.shape]
    tensor = messages.TensorProto(dtype=messages.DT_FLOAT, tensor_shape=messages.TensorShapeProto(dim=dims))
    if model.tensor_content:
        tensor.tensor_content = scores.astype("<f4").tobytes()
    else:
        tensor.float_val.extend(scores.ravel().tolist())
    version = messages.Version(value=model.version)
    served = messages.ModelSpec(name=model.name, version=version, signature_name=spec.signature_name)
    return messages.PredictResponse(outputs={OUTPUT: tensor}, model_spec=served)
