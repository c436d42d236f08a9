"""How items are cut into payloads, and that fresh ones are fresh."""

from dataclasses import replace

import numpy as np
import pytest

from bench.contract.errors import NotCarried
from bench.contract.tensors import FREE, FloatArray, Signature, TensorSpec
from bench.contract.wire import WIDE_INT64, Endpoint
from bench.verification.fresh_items import FreshItems
from bench.verification.payloads import PayloadFactory, batches
from tests.bench.scripted import IMAGES, PREDICT, asked, little_dataset, little_factory
from tests.flat import FLAT, flat_dataset, flat_model, images_of

RAW = Endpoint("a", "raw", "raw")


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
    factory = little_factory()
    payload_set = factory.payload_set(RAW, 5)
    for payload, expected in zip(payload_set.payloads, payload_set.expected, strict=True):
        assert np.array_equal(asked(payload.body), images_of(dataset)[list(payload.indices)])
        assert np.allclose(PREDICT(asked(payload.body)), expected["scores"])
    assert factory.payload_set(RAW, 5) is payload_set
    assert payload_set.encode_s > 0


def test_a_server_without_the_models_dtype_is_not_asked() -> None:
    """Its other endpoints are, and whoever speaks the same protocol."""
    factory, lacking = little_factory(), replace(RAW, name="other", lacks=("bool", "float32"))
    assert factory.refusal(RAW) == ""
    assert factory.refusal(lacking) == "a-other cannot serve this model: its server has no float32, which images is"
    with pytest.raises(NotCarried):
        factory.payload_set(lacking, 1)


@pytest.mark.parametrize(("largest", "refused"), [(2**31 - 1, ""), (2**31, "int64 beyond int32, which ids has")])
def test_a_server_that_computes_int64_in_32_bits_is_asked_where_that_is_enough(largest: int, refused: str) -> None:
    """Token ids are; times in milliseconds are refused before it starts."""
    ids = np.array([[1], [-(2**31)], [largest]])
    model = replace(
        flat_model(lambda asked: asked[:, :1]),
        signature=Signature((TensorSpec("ids", "int64", (FREE, 1)),), (TensorSpec("scores", "float32", (FREE, 1)),)),
        predictor=lambda inputs: {"scores": inputs["ids"].astype(np.float32)},
    )
    factory = PayloadFactory(replace(flat_dataset(np.zeros((3, 1), np.float32)), inputs={"ids": ids}), model)
    narrow = replace(RAW, lacks=(WIDE_INT64,))
    assert factory.refusal(narrow).endswith(refused)
    assert bool(factory.refusal(narrow)) == bool(refused)
    assert factory.refusal(RAW) == ""


def test_fresh_payloads_never_repeat_and_their_scores_are_known() -> None:
    """Two rounds over the dataset: all bodies differ, from each other and from the dataset's own."""
    factory = little_factory()
    make = factory.fresh(RAW, 3)
    assert make is not None
    fresh = [make() for _ in range(2 * IMAGES)]
    own = {payload.body for payload in factory.payload_set(RAW, 3).payloads}
    images = [image.tobytes() for payload in fresh for image in asked(payload.body)]
    assert len({payload.body for payload in fresh} | own) == len(fresh) + len(own)
    assert len(set(images)) == len(images)
    for payload, expected in zip(fresh, factory.fresh_expected(fresh), strict=True):
        assert PREDICT(asked(payload.body)) == pytest.approx(expected["scores"], abs=1e-6)


def factory_of(images: FloatArray) -> PayloadFactory:
    return PayloadFactory(flat_dataset(images), flat_model(lambda asked: asked[:, :1]))


def fresh_images(images: FloatArray, batch_size: int, payloads: int) -> FloatArray:
    """What the first fresh payloads hold, one image after the other."""
    make = factory_of(images).fresh(RAW, batch_size)
    assert make is not None
    bodies = [make().body for _ in range(payloads)]
    return np.concatenate([np.frombuffer(body, "<f4", offset=4).reshape(batch_size, -1) for body in bodies])


@pytest.mark.parametrize("width", [1, 2, 3, 64])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 16.0, 1e6])
def test_fresh_images_are_new_and_next_to_the_repeated_ones(width: int, scale: float) -> None:
    """Of any width and size of values, whole numbers, negative ones and zeros: all differ, none by what could matter."""
    random = np.random.default_rng(0)
    images = (random.integers(-3, 4, (7, width)) * scale).astype(np.float32)
    images[:, 0] = scale
    found = fresh_images(images, 5, payloads=120)
    assert len({image.tobytes() for image in found}) == 600
    repeated = np.tile(images[:5], (120, 1))
    assert np.abs(found - repeated).max() <= max(np.abs(images).max() * 2**-11, 2**-72)
    assert (np.abs(found) >= np.abs(repeated)).all(), "cut off, a whole number stays what it is"
    assert (np.abs(found[found != 0]) > 1e-31).all(), "no denormal numbers"


def test_what_is_always_zero_stays_zero() -> None:
    """A model may have learnt nothing of it: its weights there can be of a kind that takes far longer to multiply with."""
    images = np.random.default_rng(0).random((9, 20), dtype=np.float32)
    images[:, :15] = 0
    assert not fresh_images(images, 4, payloads=50)[:, :15].any()


def test_a_serial_number_goes_on_beyond_one_value() -> None:
    """Millions of images later they still differ."""
    images = np.random.default_rng(0).random((4, 3), dtype=np.float32)
    items = FreshItems(flat_dataset(images), FLAT)
    numbers = [*range(300), *range(65_530, 65_540), *range(16_777_210, 16_777_220)]
    found = [items.make(number, (0, 1))["images"] for number in numbers]
    assert len({image.tobytes() for pair in found for image in pair}) == 2 * len(numbers)
