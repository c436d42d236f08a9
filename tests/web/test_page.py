"""The page in headless Chromium: upload, draw, result and error, with screenshots kept as artefacts.

Screenshots go to $SERVEBENCH_ARTEFACTS, or to pytest's own temporary folder.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from bench.contract.system import Dataset
from fixtures.dataset.emnist import load_emnist
from tests.backends.launch import FIXTURES, Server, onnx_model, running
from tests.flat import INPUT, OUTPUT, images_of

pytestmark = pytest.mark.integration

OWN_MODEL = FIXTURES / "model" / "emnist-mlp.onnx"
WAIT_S = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The flask backend with the project's own model."""
    with running("flask", tmp_path_factory.mktemp("flask"), OWN_MODEL) as started:
        yield started


@pytest.fixture(scope="module")
def images() -> Dataset:
    """Test images: EMNIST's where the archive is at hand, else those drawn from fonts."""
    archive = os.environ.get("EMNIST_ARCHIVE")
    return load_emnist(Path(archive) if archive else None, allow_download=False, say=lambda _: None)


@pytest.fixture
def browser(server: Server, chromium: Chrome) -> Chrome:
    """The empty page on a wide screen, with scripts, nothing complained of yet."""
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.set_window_size(1100, 900)
    chromium.get(f"http://127.0.0.1:{server.port}/")
    errors(chromium)
    return chromium


def find(browser: Chrome, selector: str) -> WebElement:
    """The element, waited for."""
    return WebDriverWait(browser, WAIT_S).until(lambda chrome: chrome.find_element(By.CSS_SELECTOR, selector))


def shoot(browser: Chrome, path: Path) -> None:
    """Keep a picture of the whole page as it is now."""
    height = int(browser.execute_script("return document.documentElement.scrollHeight"))
    width = int(browser.execute_script("return document.documentElement.clientWidth"))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen(width, height))
    browser.save_screenshot(str(path))
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def screen(width: int, height: int, mobile: bool = False) -> dict[str, object]:
    """A screen of this size for the browser's emulation."""
    return {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}


def choose(browser: Chrome, file: Path) -> None:
    """Choose a file in the form; the script sends it at once."""
    find(browser, "#image").send_keys(str(file))


def draw(browser: Chrome, *strokes: list[tuple[int, int]]) -> None:
    """Draw lines on the canvas, in pixels from its middle."""
    canvas = find(browser, "#canvas")
    for (start_x, start_y), *rest in strokes:
        actions = ActionChains(browser, duration=20).move_to_element_with_offset(canvas, start_x, start_y).click_and_hold()
        x, y = start_x, start_y
        for to_x, to_y in rest:
            actions = actions.move_by_offset(to_x - x, to_y - y)
            x, y = to_x, to_y
        actions.release().perform()


def errors(browser: Chrome) -> list[str]:
    """What the browser complained of: script errors, blocked sources."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def save(pixels: object, path: Path, side: int = 28) -> Path:
    """An image of the dataset as a PNG file."""
    image = Image.fromarray(np.round(np.reshape(pixels, (28, 28)) * 255).astype(np.uint8))  # type: ignore[call-overload]
    image.resize((side, side), Image.Resampling.NEAREST).save(path)
    return path


def test_the_empty_page(browser: Chrome, artefacts: Path) -> None:
    """The form, the drawing area that scripts bring, and no complaint from the browser."""
    assert find(browser, "#submit").is_displayed()
    assert find(browser, "#canvas").is_displayed()
    assert find(browser, ".empty").is_displayed()
    shoot(browser, artefacts / "page-empty.png")
    assert errors(browser) == []


def test_an_uploaded_image_is_recognised(browser: Chrome, images: Dataset, artefacts: Path, tmp_path: Path) -> None:
    """Choosing a file is enough: character, probability, both pictures and 62 bars appear without a page load."""
    browser.execute_script("window.sameDocument = true")
    choose(browser, save(images_of(images)[0], tmp_path / "image.png"))
    best = int(onnx_model(OWN_MODEL).run({INPUT: images_of(images)[:1]})[OUTPUT].argmax())
    assert find(browser, "#character").text == images.class_names[best]
    assert find(browser, "#probability").text.endswith("%")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#chart .bar")) == 62
    assert int(find(browser, "#prepared").get_attribute("naturalWidth") or 0) == 28
    assert browser.execute_script("return window.sameDocument === true")
    shoot(browser, artefacts / "page-upload.png")
    assert errors(browser) == []


def test_a_drawn_character_is_recognised(browser: Chrome, artefacts: Path) -> None:
    """Lifting the pen asks; clearing and drawing again replaces the answer."""
    draw(browser, [(-60, -80), (60, -80), (50, -60), (-10, 90)])
    assert find(browser, "#character").text == "7"
    shoot(browser, artefacts / "page-draw.png")
    find(browser, "#clear").click()
    draw(browser, [(-50, -80), (-50, 80), (60, 80)])
    # the answer's part of the page is replaced as a whole: what was found in the old one is stale
    wait = WebDriverWait(browser, WAIT_S, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: find(browser, "#character").text == "L")
    assert errors(browser) == []


def test_a_dropped_photo_is_recognised(browser: Chrome, artefacts: Path) -> None:
    """A file dropped anywhere on the page is taken; here a photo of dark ink on grey paper."""
    photo = Image.new("RGB", (600, 420), (196, 190, 180))
    font = ImageFont.load_default(260)
    ImageDraw.Draw(photo).text((180, 40), "B", fill=(40, 44, 70), font=font, stroke_width=6, stroke_fill=(40, 44, 70))
    path = artefacts / "photo.jpg"
    photo.save(path, quality=70)
    data = list(path.read_bytes())
    path.unlink()
    browser.execute_script(
        """const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(arguments[0])], "photo.jpg", {type: "image/jpeg"}));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));""",
        data,
    )
    assert find(browser, "#character").text == "B"
    shoot(browser, artefacts / "page-photo.png")
    assert errors(browser) == []


def test_a_wrong_file_is_told(browser: Chrome, artefacts: Path, tmp_path: Path) -> None:
    """The error stands where the result would, and the page stays usable."""
    wrong = tmp_path / "notes.png"
    wrong.write_text("no picture", encoding="utf-8")
    choose(browser, wrong)
    assert "no readable PNG or JPEG" in find(browser, "#result .error").text
    shoot(browser, artefacts / "page-error.png")
    draw(browser, [(-50, -80), (-50, 80), (60, 80)])
    assert find(browser, "#character").text == "L"


def test_a_file_beyond_the_limit_is_not_even_sent(browser: Chrome, tmp_path: Path) -> None:
    """The script knows the limit, so nobody waits for an upload that will be refused."""
    large = tmp_path / "large.png"
    large.write_bytes(bytes(3_000_000))
    choose(browser, large)
    assert "at most 2 MB" in find(browser, "#result .error").text


def test_without_javascript(browser: Chrome, images: Dataset, tmp_path: Path) -> None:
    """With scripts off the form is sent by its button, and nothing that needs a script is shown."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.refresh()
    assert not find(browser, "#draw").is_displayed()
    choose(browser, save(images_of(images)[0], tmp_path / "image.png"))
    find(browser, "#submit").click()
    best = int(onnx_model(OWN_MODEL).run({INPUT: images_of(images)[:1]})[OUTPUT].argmax())
    assert find(browser, "#character").text == images.class_names[best]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(browser: Chrome, images: Dataset, artefacts: Path, tmp_path: Path, scheme: str) -> None:
    """Narrow screen, both colour schemes: nothing runs off the side, and the scheme is followed."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen(360, 740, mobile=True))
    feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
    browser.refresh()
    choose(browser, save(images_of(images)[1], tmp_path / "image.png", side=140))
    assert find(browser, "#character").is_displayed()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in background.strip("rgb()").split(",")) > 382) is (scheme == "light")
    shoot(browser, artefacts / f"page-phone-{scheme}.png")
