"""Verification of answers: tolerance, ties, shapes, and what is said of the first wrong one."""

from __future__ import annotations

import numpy as np
import pytest

from bench.contract import Answer, FloatArray, MalformedAnswer, Payload
from bench.protocols.raw_float32 import CODEC
from bench.verify import TOLERANCE, Verification, Verifier

EXPECTED = np.array([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.2, 0.2, 0.6]], dtype=np.float32)
PAYLOAD = Payload(b"", "", (5, 6, 7))


def verify(*answers: FloatArray | bytes) -> Verification:
    bodies = [body if isinstance(body, bytes) else CODEC.encode_answer(body) for body in answers]
    verifier = Verifier(CODEC, [PAYLOAD], [EXPECTED], ["x", "y", "z"])
    return verifier.verify([Answer(0, body) for body in bodies], images=8)


def test_equal_answers_agree() -> None:
    """The reference's own scores: all agree, nothing differs, the classes are kept by image."""
    found = verify(EXPECTED, EXPECTED)
    assert (found.answers, found.wrong, found.agreement, found.max_abs_diff) == (2, 0, 1.0, 0.0)
    assert found.predicted.tolist() == [-1, -1, -1, -1, -1, 0, 1, 2]


def test_rounding_is_allowed_up_to_the_tolerance() -> None:
    """Half the tolerance is right, twice the tolerance is wrong although every class agrees."""
    assert verify(EXPECTED + np.float32(TOLERANCE / 2)).wrong == 0
    found = verify(EXPECTED + np.float32(TOLERANCE * 2))
    assert (found.wrong, found.agreement) == (1, 1.0)


def test_a_tie_of_the_reference_excuses_the_other_class() -> None:
    """Row 1 is a draw of y and z: either is right."""
    other = EXPECTED.copy()
    other[1, 2] += np.float32(TOLERANCE / 2)
    found = verify(other)
    assert (found.wrong, found.agreement) == (0, 1.0)
    assert found.predicted[6] == 2


def test_a_wrong_class_is_told_by_image_and_name() -> None:
    """The complaint says which image, what was answered, what is true; agreement counts images."""
    wrong = EXPECTED.copy()
    wrong[2] = [0.6, 0.2, 0.2]
    found = verify(EXPECTED, wrong)
    assert found.wrong == 1
    assert found.agreement == pytest.approx(5 / 6)
    assert "answer 2: image 7 (row 2 of 3): answered 'x' with 0.6000, the reference says 'z' with 0.6000" in found.first_wrong


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (EXPECTED[:2], "shape"),
        (EXPECTED[:, :2], "shape"),
        (np.full((3, 3), np.nan, dtype=np.float32), "NaN"),
        (np.full((3, 3), np.inf, dtype=np.float32), "infinity"),
        (b"", "expected"),
        (b"garbage", "expected"),
    ],
)
def test_what_is_no_answer_is_wrong(answer: FloatArray | bytes, words: str) -> None:
    """Dropped rows, missing classes, NaN, infinity, nothing and garbage."""
    body = answer if isinstance(answer, bytes) else np.float32(len(answer)).astype("<u4").tobytes() + answer.tobytes()
    found = verify(EXPECTED, body)
    assert found.wrong == 1
    assert words in found.first_wrong
    assert found.agreement == pytest.approx(0.5)


def test_check_raises_for_one_answer() -> None:
    """Readiness asks about a single answer."""
    verifier = Verifier(CODEC, [PAYLOAD], [EXPECTED], ["x", "y", "z"])
    verifier.check(Answer(0, CODEC.encode_answer(EXPECTED)))
    with pytest.raises(MalformedAnswer, match="image 5"):
        verifier.check(Answer(0, CODEC.encode_answer(np.ascontiguousarray(EXPECTED[:, ::-1]))))
