"""Payloads: the dataset's items in batches, encoded before the clock starts, with the outputs that must come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from bench.contract.errors import NotCarried
from bench.contract.scenarios import accuracy_batch as usual_accuracy_batch
from bench.contract.system import Dataset, Model, Truth
from bench.contract.tensors import Array, Tensors, TensorSpec, chosen
from bench.contract.wire import WIDE_INT64, Codec, Endpoint, Payload
from bench.protocols import codec
from bench.verification.fresh_items import FreshItems
from bench.verification.verify import Verifier, tolerances_of


def batches(items: int, batch_size: int, *, wrap: bool) -> list[tuple[int, ...]]:
    """Indices that cover all `items` in order; the last batch wraps around to the first items, or stays short."""
    starts = range(0, items, batch_size)
    if wrap:
        return [tuple((start + offset) % items for offset in range(batch_size)) for start in starts]
    return [tuple(range(start, min(start + batch_size, items))) for start in starts]


@dataclass(frozen=True, slots=True)
class PayloadSet:
    """All payloads of one protocol and batch size.

    `expected[k]` are the reference's outputs for payload k, `encode_s` the median seconds to encode a payload.
    """

    codec: Codec
    payloads: tuple[Payload, ...]
    expected: tuple[Tensors, ...]
    encode_s: float


class PayloadFactory:
    """Makes payload sets from one dataset and the reference's answers; endpoints of one protocol share a set.

    `accuracy_batch`: items per request in the accuracy pass; 0: chosen by the bytes of an item. `tolerance`: how far a value
    may be from the reference's, instead of what its dtype allows.
    """

    def __init__(self, dataset: Dataset, model: Model, *, accuracy_batch: int = 0, tolerance: float | None = None) -> None:
        self.dataset = dataset
        self.model = model
        self.accuracy_batch = model.signature.batch or accuracy_batch or usual_accuracy_batch(model.signature.item_bytes)
        self._expected: dict[tuple[int, bool], tuple[Tensors, ...]] = {}
        self.tolerances = tolerances_of(model.signature, self.reference(self.accuracy_batch, wrap=False), tolerance)
        self._fresh = FreshItems(dataset, model.signature)
        self._codecs: dict[tuple[str, str], Codec] = {}
        self._payload_sets: dict[tuple[str, str, int, bool], PayloadSet] = {}

    def codec(self, endpoint: Endpoint) -> Codec:
        """The codec of this endpoint's messages; raises NotCarried if protocol or server cannot carry the model."""
        key = (endpoint.protocol, endpoint.model)
        if lacking := self._lacking(endpoint):
            raise NotCarried(f"{endpoint.id} cannot serve this model: its server has no {lacking}")
        if key not in self._codecs:
            self._codecs[key] = codec(endpoint.protocol, self.model.signature, endpoint.model)
        return self._codecs[key]

    def _lacking(self, endpoint: Endpoint) -> str:
        """What the server lacks, and which input or output needs it; empty if nothing."""
        signature = self.model.signature
        for spec in (*signature.inputs, *signature.outputs):
            if spec.dtype in endpoint.lacks:
                return f"{spec.dtype}, which {spec.name} is"
            if spec.dtype == "int64" and WIDE_INT64 in endpoint.lacks and self._is_wide(spec):
                return f"{WIDE_INT64}, which {spec.name} has"
        return ""

    def _is_wide(self, spec: TensorSpec) -> bool:
        answers = self.reference(self.accuracy_batch, wrap=False)
        given = self.dataset.inputs.get(spec.name)
        arrays = [given] if given is not None else [outputs[spec.name] for outputs in answers]
        limits = np.iinfo(np.int32)
        return any(array.min() < limits.min or array.max() > limits.max for array in arrays)

    def refusal(self, endpoint: Endpoint, batch_size: int | None = None) -> str:
        """Why this endpoint cannot serve the model, or not in requests of `batch_size` items; empty if it can."""
        signature = self.model.signature
        if batch_size is not None and not signature.takes(batch_size):
            return (
                f"not offered by this model: a request has {signature.batch} item{'s'[: signature.batch > 1]}, not {batch_size}"
            )
        try:
            self.codec(endpoint)
        except NotCarried as error:
            return str(error)
        return ""

    def reference(self, batch_size: int, *, wrap: bool = True) -> tuple[Tensors, ...]:
        """The reference's outputs for the dataset in batches of `batch_size`, computed batch by batch as they are sent."""
        key = (batch_size, wrap)
        if key not in self._expected:
            plan = batches(len(self.dataset), batch_size, wrap=wrap or self.model.signature.batch > 0)
            self._expected[key] = tuple(map(self._right_outputs, plan))
        return self._expected[key]

    def scores(self) -> Array:
        """The reference's scores [items, classes]; raises ValueError if the model has no scores of classes."""
        name = self.model.signature.scores
        if not name:
            raise ValueError(f"{self.model.name} has no scores of classes")
        rows: Array = np.concatenate([outputs[name] for outputs in self.reference(self.accuracy_batch, wrap=False)])
        return rows[: len(self.dataset)]

    def payload_set(self, endpoint: Endpoint, batch_size: int, *, wrap: bool = True) -> PayloadSet:
        """The payloads that cover the dataset once, `batch_size` items each, in the endpoint's protocol; raises NotCarried."""
        codec, wrap = self.codec(endpoint), wrap or self.model.signature.batch > 0
        key = (endpoint.protocol, endpoint.model, batch_size, wrap)
        if key not in self._payload_sets:
            encode_s: list[float] = []
            payloads = []
            for indices in batches(len(self.dataset), batch_size, wrap=wrap):
                inputs, start = self._inputs(indices), perf_counter()
                payloads.append(_encoded(codec, inputs, indices))
                encode_s.append(perf_counter() - start)
            expected = self.reference(batch_size, wrap=wrap)
            self._payload_sets[key] = PayloadSet(codec, tuple(payloads), expected, float(np.median(encode_s)))
        return self._payload_sets[key]

    def verifier(self, codec: Codec, payloads: Sequence[Payload], expected: Sequence[Tensors]) -> Verifier:
        """A verifier of answers to `payloads`, whose outputs by the reference are `expected`."""
        return Verifier(codec, payloads, expected, self.model.signature, self.dataset, self.tolerances)

    def fresh(self, endpoint: Endpoint, batch_size: int) -> Callable[[], Payload] | None:
        """A function that makes payloads never sent before; None without a model, or if the dataset cannot be made new.

        It always varies the first payload's items, which the audit repeats: fresh payloads must cost the same as the repeated
        one except for being new. Other items take other paths through a tree or a branch, and their numbers have other
        lengths as text.
        """
        if self.model.answers is not None or not self._fresh.possible:
            return None  # only a model gives the correct answers for new items
        codec, indices = self.codec(endpoint), batches(len(self.dataset), batch_size, wrap=True)[0]
        numbers = iter(range(1 << 30))

        def make() -> Payload:
            return _encoded(codec, self._fresh.make(next(numbers), indices), indices)

        return make

    def fresh_expected(self, payloads: Sequence[Payload]) -> list[Tensors]:
        """The reference's outputs for `payloads`, which are the first ones that one function of `fresh` made, in order."""
        return [self.model.predictor(self._fresh.make(number, payload.indices)) for number, payload in enumerate(payloads)]

    def _right_outputs(self, indices: tuple[int, ...]) -> Tensors:
        answers = self.model.answers
        return (
            self.model.predictor(self._inputs(indices))
            if answers is None
            else chosen(answers, self.model.signature.outputs, indices)
        )

    @property
    def unverified(self) -> str:
        """Why answers cannot be verified; empty if there is a model, or expected answers from the user."""
        if self.model.truth is not Truth.NOBODY:
            return ""
        known = "not verified: without --model or --expected nobody knows what is right"
        return f"{known}; held against what {self.model.first} answered first"

    def _inputs(self, indices: tuple[int, ...]) -> Tensors:
        return chosen(self.dataset.inputs, self.model.signature.inputs, indices)


def _encoded(codec: Codec, inputs: Tensors, indices: tuple[int, ...]) -> Payload:
    body, content_type, headers = codec.encode(inputs)
    return Payload(body=body, content_type=content_type, indices=indices, headers=headers)
