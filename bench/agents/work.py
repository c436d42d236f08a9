"""What an agent is given to send and to judge the answers by, and the outcomes that it returns.

It is prepared here and sent before any clock runs. An agent has no dataset and no model: only payloads and expected outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from bench.agents.messages import Message
from bench.contract.system import Dataset
from bench.contract.tensors import Array, Signature, Tensors, TensorSpec
from bench.contract.wire import Access, Endpoint, Payload
from bench.protocols import codec
from bench.statistics import Magnitude
from bench.verification.judgements import DIGEST_BYTES, Judgements
from bench.verification.payloads import PayloadFactory, PayloadSet
from bench.verification.top_class import Differing
from bench.verification.verify import Judged, Tolerance, Verifier

WORK, OUTCOMES = "work", "outcomes"


@dataclass(frozen=True, slots=True)
class Work:
    """An endpoint, the payloads to send, and the verifier of the answers; None for null, whose answers are not judged."""

    endpoint: Endpoint
    payloads: tuple[Payload, ...]
    verifier: Verifier | None


def work_message(
    key: int,
    endpoint: Endpoint,
    payload_set: PayloadSet,
    factory: PayloadFactory,
    *,
    canned: bool,
) -> Message:
    """The message that `work_of` reads; later orders name this work by `key`. `canned`: the answers are not judged (null)."""
    payloads, dataset = payload_set.payloads, factory.dataset
    fields: dict[str, Any] = {
        "key": key,
        "endpoint": asdict(endpoint),
        "payloads": [[each.content_type, each.indices, each.headers, len(each.body)] for each in payloads],
    }
    arrays: dict[str, Array] = {"bodies": np.frombuffer(b"".join(each.body for each in payloads), dtype=np.uint8)}
    if not canned:
        signature = factory.model.signature
        outputs = [spec.name for spec in signature.outputs]
        fields["judge"] = {
            "signature": asdict(signature),
            "items": len(dataset),
            "side_px": dataset.side_px,
            "class_names": dataset.class_names,
            "tolerances": [[factory.tolerances[name].magnitude.typical, factory.tolerances[name].allowed] for name in outputs],
            "shapes": [[expected[name].shape for name in outputs] for expected in payload_set.expected],
        }
        for place, name in enumerate(outputs):
            arrays[f"output{place}"] = np.concatenate([expected[name].ravel() for expected in payload_set.expected])
    return Message(WORK, fields, arrays)


def work_of(message: Message) -> Work:
    """The inverse of `work_message`; raises ValueError, KeyError or TypeError if `message` is not one."""
    fields = message.fields
    endpoint = _endpoint(fields["endpoint"])
    bodies, at, payloads = message.arrays["bodies"].tobytes(), 0, []
    for content_type, indices, headers, size in fields["payloads"]:
        payloads.append(Payload(bodies[at : at + size], content_type, tuple(indices), tuple(map(tuple, headers))))
        at += size
    judge = fields.get("judge")
    verifier = None if judge is None else _verifier(endpoint, payloads, judge, message.arrays)
    return Work(endpoint, tuple(payloads), verifier)


def _endpoint(fields: Mapping[str, Any]) -> Endpoint:
    access = fields["access"]
    headers = tuple((name, value) for name, value in access["headers"])
    lists = {"lacks": tuple(fields["lacks"]), "further": tuple((host, port) for host, port in fields["further"])}
    return Endpoint(**{**fields, **lists, "access": Access(**{**access, "headers": headers})})


def _signature(fields: Mapping[str, Any]) -> Signature:
    specs = {
        side: tuple(TensorSpec(**{**spec, "shape": tuple(spec["shape"])}) for spec in fields[side])
        for side in ("inputs", "outputs")
    }
    return Signature(specs["inputs"], specs["outputs"], fields["batch"], fields["scores"])


def _verifier(endpoint: Endpoint, payloads: Sequence[Payload], judge: Mapping[str, Any], arrays: Tensors) -> Verifier:
    signature = _signature(judge["signature"])
    outputs = [spec.name for spec in signature.outputs]
    dataset = Dataset(
        name="",
        inputs={},
        items=judge["items"],
        labels=None,
        class_names=tuple(judge["class_names"]),
        sha256="",
        synthetic=False,
        source="",
        side_px=judge["side_px"],
    )
    tolerances = {
        name: Tolerance(Magnitude(typical), allowed)
        for name, (typical, allowed) in zip(outputs, judge["tolerances"], strict=True)
    }
    expected: list[dict[str, Array]] = [{} for _ in payloads]
    for place, name in enumerate(outputs):
        at = 0
        for outputs_of_one, shapes in zip(expected, judge["shapes"], strict=True):
            size = prod(shapes[place])
            outputs_of_one[name] = arrays[f"output{place}"][at : at + size].reshape(shapes[place])
            at += size
    return Verifier(codec(endpoint.protocol, signature, endpoint.model), payloads, expected, signature, dataset, tolerances)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A distinct answer (payload index, digest) not reported before: its size, and its judgement, None for null's."""

    index: int
    digest: bytes
    body_bytes: int
    judged: Judged | None


def outcomes_message(outcomes: Sequence[Outcome], *, more: bool) -> Message:
    """The outcomes since the last such message; `more`: further messages follow."""
    told = [
        [each.index, each.digest.hex(), each.body_bytes, None if each.judged is None else _told(each.judged)]
        for each in outcomes
    ]
    return Message(OUTCOMES, {"outcomes": told, "more": more})


def _told(judged: Judged) -> dict[str, Any]:
    fields = asdict(judged)
    return {**fields, "classes": None if judged.classes is None else judged.classes.tolist()}


def note_outcomes(message: Message, judgements: Judgements) -> None:
    """Add the outcomes in a message of `outcomes_message` to `judgements`."""
    for index, digest, body_bytes, judged in message.fields["outcomes"]:
        key = bytes.fromhex(digest)
        judgements.body_bytes[key] = int(body_bytes)
        if judged is not None:
            classes = judged["classes"]
            judgements.judged[int(index), key] = Judged(
                agreeing=judged["agreeing"],
                max_abs_diff=judged["max_abs_diff"],
                complaint=judged["complaint"],
                classes=None if classes is None else np.array(classes, dtype=np.int64),
                differing=tuple(Differing(**each) for each in judged["differing"]),
                judge_s=judged["judge_s"],
            )


def answers_arrays(answers: Sequence[tuple[int, bytes]]) -> dict[str, Array]:
    """The (payload index, digest) of each answer as arrays, in the order received."""
    return {
        "payload": np.array([index for index, _ in answers], dtype=np.int64),
        "digest": np.frombuffer(b"".join(digest for _, digest in answers), dtype=np.uint8),
    }


def answers_of(arrays: Tensors) -> list[tuple[int, bytes]]:
    """The inverse of `answers_arrays`."""
    digests = arrays["digest"].tobytes()
    pieces = (digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES))
    return list(zip(arrays["payload"].tolist(), pieces, strict=True))
