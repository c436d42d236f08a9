"""Protocol `v2-grpc`: the Open Inference Protocol (V2) over gRPC.

unary call /inference.GRPCInferenceService/ModelInfer
request   ModelInferRequest    the model's inputs by name, datatype and shape, values in raw_input_contents
answer    ModelInferResponse   its outputs, values in raw_output_contents or in each output's contents

An error is a gRPC status and never gets here. The messages are a subset of the official ones: see _inference.proto.
"""

from collections.abc import Mapping

import numpy as np
from google.protobuf.message import DecodeError

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import Array, Tensors, TensorSpec
from bench.protocols._arrays import checked_outputs, raw_values, shaped, wire_arrays
from bench.protocols._codec import SignatureCodec
from bench.protocols._inference_pb2 import ModelInferRequest, ModelInferResponse
from bench.protocols._open_inference import DATATYPES, REQUEST_ID, dtype_of, place_of

_Input = ModelInferRequest.InferInputTensor
_Wanted = ModelInferRequest.InferRequestedOutputTensor
_Output = ModelInferResponse.InferOutputTensor

_CONTENTS: Mapping[str, str] = {
    "bool": "bool_contents",
    **dict.fromkeys(("int8", "int16", "int32"), "int_contents"),
    **dict.fromkeys(("uint8", "uint16", "uint32"), "uint_contents"),
    "int64": "int64_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
}
"""dtype -> the field of its values if they are not raw; float16 is always raw."""


class V2Grpc(SignatureCodec):
    """Codec of the gRPC form of V2."""

    name = "v2-grpc"
    transport = "grpc"

    def encode(self, inputs: Tensors) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """See `Codec.encode`."""
        arrays = wire_arrays(inputs, self.signature.inputs)
        request = ModelInferRequest(
            model_name=self.model,
            id=REQUEST_ID,
            inputs=[_Input(name=spec.name, datatype=DATATYPES[spec.dtype], shape=array.shape) for spec, array in arrays],
            outputs=[_Wanted(name=spec.name) for spec in self.signature.outputs],
            raw_input_contents=[array.tobytes() for _, array in arrays],
        )
        return request.SerializeToString(), "application/grpc", ()

    def decode(self, body: bytes) -> Tensors:
        """See `Codec.decode`."""
        try:
            response = ModelInferResponse.FromString(body)
        except DecodeError as error:
            raise MalformedAnswer(f"expected a ModelInferResponse, seen {len(body)} bytes {body[:40]!r}: {error}") from error
        names, raw = [output.name for output in response.outputs], response.raw_output_contents
        if raw and len(raw) != len(names):
            raise MalformedAnswer(f"expected raw contents for each of {len(names)} outputs, seen {len(raw)}")

        def values(spec: TensorSpec) -> Array:
            place = place_of(spec, names)
            output = response.outputs[place]
            dtype = dtype_of(output.datatype, spec)
            flat = raw_values(raw[place], spec, dtype) if raw else _of_contents(output, dtype)
            return shaped(flat, output.shape, spec)

        return checked_outputs(self.signature.outputs, values)

    def encode_answer(self, outputs: Tensors) -> bytes:
        """See `Codec.encode_answer`."""
        arrays = wire_arrays(outputs, self.signature.outputs)
        response = ModelInferResponse(
            model_name=self.model,
            model_version="1",
            id=REQUEST_ID,
            outputs=[_Output(name=spec.name, datatype=DATATYPES[spec.dtype], shape=array.shape) for spec, array in arrays],
            raw_output_contents=[array.tobytes() for _, array in arrays],
        )
        return response.SerializeToString()


def _of_contents(output: _Output, dtype: str) -> Array:
    """The flat values in an output's own `contents`; raises MalformedAnswer."""
    field = _CONTENTS.get(dtype)
    if field is None:
        raise MalformedAnswer(f"expected {dtype} in raw contents, the protocol's only form; seen none for {output.name!r}")
    values = getattr(output.contents, field)
    try:
        return np.array(values, dtype=dtype)
    except OverflowError as error:
        raise MalformedAnswer(f"expected {dtype} values for {output.name!r}: {error}") from error


CODEC = V2Grpc
