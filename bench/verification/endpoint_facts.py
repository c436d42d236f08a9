"""Facts about an endpoint that was already running, before it is measured: least times of the path to it, its model's metadata.

Few requests, one connection. Nothing is judged here.
"""

import re
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from bench.contract.errors import ErrorStatus, ExchangeError, MalformedAnswer, TurnedAway
from bench.contract.wire import Endpoint, MultiplexedTransport
from bench.protocols._inference_pb2 import ModelMetadataRequest, ModelMetadataResponse
from bench.protocols._tfserving_pb2 import GetModelMetadataRequest, GetModelMetadataResponse, ModelSpec, SignatureDefMap
from bench.transports.connect import open_connection
from bench.transports.grpc import GrpcTransport
from bench.transports.http import HttpTransport

_CONNECTS = 3
_ROUND_TRIPS = 5
_LONGEST_TEXT = 200
_V2_MODEL = re.compile(r"(?P<model>(?P<root>.*/v2)/models/.+)/infer")
_V1_MODEL = re.compile(r"(?P<model>.*/v1/models/[^/:]+(?:/versions/[^/:]+)?):\w+")
_V2_SERVICE = "/inference.GRPCInferenceService"
_V1_SERVICE = "/tensorflow.serving.PredictionService"
_V1_KEPT = "signature_def"

Facts = dict[str, Any]


def endpoint_facts(endpoint: Endpoint) -> Facts:
    """The facts of one endpoint, as in `BackendFacts.attached`; raises ExchangeError if it is unreachable or turns us away."""
    transport = open_connection(endpoint)
    try:
        facts: Facts = {"url": endpoint.url, "connect_s": _connect_s(transport)}
        if isinstance(transport, HttpTransport):
            facts |= _over_http(transport, endpoint)
        elif isinstance(transport, GrpcTransport):
            facts |= _over_grpc(transport, endpoint)
        return _shown(facts, endpoint)
    finally:
        transport.close()


def _connect_s(transport: MultiplexedTransport[Any]) -> float:
    """Median seconds until a connection can be used: TCP, TLS and, for gRPC, the HTTP/2 settings."""
    seconds = []
    for _ in range(_CONNECTS):
        start = perf_counter()
        transport.connect()
        seconds.append(perf_counter() - start)
    return median(seconds)


def _over_http(transport: HttpTransport, endpoint: Endpoint) -> Facts:
    path = endpoint.path.partition("?")[0]
    if found := _V2_MODEL.fullmatch(path):
        health = f"{found['root']}/health/ready"
        said = _v2_model(_asked(transport, transport.prepare_get(found["model"])))
    elif found := _V1_MODEL.fullmatch(path):
        health = found["model"]
        said = _v1_status(_asked(transport, transport.prepare_get(health)))
        said |= _v1_signature(_asked(transport, transport.prepare_get(f"{health}/metadata")))
    else:
        health, said = path, {}
    return {"health": f"GET {health}", "round_trip_s": _round_trip_s(transport, transport.prepare_get(health)), **said}


def _over_grpc(transport: GrpcTransport, endpoint: Endpoint) -> Facts:
    health = f"{_V2_SERVICE}/ServerLive"
    facts: Facts = {"health": health, "round_trip_s": _round_trip_s(transport, transport.prepare_call(health, b""))}
    if endpoint.path.startswith(f"{_V2_SERVICE}/"):
        question = ModelMetadataRequest(name=endpoint.model).SerializeToString()
        return facts | _v2_model(_asked(transport, transport.prepare_call(f"{_V2_SERVICE}/ModelMetadata", question), _metadata))
    if endpoint.path.startswith(f"{_V1_SERVICE}/"):
        wanted = GetModelMetadataRequest(model_spec=ModelSpec(name=endpoint.model), metadata_field=[_V1_KEPT])
        call = transport.prepare_call(f"{_V1_SERVICE}/GetModelMetadata", wanted.SerializeToString())
        said = _asked(transport, call, _v1_metadata)
        return facts | {"problem": said.get("problem")} | _v1_signature(said)
    return facts


def _v1_metadata(body: bytes) -> Mapping[str, Any]:
    """TensorFlow Serving's gRPC metadata in the form of its REST answer; raises DecodeError."""
    said = GetModelMetadataResponse.FromString(body)
    signatures = SignatureDefMap.FromString(said.metadata[_V1_KEPT].value)
    served: dict[str, Any] = MessageToDict(said.model_spec, preserving_proto_field_name=True)
    return {"model_spec": served, "metadata": {_V1_KEPT: MessageToDict(signatures, preserving_proto_field_name=True)}}


def _metadata(body: bytes) -> Mapping[str, Any]:
    """V2's gRPC metadata in the form of its HTTP answer; raises DecodeError."""
    said = ModelMetadataResponse.FromString(body)
    sides = {"inputs": said.inputs, "outputs": said.outputs}
    tensors = {
        side: [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in specs]
        for side, specs in sides.items()
    }
    return {"name": said.name, "versions": list(said.versions), "platform": said.platform, **tensors}


def _round_trip_s(transport: MultiplexedTransport[Any], request: Any) -> float | None:
    """Median seconds until the answer to `request`, error statuses included: a missing route is answered from as far away.

    None if an exchange fails otherwise; raises TurnedAway.
    """
    seconds = []
    for _ in range(_ROUND_TRIPS):
        transport.ensure_connected()
        start = perf_counter()
        try:
            transport.exchange(request)
        except TurnedAway:
            raise
        except ErrorStatus:
            pass
        except ExchangeError:
            return None
        seconds.append(perf_counter() - start)
    return median(seconds)


def _asked(
    transport: MultiplexedTransport[Any], request: Any, read: Callable[[bytes], object] = orjson.loads
) -> Mapping[str, Any]:
    """The answer to `request` as an object; empty if it is something else, only `problem` if it is an error or unreadable.

    Raises TurnedAway, ConnectionLost and ExchangeTimeout.
    """
    transport.ensure_connected()
    try:
        said = read(transport.exchange(request))
    except TurnedAway:
        raise
    except (ErrorStatus, MalformedAnswer, orjson.JSONDecodeError, DecodeError) as error:
        return {"problem": str(error)}
    return said if isinstance(said, Mapping) else {}


def _v2_model(said: Mapping[str, Any]) -> Facts:
    kept = {"model": said.get("name"), **{key: said.get(key) for key in ("versions", "platform", "problem")}}
    return {**kept, **{side: _tensors(said.get(side)) for side in ("inputs", "outputs")}}


def _tensors(listed: object) -> list[str] | None:
    """Each tensor as text, such as `images FP32 [-1, 784]`; None if `listed` is no list of tensors."""
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        return None
    return [f"{each.get('name')} {each.get('datatype')} {each.get('shape')}" for each in listed]


def _v1_status(said: Mapping[str, Any]) -> Facts:
    states = said.get("model_version_status")
    if not isinstance(states, list) or not all(isinstance(each, Mapping) for each in states):
        return {"problem": said.get("problem")}
    return {
        "versions": [str(each.get("version")) for each in states],
        "state": ", ".join(f"{each.get('version')}: {each.get('state')}" for each in states),
    }


def _v1_signature(said: Mapping[str, Any]) -> Facts:
    """The default signature, `serving_default`, in TensorFlow Serving's metadata; empty if it has none."""
    spec = said.get("model_spec")
    place: Any = said
    for key in ("metadata", _V1_KEPT, _V1_KEPT, "serving_default"):
        place = place.get(key) if isinstance(place, Mapping) else None
    if not isinstance(place, Mapping):
        return {}
    facts: Facts = {side: _defined(place.get(side)) for side in ("inputs", "outputs")}
    return {"model": spec.get("name"), **facts} if isinstance(spec, Mapping) else facts


def _defined(tensors: object) -> list[str] | None:
    if not isinstance(tensors, Mapping):
        return None
    found = []
    for name, each in sorted(tensors.items()):
        if not isinstance(each, Mapping):
            return None
        shape = each.get("tensor_shape")
        lengths = shape.get("dim") if isinstance(shape, Mapping) else None
        sizes = [length.get("size") for length in lengths if isinstance(length, Mapping)] if isinstance(lengths, list) else "?"
        found.append(f"{name} {each.get('dtype')} [{', '.join(map(str, sizes))}]")
    return found


def _shown(facts: Facts, endpoint: Endpoint) -> Facts:
    """The facts that are not None; texts from the server cut, and without secrets."""

    def clean(value: Any) -> Any:
        if isinstance(value, list):
            return [clean(str(each)) for each in value]
        return endpoint.access.redacted(value)[:_LONGEST_TEXT] if isinstance(value, str) else value

    return {name: clean(value) for name, value in facts.items() if value is not None}
