"""What goes to an agent and back arrives as it was sent; anything else is refused, and nothing of it is executed."""

import io
import pickle

import numpy as np
import pytest

from bench.agents.messages import Message
from bench.agents.work import answers_arrays, answers_of, work_message, work_of
from bench.contract.wire import Access, Answer, Endpoint
from bench.verification.judgements import Judgements, digest_of
from tests.bench.scripted import little_factory, right


@pytest.mark.parametrize(
    "message",
    [
        Message("ping"),
        Message("go", {"at_s": 0.1 + 0.2, "list": [1, None, "ä"]}),
        Message("samples", {}, {"trace": np.arange(6.0).reshape(2, 3), "empty": np.empty(0)}),
    ],
    ids=lambda message: message.what,
)
def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    """Numbers to the last bit."""
    arrived = Message.unpacked(message.packed())
    assert (arrived.what, arrived.fields) == (message.what, message.fields)
    assert arrived.arrays.keys() == message.arrays.keys()
    for name, array in message.arrays.items():
        assert arrived.arrays[name].tobytes() == array.tobytes()
        assert arrived.arrays[name].shape == array.shape


def pickled() -> bytes:
    archive = io.BytesIO()
    np.savez(archive, objects=np.array([{"a": 1}], dtype=object))
    head = b'{"what": "samples"}'
    return len(head).to_bytes(4, "big") + head + archive.getvalue()


def spoilt() -> bytes:
    """The archive's end is another's."""
    packed = bytearray(Message("samples", {}, {"trace": np.arange(6.0)}).packed())
    packed[-30:] = bytes(30)
    return bytes(packed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        b"\0\0\0\2{}",
        b"\0\0\0\4null",
        b"\0\0\0\5{...",
        b"\0\0\0\3[1]",
        spoilt(),
        pickle.dumps({"what": "ping"}),
        pickled(),
    ],
    ids=["nothing", "short", "no name", "no object", "no JSON", "a list", "no archive", "a pickle", "a pickle among arrays"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """A ValueError, whatever it is."""
    with pytest.raises(ValueError, match=r".+"):
        Message.unpacked(data)


def test_an_agent_judges_as_this_process_would() -> None:
    """By the same payloads, the same right outputs and tolerances: every verdict, every number and every word is the same."""
    factory = little_factory()
    endpoint = Endpoint("one", "raw", "raw", port=1, host="127.0.0.1", access=Access(headers=(("Authorization", "secret"),)))
    payload_set = factory.payload_set(endpoint, 8)
    work = work_of(Message.unpacked(work_message(1, endpoint, payload_set, factory, canned=False).packed()))
    assert (work.endpoint, work.payloads) == (endpoint, payload_set.payloads)
    images = factory.dataset.inputs["images"]
    good = [right(images[list(payload.indices)]) for payload in payload_set.payloads]
    bodies = [*enumerate(good), (0, good[1]), (1, b"nonsense"), (2, good[2][:-4]), (0, good[0])]
    local = factory.verifier(payload_set.codec, payload_set.payloads, payload_set.expected)
    expected = local.verify([Answer(index, body) for index, body in bodies])
    judgements = Judgements()
    assert work.verifier is not None
    for index, body in bodies:
        judgements.judged[index, digest_of(body)] = work.verifier.judge(Answer(index, body))
    answers = answers_of(answers_arrays([(index, digest_of(body)) for index, body in bodies]))
    told = judgements.verification(answers, payload_set.payloads, len(factory.dataset))
    assert (told.answers, told.wrong, told.first_wrong) == (expected.answers, 3, expected.first_wrong)
    assert (told.agreement, told.max_abs_diff) == (expected.agreement, expected.max_abs_diff)
    assert told.predicted.tolist() == expected.predicted.tolist()
    assert told.differing == expected.differing
