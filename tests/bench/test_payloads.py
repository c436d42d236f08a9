"""How images are cut into payloads, and that fresh ones are fresh."""

from __future__ import annotations

import numpy as np
import pytest

from bench.payloads import PayloadPress, batches
from bench.protocols.raw_float32 import CODEC
from tests.bench.scripted import IMAGES, PREDICT, asked, little_dataset


def test_full_batches_wrap_around() -> None:
    """1000 images in batches of 128: eight full ones, every image in at least one."""
    found = batches(1000, 128, wrap=True)
    assert [len(batch) for batch in found] == [128] * 8
    assert {index for batch in found for index in batch} == set(range(1000))
    assert found[-1][-1] == 8 * 128 - 1000 - 1


def test_accuracy_batches_hold_each_image_once() -> None:
    """Without wrapping the last batch is short: 7 x 128 + 104."""
    found = batches(1000, 128, wrap=False)
    assert [len(batch) for batch in found] == [128] * 7 + [104]
    assert [index for batch in found for index in batch] == list(range(1000))


def test_book_holds_what_each_payload_must_be_answered_with() -> None:
    """Payload k's images and the expected scores k belong together; endpoints of one protocol share the book."""
    dataset = little_dataset()
    press = PayloadPress(dataset, PREDICT)
    book = press.book(CODEC, 5)
    for payload, expected in zip(book.payloads, book.expected, strict=True):
        assert np.array_equal(asked(payload.body), dataset.images[list(payload.indices)])
        assert np.allclose(PREDICT(asked(payload.body)), expected)
    assert press.book(CODEC, 5) is book
    assert book.encode_s > 0


def test_fresh_payloads_never_repeat_and_their_scores_are_known() -> None:
    """Two rounds over the dataset: all bodies differ, from each other and from the dataset's own."""
    press = PayloadPress(little_dataset(), PREDICT)
    make = press.fresh(CODEC, 3)
    fresh = [make() for _ in range(2 * IMAGES)]
    own = {payload.body for payload in press.book(CODEC, 3).payloads}
    images = [image.tobytes() for payload in fresh for image in asked(payload.body)]
    assert len({payload.body for payload in fresh} | own) == len(fresh) + len(own)
    assert len(set(images)) == len(images)
    for payload, expected in zip(fresh, press.fresh_expected(fresh), strict=True):
        assert PREDICT(asked(payload.body)) == pytest.approx(expected, abs=1e-6)
