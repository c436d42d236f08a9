"""The special case that most tests need: one float32 array [n, width] in, one [n, classes] out, as arrays without names."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.contract.system import Dataset, Model
from bench.contract.tensors import FREE, FloatArray, IntArray, Predictor, Signature, Tensors, TensorSpec
from bench.contract.wire import Codec
from bench.protocols import codec

INPUT, OUTPUT = "images", "scores"


def flat_signature(width: int = FREE, classes: int = FREE) -> Signature:
    """Of EMNIST's model, or of one with other widths; free ones fit any."""
    given = TensorSpec(INPUT, "float32", (FREE, width))
    return Signature((given,), (TensorSpec(OUTPUT, "float32", (FREE, classes)),), scores=OUTPUT)


FLAT = flat_signature()


@dataclass(frozen=True)
class FlatCodec:
    """A codec of FLAT whose arrays are not named."""

    named: Codec

    @property
    def transport(self) -> str:
        """See `Codec`."""
        return self.named.transport

    def encode(self, images: FloatArray) -> tuple[bytes, str, tuple[tuple[str, str], ...]]:
        """Images [n, width] -> body, content type, headers."""
        return self.named.encode({INPUT: images})

    def decode(self, body: bytes) -> FloatArray:
        """An answer -> scores [n, classes]."""
        return np.asarray(self.named.decode(body)[OUTPUT])

    def encode_answer(self, scores: FloatArray) -> bytes:
        """Scores [n, classes] -> an answer."""
        return self.named.encode_answer({OUTPUT: scores})


def flat_codec(protocol: str) -> FlatCodec:
    """The codec of that protocol for FLAT."""
    return FlatCodec(codec(protocol, FLAT))


RAW_CODEC = flat_codec("raw")


def predictor_of(predict: Callable[[FloatArray], FloatArray]) -> Predictor:
    """A function of images as a predictor."""

    def predictor(inputs: Tensors) -> Tensors:
        return {OUTPUT: predict(np.asarray(inputs[INPUT]))}

    return predictor


def flat_model(predict: Callable[[FloatArray], FloatArray], width: int = FREE, classes: int = FREE) -> Model:
    """A model that is this function."""
    return Model("little", "little.onnx", "0", flat_signature(width, classes), predictor_of(predict))


def flat_dataset(images: FloatArray, labels: IntArray | None = None, names: tuple[str, ...] = (), side_px: int = 0) -> Dataset:
    """A dataset of these images."""
    return Dataset(
        "little", {INPUT: images}, len(images), labels, names, "0", synthetic=False, source="made up", side_px=side_px
    )


def images_of(dataset: Dataset) -> FloatArray:
    """The images [n, width] of a dataset of one input."""
    return np.asarray(next(iter(dataset.inputs.values())))
