"""Verification of answers: tolerance, ties, shapes, and what is said of the first wrong one."""

from dataclasses import replace

import numpy as np
import pytest

from bench.contract.errors import MalformedAnswer
from bench.contract.tensors import FloatArray, Signature
from bench.contract.wire import Answer, Payload
from bench.protocols import codec
from bench.statistics import PROBABILITIES, Magnitude, tolerance_of
from bench.verification.verify import Verification, Verifier, tolerances_of
from tests.flat import FLAT, flat_dataset
from tests.flat import RAW_CODEC as CODEC

EXPECTED = np.array([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.2, 0.2, 0.6]], dtype=np.float32)
TOLERANCE = tolerance_of("float32")
REGRESSION = replace(FLAT, scores="")


def verifier_of(expected: FloatArray, indices: tuple[int, ...] = (5, 6, 7), signature: Signature = FLAT) -> Verifier:
    """Of one payload of so many of nine images; `signature` without scores is that of a model that tells no classes apart."""
    outputs = [{"scores": expected}]
    dataset = flat_dataset(np.zeros((9, 1), np.float32), names=("x", "y", "z"), side_px=1)
    payloads = [Payload(b"", "", indices)]
    return Verifier(codec("raw", signature), payloads, outputs, signature, dataset, tolerances_of(signature, outputs))


def verify(*answers: FloatArray | bytes) -> Verification:
    bodies = [body if isinstance(body, bytes) else CODEC.encode_answer(body) for body in answers]
    return verifier_of(EXPECTED).verify([Answer(0, body) for body in bodies])


def test_equal_answers_agree() -> None:
    """The reference's own scores: all agree, nothing differs, the classes are kept by image."""
    found = verify(EXPECTED, EXPECTED)
    assert (found.answers, found.wrong, found.agreement, found.max_abs_diff) == (2, 0, 1.0, 0.0)
    assert found.predicted.tolist() == [-1, -1, -1, -1, -1, 0, 1, 2, -1]


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
    verifier = verifier_of(EXPECTED)
    verifier.check(Answer(0, CODEC.encode_answer(EXPECTED)))
    with pytest.raises(MalformedAnswer, match="image 5"):
        verifier.check(Answer(0, CODEC.encode_answer(np.ascontiguousarray(EXPECTED[:, ::-1]))))


def test_a_codec_that_fails_costs_its_own_cell_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It should raise MalformedAnswer; whatever else it raises makes that answer wrong, and ends no campaign."""
    monkeypatch.setattr(type(CODEC.named), "decode", lambda codec, body: [][0])
    assert verify(EXPECTED).first_wrong == "answer 1: the codec raw failed on it: IndexError: list index out of range"


def test_probabilities_are_measured_in_one() -> None:
    """Two or more scores of 0 to 1 that sum to 1; anything else has a size of its own."""
    assert Magnitude.of(EXPECTED) == PROBABILITIES
    assert Magnitude.of(2 * EXPECTED).typical == pytest.approx(1.2)
    assert Magnitude.of(EXPECTED - 1).typical == pytest.approx(0.9)
    assert Magnitude.of(np.full((3, 1), 0.5, np.float32)).typical == 0.5
    assert Magnitude.of(np.zeros((3, 2), np.float32)).typical == 1.0


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_other_scores_may_differ_by_a_part_of_their_size(size: float) -> None:
    """Large ones by more, small ones by less; what is near 0 by as much as the typical one, what is larger by more."""
    expected = np.array([[200.0], [-0.001], [300.0], [40_000.0]], np.float32) * np.float32(size)
    verifier = verifier_of(expected, (0, 1, 2, 3), REGRESSION)

    def wrong(differences: list[float]) -> float:
        body = CODEC.encode_answer(expected + np.array(differences, np.float32)[:, None] * np.float32(size))
        found = verifier.verify([Answer(0, body)])
        assert (found.wrong > 0) == (found.agreement != 1.0), "without classes, agreement is to be near"
        return 1 - (found.agreement or 0.0)

    assert wrong([0.015, -0.015, 0.025, 3.0]) == 0
    assert wrong([0.06, 0.015, 0.025, 3.0]) == 0.25
    assert wrong([0.015, 0.06, 0.06, 3.0]) == 0.5
    assert wrong([0.0, 0.0, 0.0, 5.0]) == 0.25


def test_a_wrong_number_is_told_as_it_is() -> None:
    """An only output has no class to name."""
    expected = np.array([[152.5], [90.0]], np.float32)
    verifier = verifier_of(expected, (7, 8), REGRESSION)
    found = verifier.verify([Answer(0, CODEC.encode_answer(expected + np.array([[0], [1]], np.float32)))])
    assert (
        "image 8 (row 1 of 2): answered 91, the reference says 90; scores: largest |difference| 1, allowed 0.0121"
        in found.first_wrong
    )
    assert found.differing == ()
