"""Image preparation: whatever a person uploads becomes what EMNIST looks like, or a clear refusal."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from bench.contract.tensors import FloatArray
from fixtures.serving.image import MAX_SIDE, MAX_UPLOAD_BYTES, SIDE, prepare, read_picture
from fixtures.serving.model import BadRequest


def encoded(picture: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def letter_l(size: tuple[int, int] = (300, 200), at: tuple[int, int] = (30, 20), paper: int = 255, ink: int = 0) -> Image.Image:
    """An upright L, 80 pixels high and 50 wide, pen 16."""
    picture = Image.new("L", size, paper)
    draw = ImageDraw.Draw(picture)
    x, y = at
    draw.rectangle((x, y, x + 15, y + 79), fill=ink)
    draw.rectangle((x, y + 64, x + 49, y + 79), fill=ink)
    return picture


def field(pixels: FloatArray) -> npt.NDArray[np.float32]:
    """The model's pixels as rows and columns."""
    assert pixels.shape == (SIDE * SIDE,)
    assert pixels.dtype == np.float32
    assert pixels.min() >= 0.0
    assert pixels.max() <= 1.0
    return pixels.reshape(SIDE, SIDE)


def box(pixels: FloatArray) -> tuple[int, int, int, int]:
    """First and last inked row and column."""
    rows, columns = (np.flatnonzero((field(pixels) > 0.5).any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def assert_is_the_l(pixels: FloatArray) -> None:
    """White on black, centred, EMNIST's size, upright."""
    top, bottom, left, right = box(pixels)
    assert 20 <= bottom - top + 1 <= 24
    assert 12 <= right - left + 1 <= 15
    assert abs((top + bottom) - (SIDE - 1)) <= 1
    assert abs((left + right) - (SIDE - 1)) <= 1
    image = field(pixels)
    assert image[:2].max() == image[-2:].max() == image[:, :2].max() == image[:, -2:].max() == 0.0
    assert image[10, left + 1] > 0.9  # the stem
    assert image[10, right - 2] == 0.0
    assert image[bottom - 2, right - 2] > 0.9  # the foot


@pytest.mark.parametrize("at", [(0, 0), (30, 20), (249, 119)])
@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (200, 60), (90, 20), (40, 140)])
def test_a_character_is_found_inverted_and_centred(at: tuple[int, int], paper: int, ink: int) -> None:
    """Wherever it stands, dark on light or light on dark, strong or faint, it ends white on black in the middle."""
    assert_is_the_l(prepare(letter_l(at=at, paper=paper, ink=ink)))


@pytest.mark.parametrize("size", [(60, 90), (300, 200), (3000, 4096)])
def test_the_pictures_size_does_not_matter(size: tuple[int, int]) -> None:
    """A tight crop and a photo of any size show the same character."""
    factor = 1 if size[0] < 1000 else 20
    picture = letter_l((size[0] // factor, size[1] // factor), (5, 5)).resize(size)
    assert_is_the_l(prepare(picture))


def test_a_photo_with_grain_and_a_lamps_shadow() -> None:
    """Uneven light and noise are paper, not ink."""
    clean = np.asarray(letter_l(paper=220, ink=50), dtype=np.float64)
    shadow = np.linspace(1.0, 0.6, clean.shape[1])[None, :] * np.linspace(1.0, 0.9, clean.shape[0])[:, None]
    noise = np.random.default_rng(0).normal(0, 4, clean.shape)
    picture = Image.fromarray(np.clip(clean * shadow + noise, 0, 255).astype(np.uint8))
    assert_is_the_l(prepare(read_picture(encoded(picture, "JPEG", quality=80))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_png(mode: str) -> None:
    """Palette, grey, colour, with or without transparency: the same pixels come out."""
    assert_is_the_l(prepare(read_picture(encoded(letter_l().convert(mode)))))


def test_sixteen_bits_a_pixel() -> None:
    """A 16-bit scan is scaled, not clipped."""
    deep = Image.fromarray(np.asarray(letter_l(paper=200, ink=60), dtype=np.uint16) * 257)
    assert_is_the_l(prepare(read_picture(encoded(deep))))


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_paper_takes_the_colour_that_shows_the_ink(ink: int) -> None:
    """Black or white strokes on nothing are strokes all the same."""
    alpha = Image.eval(letter_l(), lambda value: 255 - value)
    picture = Image.merge("LA", (Image.new("L", alpha.size, ink), alpha))
    assert_is_the_l(prepare(read_picture(encoded(picture))))


def test_a_turned_photo_is_set_upright() -> None:
    """A camera's orientation mark is obeyed."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned = letter_l().transpose(Image.Transpose.ROTATE_90)
    assert_is_the_l(prepare(read_picture(encoded(turned, "JPEG", exif=exif, quality=95))))


@pytest.mark.parametrize("inverted", [False, True])
def test_emnists_own_images_are_left_as_they_are(inverted: bool) -> None:
    """A 28 x 28 picture is the dataset's: its very pixels reach the model, white on black."""
    original = np.zeros((SIDE, SIDE), np.uint8)
    original[3:25, 9:12] = np.random.default_rng(0).integers(60, 256, (22, 3))
    shown = 255 - original if inverted else original
    pixels = field(prepare(read_picture(encoded(Image.fromarray(shown)))))
    np.testing.assert_allclose(pixels, original.astype(np.float32) / 255, atol=1e-6)


@pytest.mark.parametrize(
    "picture",
    [Image.new("L", (100, 100), 255), Image.new("RGBA", (100, 100)), Image.new("L", (28, 28)), Image.linear_gradient("L")],
    ids=["white", "transparent", "black", "a slope"],
)
def test_an_empty_picture_is_refused(picture: Image.Image) -> None:
    """Without a character there is nothing to recognise."""
    with pytest.raises(BadRequest, match="empty") as refused:
        prepare(picture)
    assert refused.value.status == 422


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2, 3)])
def test_pictures_of_hardly_any_pixels_do_not_break_it(size: tuple[int, int]) -> None:
    """The smallest pictures end in pixels or in a refusal."""
    picture = Image.fromarray((np.arange(size[0] * size[1]).reshape(size) % 2 * 255).astype(np.uint8))
    with suppress(BadRequest):
        field(prepare(picture))


def bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        pytest.param(b"", 400, "no picture", id="nothing"),
        pytest.param(b"not a picture at all", 415, "PNG or JPEG", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "PNG or JPEG", id="svg"),
        pytest.param(encoded(letter_l(), "GIF"), 415, "PNG or JPEG", id="gif"),
        pytest.param(encoded(letter_l())[:300], 415, "PNG or JPEG", id="truncated-png"),
        pytest.param(encoded(letter_l(), "JPEG")[:300], 415, "PNG or JPEG", id="truncated-jpeg"),
        pytest.param(encoded(letter_l()).replace(b"IDAT", b"IDAX"), 415, "PNG or JPEG", id="damaged-png"),
        pytest.param(bytes(MAX_UPLOAD_BYTES + 1), 413, "2 MB", id="too-many-bytes"),
        pytest.param(encoded(Image.new("1", (MAX_SIDE + 1, 10))), 413, "4096 pixels", id="too-wide"),
        pytest.param(encoded(Image.new("1", (10_000, 9_500))), 413, "4096 pixels", id="ninety-megapixels"),
        pytest.param(bomb(), 413, "4096 pixels", id="decompression-bomb"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, status: int, problem: str) -> None:
    """Wrong, damaged and oversized files are told apart and never decoded beyond the limits."""
    with pytest.raises(BadRequest, match=problem) as refused:
        read_picture(data)
    assert refused.value.status == status
