"""What the reference takes for what, and the images that a server answered otherwise, by name."""

import base64
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from bench.contract.confusion import Confusion
from bench.contract.system import Dataset
from bench.contract.tensors import FloatArray
from bench.verification.misclassified import LISTED, SAMPLES, confusion_of, disagreements_of
from bench.verification.top_class import Differing
from tests.flat import flat_dataset

NAMES = ("O", "0", "l")
LABELS = [0, 0, 0, 1, 1, 2, 2]
ANSWERED = [0, 1, 1, 0, 1, 2, 0]


def a_dataset(labels: list[int], width: int = 4) -> Dataset:
    """Images whose first pixel is their index in tenths."""
    images = np.zeros((len(labels), width), dtype=np.float32)
    images[:, 0] = np.arange(len(labels)) / 10
    side = 2 if width == 4 else 0
    return flat_dataset(images, np.array(labels), NAMES, side)


def scores_for(classes: list[int]) -> FloatArray:
    """0.8 for the class that is answered."""
    scores = np.full((len(classes), 3), 0.1, dtype=np.float32)
    scores[np.arange(len(classes)), classes] = 0.8
    return scores


def test_pairs_are_counted_in_both_directions_worst_first() -> None:
    """O taken for 0 twice and 0 for O once are one pair of three."""
    found = confusion_of(a_dataset(LABELS), scores_for(ANSWERED))
    assert (found.images, found.mistakes) == (7, 4)
    assert [(pair.one, pair.other, pair.one_as_other, pair.other_as_one) for pair in found.pairs] == [
        ("O", "0", 2, 1),
        ("l", "O", 1, 0),
    ]
    assert [(each.name, each.images, each.right, each.answered) for each in found.classes] == [
        ("O", 3, 1, 3),
        ("0", 2, 1, 3),
        ("l", 2, 1, 1),
    ]


def test_samples_show_both_directions_and_their_pixels() -> None:
    """In turn; a pixel of 1.0 is 255."""
    pair = confusion_of(a_dataset(LABELS), scores_for(ANSWERED)).pairs[0]
    assert [(sample.index, sample.label, sample.answered) for sample in pair.samples] == [
        (1, "O", "0"),
        (3, "0", "O"),
        (2, "O", "0"),
    ]
    assert list(base64.b64decode(pair.samples[1].pixels)) == [76, 0, 0, 0]  # 0.3 of 255, rounded to even


def test_what_is_no_picture_has_no_pixels_and_samples_are_few() -> None:
    """The dataset says that its rows are none; a pair of many mistakes shows some."""
    found = confusion_of(a_dataset([0] * 50, width=3), scores_for([1] * 50))
    assert found.side_px == 0
    assert len(found.pairs[0].samples) == SAMPLES
    assert {sample.pixels for sample in found.pairs[0].samples} == {""}


def test_a_class_without_a_name_is_called_by_its_number() -> None:
    """A model may have more classes than the dataset has names."""
    scores = np.array([[0.1, 0.1, 0.1, 0.7]], dtype=np.float32)
    assert confusion_of(a_dataset([0]), scores).pairs[0].other == "class 3"


def test_confusion_survives_json() -> None:
    """As it goes through results.json."""
    found = confusion_of(a_dataset(LABELS), scores_for(ANSWERED))
    assert Confusion.from_dict(json.loads(json.dumps(asdict(found)))) == found


def test_real_disagreements_stand_before_excused_ones_and_are_cut_last() -> None:
    """So that what is cut is what matters least."""
    tie = Differing(image=0, reference=0, reference_score=0.4, answered=1, score=0.4, excused=True)
    ties = [replace(tie, image=image) for image in range(LISTED)]
    real = replace(tie, image=5, answered=2, score=0.9, excused=False, answers=3)
    found = disagreements_of("flask-rest-single", [*ties, real], np.zeros(LISTED, dtype=np.int64), NAMES)
    assert len(found) == LISTED
    assert (found[0].image, found[0].label, found[0].reference, found[0].answered, found[0].answers) == (5, "O", "O", "l", 3)
    assert all(each.excused for each in found[1:])


def test_without_labels_nothing_is_a_mistake() -> None:
    """The model's mistakes cannot be told; an answer that differs from the reference's can, and has no label."""
    unlabelled = replace(a_dataset(LABELS), labels=None)
    with pytest.raises(ValueError, match="little has no labels"):
        confusion_of(unlabelled, scores_for(ANSWERED))
    differing = Differing(image=3, reference=0, reference_score=0.8, answered=1, score=0.8, excused=False)
    (found,) = disagreements_of("flask-rest-single", [differing], unlabelled.labels, NAMES)
    assert (found.label, found.reference, found.answered) == ("", "O", "0")
