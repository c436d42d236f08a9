"""Checks the servers that run already before anything is measured: what cannot work ends the session here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.contract.backend_facts import BackendFacts
from bench.contract.errors import BadInput, ExchangeError, NotCarried, UntrustedCertificate
from bench.contract.scenarios import accuracy_batch
from bench.contract.system import Backend, Dataset, Model, Role
from bench.contract.tensors import Signature, Tensors, TensorSpec, chosen
from bench.contract.wire import Endpoint, Payload
from bench.protocols import codec
from bench.transports.connect import open_connection
from bench.verification.endpoint_facts import endpoint_facts
from bench.verification.told_signature import disagreement, told_outputs


def look_at_attached(backends: Sequence[Backend], model: Model) -> dict[str, BackendFacts]:
    """The facts about each attached backend, by name, without those that do not answer: their rows will say so.

    Raises BadInput for a certificate that is not trusted, for a signature that is not the model's, and if no server answers and
    there is no other to measure.
    """
    facts: dict[str, BackendFacts] = {}
    silent: list[ExchangeError] = []
    for backend in backends:
        if not backend.attached:
            continue
        try:
            told = {each.name: endpoint_facts(each) for each in backend.endpoints}
        except UntrustedCertificate as error:
            raise BadInput(str(error)) from error
        except ExchangeError as error:
            silent.append(error)
            continue
        facts[backend.name] = BackendFacts(attached=told)
        for endpoint in backend.endpoints:
            if wrong := disagreement(told[endpoint.name], model.signature):
                raise BadInput(f"{endpoint.id} at {endpoint.url}: {wrong}")
    if silent and len(silent) == sum(backend.role is Role.SERVER for backend in backends):
        raise BadInput(f"no server answers that was to be measured: {silent[0]}")
    return facts


def as_answered(model: Model, dataset: Dataset, backends: Sequence[Backend], facts: Mapping[str, BackendFacts]) -> Model:
    """The model, whose right answers are unknown, with the first server's answers as those that the others are compared with.

    If its outputs are not given, they are those that a server declares. Raises BadInput if they are neither given nor declared,
    or if no server gives answers.
    """
    signature = model.signature
    known = [each for backend in backends if backend.name in facts for each in backend.endpoints]
    if not signature.outputs:
        told = [facts[each.backend].attached or {} for each in known]
        outputs = next(filter(None, (told_outputs(each.get(name, {})) for each in told for name in each)), ())
        if not outputs:
            seen = (
                "; ".join(str(each[name]["problem"]) for each in told for name in each if "problem" in each[name]) or "nothing"
            )
            remedy = "give what is right with --expected=FILE.npz, or the model with --model=FILE.onnx"
            raise BadInput(f"--url: expected a server that says which outputs its model has, seen {seen}; {remedy}")
        scores = [each.name for each in outputs if len(each.shape) == 2 and each.dtype.startswith("float")]
        signature = replace(signature, outputs=outputs, scores=scores[0] if len(scores) == 1 else "")
    problems = []
    for endpoint in known:
        try:
            answers = _all_answers(endpoint, dataset, signature)
        except (ExchangeError, NotCarried) as error:
            problems.append(f"{endpoint.id}: {error}")
            continue
        return replace(model, signature=_with_lengths(signature, answers), answers=answers, first=endpoint.id)
    raise BadInput(
        f"--url: no server gives answers that could be held against each other: {'; '.join(problems) or 'none answers'}"
    )


def _all_answers(endpoint: Endpoint, dataset: Dataset, signature: Signature) -> Tensors:
    """The endpoint's answers for all items of the dataset, requested in order on one connection, by output name."""
    speaker, transport = codec(endpoint.protocol, signature, endpoint.model), open_connection(endpoint)
    size = accuracy_batch(signature.item_bytes)
    answered = []
    try:
        transport.connect()
        for start in range(0, len(dataset), size):
            indices = tuple(range(start, min(start + size, len(dataset))))
            body, content_type, headers = speaker.encode(chosen(dataset.inputs, signature.inputs, indices))
            transport.ensure_connected()
            answered.append(
                speaker.decode(transport.exchange(transport.prepare(Payload(body, content_type, indices, headers))))
            )
    finally:
        transport.close()
    whole = {spec.name: [outputs[spec.name] for outputs in answered] for spec in signature.outputs}
    return {spec.name: np.concatenate(whole[spec.name]) if spec.batched else whole[spec.name][0] for spec in signature.outputs}


def _with_lengths(signature: Signature, answers: Tensors) -> Signature:
    """The signature with the batched outputs' lengths as in `answers`, since a declaration may leave them free."""

    def sized(spec: TensorSpec) -> TensorSpec:
        return replace(spec, shape=(*spec.shape[:1], *answers[spec.name].shape[1:])) if spec.batched else spec

    return replace(signature, outputs=tuple(map(sized, signature.outputs)))
