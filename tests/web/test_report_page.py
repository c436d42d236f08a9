"""The report in headless Chromium: sorting and filtering by mouse and keyboard, axe, and screenshots to look at."""

import base64
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from reports.renderers.files import draw_charts
from reports.renderers.html import render_html
from reports.sections.report import build_report
from tests.reports.records import RUNS, a_stored_run

pytestmark = pytest.mark.integration

WIDE, PHONE, A4 = (1280, 800), (390, 844), (704, 1032)  # A4 within its margins
FOLDED_PX = 3000
AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  found => done(found.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary)])),
  error => done([["critical", "axe itself", [String(error)]]]));
"""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's source; one package of PyPI carries it."""
    try:
        found = metadata.distribution("axe-playwright-python").locate_file("axe_playwright_python/axe.min.js")
    except metadata.PackageNotFoundError:
        pytest.skip("needs `pip install --no-deps axe-playwright-python`")
    return Path(str(found)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with every verdict."""
    return written("every verdict", tmp_path_factory)


@pytest.fixture(scope="module")
def report_under_load(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with all kinds of load."""
    return written("load", tmp_path_factory)


def written(name: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a run in RUNS."""
    report = build_report(a_stored_run(RUNS[name]))
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render_html(report, draw_charts(report)), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def page(chromium: Chrome, report: str) -> Iterator[Chrome]:
    """The report on a wide screen in light colours; nothing may be complained of."""
    sized(chromium, WIDE)
    media(chromium)
    opened(chromium, report)
    complaints_of(chromium)
    yield chromium
    complaints = complaints_of(chromium)
    media(chromium)
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert complaints == []


def opened(chromium: Chrome, report: str) -> None:
    """All sections of it, anew: an address that differs in its fragment alone is no new page."""
    chromium.get("about:blank")
    chromium.get(report)
    chromium.execute_script("document.querySelectorAll('details').forEach(each => each.open = true)")


def complaints_of(chromium: Chrome) -> list[str]:
    """What the browser complained of since the last look."""
    entries: list[dict[str, str]] = chromium.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries]


def sized(chromium: Chrome, size: tuple[int, int]) -> None:
    """The width that the page sees."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def media(chromium: Chrome, kind: str = "", scheme: str = "light") -> None:
    """`print` or nothing; light or dark."""
    features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})


def shoot(chromium: Chrome, file: Path) -> None:
    """The whole page, however long."""
    size = chromium.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
    shot = chromium.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    file.write_bytes(base64.b64decode(shot["data"]))


def cells(chromium: Chrome, table: int = 0) -> list[str]:
    """The cells of a table as they stand, those that are hidden left out."""
    script = """
    const table = document.querySelectorAll("#cells table")[arguments[0]];
    return Array.from(table.querySelectorAll("tbody:not(.instruments) tr[data-cell]"))
      .filter(row => row.offsetParent !== null).map(row => row.getAttribute("data-cell"));"""
    found: list[str] = chromium.execute_script(script, table)
    return found


def head(chromium: Chrome, title: str) -> WebElement:
    """A column's button in the first table."""
    return chromium.find_element(By.XPATH, f"(//div[@id='cells']//table)[1]/thead//button[normalize-space()='{title}']")


def sorting(button: WebElement) -> str | None:
    """What a screen reader is told."""
    return button.find_element(By.XPATH, "..").get_attribute("aria-sort")


def test_a_click_sorts_within_each_protocol_and_a_third_one_restores(page: Chrome) -> None:
    """Numbers as numbers, the largest first; what has no number stays last; the reason stays below its row."""
    before = cells(page)
    button = head(page, "Images/s")
    button.click()
    assert sorting(button) == "descending"
    down = cells(page)
    rest = [name for name in down if "-rest-" in name]
    assert rest[:3] == ["mosec-rest-single", "memoiser-rest-single", "stranger-rest-single"]
    assert rest[-1] == "litserve-rest-single", "without a number: last"
    button.click()
    assert sorting(button) == "ascending"
    up = [name for name in cells(page) if "-rest-" in name]
    assert up[0] == "ray-serve-rest-single"
    assert up[-1] == "litserve-rest-single", "last in this direction too"
    below = page.execute_script(
        "return document.querySelector('#cells tr[data-cell=ray-serve-rest-single]').nextElementSibling.textContent"
    )
    assert "2.7 threads" in below
    button.click()
    assert sorting(button) is None
    assert cells(page) == before


def test_the_keyboard_sorts_and_filters(page: Chrome) -> None:
    """Enter and space on a head; arrows or letters in a select; what is shown is told to a screen reader."""
    button = head(page, "Cell")
    button.send_keys(Keys.ENTER)
    assert sorting(button) == "ascending"
    button.send_keys(Keys.SPACE)
    assert sorting(button) == "descending"
    told = page.find_element(By.CSS_SELECTOR, "#filters output")
    everything = told.text
    assert everything.startswith("All ")
    select = page.find_element(By.CSS_SELECTOR, "select[data-filter=protocol]")
    select.send_keys("raw")
    assert told.text != everything
    assert all("-raw-" in name for name in cells(page))
    assert cells(page)
    page.find_element(By.CSS_SELECTOR, "#filters button").send_keys(Keys.ENTER)
    assert told.text == everything
    assert page.switch_to.active_element == page.find_element(By.CSS_SELECTOR, "#filters select")


@pytest.mark.parametrize(
    ("filter_name", "value", "kept", "gone"),
    [
        ("verdict", "WRONG_ANSWERS", "liar-raw-single", "flask-rest-single"),
        ("verdict", "FAILED", "litserve-rest-single", "flask-rest-single"),
        ("set", "light", "flask-rest-single", "fastapi-rest-single"),
    ],
)
def test_a_filter_keeps_what_fits_in_every_table(page: Chrome, filter_name: str, value: str, kept: str, gone: str) -> None:
    """By the mouse; a protocol of which nothing is left loses its heading too."""
    Select(page.find_element(By.CSS_SELECTOR, f"select[data-filter={filter_name}]")).select_by_value(value)
    assert kept in cells(page)
    assert gone not in cells(page)
    assert gone.replace("single", "batch128") not in cells(page, 1)
    empty = """
    return Array.from(document.querySelectorAll("#cells tbody"))
      .filter(body => !body.hidden && !body.querySelector("tr[data-cell]:not([hidden])")).length"""
    assert page.execute_script(empty) == 0


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")])
def test_axe_finds_no_serious_violation(page: Chrome, axe: str, size: tuple[int, int], scheme: str) -> None:
    """Contrast, names, roles, structure."""
    sized(page, size)
    media(page, scheme=scheme)
    assert serious_violations(page, axe) == []


def serious_violations(page: Chrome, axe: str) -> list[Any]:
    """What axe finds on the whole page."""
    page.execute_script(axe)
    page.set_script_timeout(60)
    found: list[Any] = page.execute_async_script(AXE)
    return [violation for violation in found if violation[0] in ("serious", "critical")]


@pytest.mark.parametrize(("size", "kind"), [(WIDE, ""), (PHONE, ""), (A4, "print")])
def test_the_page_is_no_wider_than_the_screen(page: Chrome, size: tuple[int, int], kind: str) -> None:
    """Only tables scroll sideways, in a box of their own; on paper nothing can."""
    sized(page, size)
    media(page, kind)
    assert_fits(page, size)


def assert_fits(page: Chrome, size: tuple[int, int]) -> None:
    """Nothing but what scrolls by itself reaches beyond the right edge."""
    wide = """
    return Array.from(document.querySelectorAll("body *"))
      .filter(each => !each.closest(".scroll") && each.getBoundingClientRect().right > innerWidth + 1)
      .map(each => each.tagName + "." + each.className + ": " + each.textContent.slice(0, 40)).slice(0, 5)"""
    assert page.execute_script(wide) == []
    assert page.execute_script("return document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize(
    ("name", "size", "kind", "scheme"),
    [
        ("desktop", WIDE, "", "light"),
        ("dark", WIDE, "", "dark"),
        ("phone", PHONE, "", "light"),
        ("print", A4, "print", "light"),
    ],
)
def test_screenshots_to_look_at(
    page: Chrome, artefacts: Path, name: str, size: tuple[int, int], kind: str, scheme: str
) -> None:
    """Desktop, phone, dark, print; kept as artefacts. In print every row is there and no control."""
    sized(page, size)
    media(page, kind, scheme)
    file = artefacts / f"report-{name}.png"
    shoot(page, file)
    assert file.stat().st_size > 100_000
    assert page.find_element(By.ID, "filters").is_displayed() is (kind != "print")


@pytest.mark.parametrize(("size", "kind", "scheme"), [(WIDE, "", "dark"), (PHONE, "", "light"), (A4, "print", "light")])
def test_cells_under_load_fit_and_are_accessible(
    page: Chrome, report_under_load: str, axe: str, artefacts: Path, size: tuple[int, int], kind: str, scheme: str
) -> None:
    """On a screen, on a phone, on paper; kept to look at."""
    sized(page, size)
    media(page, kind, scheme)
    opened(page, report_under_load)
    assert_fits(page, size)
    assert serious_violations(page, axe) == []
    shoot(page, artefacts / f"load-{kind or scheme}-{size[0]}.png")


def test_filters_and_heads_work_under_load_too(page: Chrome, report_under_load: str) -> None:
    """A protocol's rows alone; a column sorts within each protocol, what has no number last."""
    opened(page, report_under_load)
    names = """
    const table = document.querySelector("section[aria-labelledby=load] table");
    return Array.from(table.querySelectorAll("tbody:not(.instruments) tr[data-endpoint]"))
      .filter(row => row.offsetParent !== null).map(row => row.getAttribute("data-endpoint"));"""
    page.find_element(By.XPATH, "(//section[@aria-labelledby='load']//table)[1]/thead//button[.='1 client']").click()
    assert page.execute_script(names)[-5:] == [
        "fastapi-rest",
        "flask-rest",
        "mosec-rest",
        "bentoml-rest",
        "ray-serve-rest",
    ]
    Select(page.find_element(By.CSS_SELECTOR, "select[data-filter=protocol]")).select_by_value("v2-grpc")
    assert set(page.execute_script(names)) == {"triton-grpc", "kserve-grpc"}


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (PHONE, "light")])
def test_the_first_screen_is_the_answer(
    page: Chrome, report: str, axe: str, artefacts: Path, size: tuple[int, int], scheme: str
) -> None:
    """Folded: two pictures beside each other with their sentences, accuracy, then the headings of what can be opened."""
    sized(page, size)
    media(page, scheme=scheme)
    page.get("about:blank")
    page.get(report)
    assert serious_violations(page, axe) == []
    (artefacts / f"first-{scheme}-{size[0]}.png").write_bytes(page.get_screenshot_as_png())
    tops = """return Array.from(document.querySelectorAll(".beside figure")).map(each => each.getBoundingClientRect().top)"""
    one, other = page.execute_script(tops)
    assert (one == other) is (size == WIDE)
    assert max(one, other) < size[1]
    if size == WIDE:
        assert page.execute_script("return document.querySelector('.answer > p').getBoundingClientRect().bottom") < size[1]
        assert page.execute_script("return document.documentElement.scrollHeight") <= FOLDED_PX


def test_what_is_open_and_filtered_stands_in_the_address(page: Chrome, report: str) -> None:
    """By click and by key; who follows the link sees the same; a link to a section opens it; on paper all is open."""
    is_open = "return Array.from(document.querySelectorAll('.folded[open] > summary > h2')).map(each => each.id)"
    page.get("about:blank")
    page.get(report)
    assert page.execute_script(is_open) == []
    page.find_element(By.CSS_SELECTOR, "section[aria-labelledby=speed] > details > summary").click()
    page.find_element(By.CSS_SELECTOR, "section[aria-labelledby=startup] > details > summary").send_keys(Keys.ENTER)
    page.find_element(By.CSS_SELECTOR, "select[data-filter=protocol]").send_keys("raw")
    head(page, "Images/s").click()
    before = cells(page)
    address = page.current_url
    assert address.endswith("#open=speed+startup&protocol=raw&sort=1+2+descending")
    page.get("about:blank")
    page.get(address)
    assert page.execute_script(is_open) == ["speed", "startup"]
    assert cells(page) == before
    page.get("about:blank")
    page.get(report)
    page.find_element(By.LINK_TEXT, "Why?").click()
    assert page.execute_script(is_open) == ["problems"]
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(page.execute_script(is_open)) > 10
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(is_open) == ["problems"]
